"""Resources of a circuit on FPGA families, by synthesis with Yosys; DSP blocks are kept out.

For Xilinx 7-series these are resource counts only: there is no open place and route for it here. ECP5 and iCE40 can be
placed and routed (`place`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from laxity.circuits.netlist import Circuit
from laxity.circuits.synthesis.equivalence import Proof, prove_equal
from laxity.circuits.synthesis.families import Family, FpgaFamily, family_named
from laxity.circuits.synthesis.luts import Lut, LutNetlist, to_luts
from laxity.circuits.synthesis.mapping import plain_verilog
from laxity.circuits.synthesis.module import Instance, ordered, read_module
from laxity.circuits.synthesis.operands import UNIFORM, Streams, streams_key, uniform_streams
from laxity.circuits.synthesis.place import Placement, place
from laxity.eda.run import Progress, ToolRunError
from laxity.eda.store import Store, default_store, digest
from laxity.eda.tools import Tool, find
from laxity.eda.yosys import cell_counts, read_netlist, yosys

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Resources:
    """What a circuit takes on an FPGA family.

    Attributes:
        name: of the circuit.
        key: of the netlist that was given.
        family: device family.
        lut: look-up tables (up to 6 inputs on Xilinx 7-series, 4 on the others).
        carry: carry cells.
        ff: flip-flops; the circuit itself has none.
        dsp: multiplier blocks; synthesis is told to use none.
        bram: memory blocks.
        energy_index: mean of toggles x (1 + fan-out) over the tables, by operand source; relative, no joules.
        cells: number of instances by cell type.
        tool: name, version and provider of Yosys.
        proof: what was compared between the circuit and its tables, in words.
        placement: after place and route of the registered circuit, if asked for.
    """

    name: str
    key: str
    family: Family
    lut: int
    carry: int
    ff: int
    dsp: int
    bram: int
    energy_index: Mapping[str, float]
    cells: Mapping[str, int]
    tool: str
    proof: str
    placement: Placement | None

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        placed = None if self.placement is None else asdict(self.placement)
        return {**asdict(self), "placement": placed}


def synthesise_fpga(
    circuit: Circuit,
    family: Family,
    *,
    placed: bool = False,
    seed: int = 1,
    operands: Mapping[str, Streams] | None = None,
    progress: Progress | None = None,
    store: Store | None = None,
) -> Resources:
    """Synthesise a circuit for an FPGA family and prove its tables equal to it.

    Args:
        circuit: any combinational netlist. Tied buses are synthesised as inputs, so that all modes take the same
            tables.
        family: device family.
        placed: whether to place and route it between registers too; not for ``"xilinx7"``.
        seed: of place and route.
        operands: streams for the energy index by the name of their source; the uniform source is always measured.
        progress: told what takes long.
        store: where results are kept; the user's if None.

    Raises:
        CircuitError: an unknown family, placement where there is none, or streams that do not fit.
        ToolError: a tool is missing or too old.
        ToolRunError: a tool failed, or what it made is not equal to the circuit.
    """
    device = family_named(family, placed=placed)
    tool, kept = find("yosys"), store or default_store()
    free = circuit.untied()
    content, tables, proof = _synthesised(free, device, tool, kept, progress)
    counts = cell_counts(read_netlist(content), "circuit")
    sources = {UNIFORM: uniform_streams(circuit), **(operands or {})}
    indices = {name: _index(tables, circuit, streams, content, kept) for name, streams in sources.items()}
    totals = {resource: count for resource, count in device.count(counts).items() if resource != "lutram"}
    placement = place(free, family, seed=seed, progress=progress, store=kept) if placed else None
    return Resources(
        name=circuit.name,
        key=circuit.key,
        family=family,
        **totals,
        energy_index=indices,
        cells=counts,
        tool=tool.identity,
        proof=str(proof),
        placement=placement,
    )


def _synthesised(
    circuit: Circuit, device: FpgaFamily, tool: Tool, store: Store, progress: Progress | None
) -> tuple[bytes, LutNetlist, Proof]:
    """What Yosys writes, the tables in it and their proof; from the store if that holds, or made now."""
    command = device.synthesis("circuit")
    key = digest("fpga", _FORMAT, command, circuit.key, tool.identity)
    known = store.read("fpga", key)
    if isinstance(known, str):
        with contextlib.suppress(ToolRunError):
            return _proved(known.encode(), circuit, device, tool)
    script = f"read_verilog in.v\n{command}\nwrite_json out.json\n"
    done = yosys(script, {"in.v": plain_verilog(circuit)}, ["out.json"], progress=progress, tool=tool)
    result = _proved(done.outputs["out.json"], circuit, device, tool)
    store.write("fpga", key, result[0].decode("utf-8"))
    return result


def _proved(content: bytes, circuit: Circuit, device: FpgaFamily, tool: Tool) -> tuple[bytes, LutNetlist, Proof]:
    tables = _tables(content, circuit, device)
    return content, tables, prove_equal(circuit, tables.evaluate, tool.identity)


def _tables(content: bytes, circuit: Circuit, device: FpgaFamily) -> LutNetlist:
    def outputs_of(cell: str) -> tuple[str, ...]:
        if cell in device.luts or cell == "INV":
            return (device.output,)
        raise ToolRunError(f"yosys used {cell} for {circuit.name!r}, which has neither registers nor adders as words")

    def lut_of(cell: Instance) -> Lut:
        if cell.type == "INV":
            return Lut((cell.net("I"),), 0b01, cell.net("O"))
        pins = device.luts[cell.type]
        return Lut(tuple(cell.net(pin) for pin in pins), cell.bits(device.table), cell.net(device.output))

    return to_luts(ordered(read_module(content, "circuit", outputs_of)), circuit, lut_of)


def _index(tables: LutNetlist, circuit: Circuit, streams: Streams, content: bytes, store: Store) -> float:
    key = digest("index", _FORMAT, circuit.key, content.decode("utf-8"), streams_key(streams))
    known = store.read("index", key)
    if isinstance(known, float):
        return known
    shape = np.shape(next(iter(streams.values())))
    held = {name: np.full(shape, value, dtype=np.int64) for name, value in circuit.tie_values().items()}
    index = tables.energy_index(circuit.untied(), {**streams, **held})
    store.write("index", key, index)
    return index
