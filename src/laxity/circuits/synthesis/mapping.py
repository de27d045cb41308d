"""Mapping a circuit to the cells of a library with Yosys, full and half adders kept together.

Source: Yosys passes ``extract_fa`` (finds full and half adders in gates) and ``abc -genlib`` (maps the rest); without
the first the area of multipliers comes out 31 to 50 % too large. Netlists of generators that name their adders can come
out larger than they went in; so the smaller one is kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from laxity.circuits.cells import CellLibrary
from laxity.circuits.netlist import CELL_PINS, ONE, ZERO, Circuit, Gate, Port
from laxity.circuits.synthesis.equivalence import Proof, evaluator, prove_equal
from laxity.circuits.synthesis.module import Instance, Module, ordered, read_module
from laxity.circuits.verilog import to_verilog
from laxity.core.errors import CircuitError
from laxity.eda.run import Progress, ToolRunError
from laxity.eda.store import Store, default_store, digest
from laxity.eda.tools import Tool, find
from laxity.eda.yosys import yosys

FLOW = "extract_fa, abc amap, the smaller of given and mapped, 2"
"""Name and version of the flow; part of every cache key."""

Kept = Literal["given", "mapped"]
"""Which of two equal netlists is the smaller one."""

FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "INV": "!A",
        "BUF": "A",
        "AND2": "A*B",
        "OR2": "A+B",
        "NAND2": "!(A*B)",
        "NAND3": "!(A*B*C)",
        "NOR2": "!(A+B)",
        "NOR3": "!(A+B+C)",
        "XOR2": "A*!B+!A*B",
        "XNOR2": "A*B+!A*!B",
        "AOI21": "!(A*B+C)",
        "AOI22": "!(A*B+C*D)",
        "OAI21": "!((A+B)*C)",
        "MUX2": "!(A*C+!A*B)",
    }
)
"""Functions of the cells that ABC maps to, in the genlib syntax; pins A, B, C, D in our order."""

CONSTANT_CELLS: Mapping[str, int] = MappingProxyType({"ZERO": ZERO, "ONE": ONE, "_const0_": ZERO, "_const1_": ONE})
"""Cells by which ABC makes constants, and the nets that stand for them; their output is O."""

ADDER_PINS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {"HA": (("A", "B"), ("S", "K")), "FA": (("A", "B", "C"), ("S", "K"))}
)
"""Names of the input and output pins of the adder cells, in our order."""

_LARGEST_LOAD_FF = 999

ADDERS = """
(* techmap_celltype = "$fa" *)
module laxity_adder (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTVAL_B_ = 0;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  parameter _TECHMAP_CONSTVAL_C_ = 0;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  wire _TECHMAP_FAIL_ = WIDTH != 1;
  generate
    if (_TECHMAP_CONSTMSK_A_[0] && !_TECHMAP_CONSTVAL_A_[0]) HA half (.A(B), .B(C), .S(Y), .K(X));
    else if (_TECHMAP_CONSTMSK_B_[0] && !_TECHMAP_CONSTVAL_B_[0]) HA half (.A(A), .B(C), .S(Y), .K(X));
    else if (_TECHMAP_CONSTMSK_C_[0] && !_TECHMAP_CONSTVAL_C_[0]) HA half (.A(A), .B(B), .S(Y), .K(X));
    else FA full (.A(A), .B(B), .C(C), .S(Y), .K(X));
  endgenerate
endmodule
"""
"""Techmap from Yosys' adder cell to ours; one with a constant 0 is a half adder."""

_SCRIPT = """read_verilog in.v
hierarchy -check -top circuit
proc
flatten
opt -full
techmap
opt -full
extract_fa -fa -ha
opt_clean
techmap -map adders.v
techmap
opt -fast
abc -script map.abc -genlib cells.genlib
opt_clean -purge
write_json out.json
"""


ABC_SCRIPT = "strash; &get -n; &fraig -x; &put; scorr; dc2; strash; dch -f; amap\n"
"""Yosys' own script up to the mapper; that one seeks area, as the rest of the flow does, which sizes nothing."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A circuit after mapping.

    Attributes:
        circuit: the smaller of the given and the mapped netlist, by cell area; equal in function and ports.
        kept: which of the two that is; the mapped one where both have the same area.
        area_um2: of the mapped netlist, by which it was judged.
        tool: name, version and provider of the tool.
        proof: what was compared between the two.
    """

    circuit: Circuit
    kept: Kept
    area_um2: float
    tool: str
    proof: Proof


def map_circuit(
    circuit: Circuit, library: CellLibrary, *, progress: Progress | None = None, store: Store | None = None
) -> Mapped:
    """Map a circuit to a library with Yosys, prove the result equal, and keep the smaller of the two.

    Args:
        circuit: any netlist. Tied buses are mapped as inputs and tied again, so that all modes keep the same gates.
        library: its areas and delays guide the mapping.
        progress: told what takes long.
        store: where mapped netlists are kept; the user's if None.

    Raises:
        ToolError: Yosys is missing or too old.
        ToolRunError: Yosys failed, or what it made is not equal to the circuit.
    """
    if circuit.ties:
        unit = map_circuit(circuit.untied(), library, progress=progress, store=store)
        return dataclasses.replace(unit, circuit=unit.circuit.tied(circuit.name, circuit.tie_values()))
    tool, kept = find("yosys"), store or default_store()
    key = digest("mapped", FLOW, circuit.key, library_key(library), tool.identity)
    known = _stored(kept, key, circuit, library, tool)
    if known is not None:
        return known
    made = _synthesised(circuit, library, tool, progress)
    proof = prove_equal(circuit, evaluator(made), tool.identity)
    kept.write("mapped", key, _to_json(made))
    return _smaller(circuit, made, library, tool, proof)


def _smaller(given: Circuit, made: Circuit, library: CellLibrary, tool: Tool, proof: Proof) -> Mapped:
    """The netlist with less area; rounding of equal sums does not decide."""
    before, after = library.area_um2(given), library.area_um2(made)
    larger = after > before * (1 + 1e-9)
    return Mapped(given if larger else made, "given" if larger else "mapped", after, tool.identity, proof)


def library_key(library: CellLibrary) -> str:
    """Hash of all figures of a library; where it comes from does not enter."""
    cells = {name: dataclasses.astuple(cell) for name, cell in library.cells.items()}
    return digest(library.name, library.voltage_v, cells, dataclasses.astuple(library.flip_flop))


def genlib(library: CellLibrary) -> str:
    """The library as a genlib file under our cell names; delays are the straight lines of the library."""
    lines = ["GATE ZERO 0 O=CONST0;", "GATE ONE 0 O=CONST1;"]
    for name, function in FUNCTIONS.items():
        cell = library.cells[name]
        delay, slope = cell.delay_ps[0], cell.resistance_ps_per_ff[0]
        lines.append(f"GATE {name} {cell.area_um2:.6f} O={function};")
        timing = f"{delay:.6f} {slope:.6f} {delay:.6f} {slope:.6f}"
        lines.append(f"  PIN * UNKNOWN {cell.input_capacitance_ff:.6f} {_LARGEST_LOAD_FF} {timing}")
    return "\n".join(lines) + "\n"


def plain_verilog(circuit: Circuit) -> bytes:
    """The circuit as module ``circuit`` with ports i0, i1, ... and o0, o1, ...: no name of the user's in it."""
    inputs = tuple(Port(f"i{k}", port.nets) for k, port in enumerate(circuit.inputs))
    outputs = tuple(Port(f"o{k}", port.nets) for k, port in enumerate(circuit.outputs))
    return to_verilog(Circuit("circuit", inputs, outputs, circuit.gates, "laxity")).encode("ascii")


def _synthesised(circuit: Circuit, library: CellLibrary, tool: Tool, progress: Progress | None) -> Circuit:
    texts = {"adders.v": ADDERS, "cells.genlib": genlib(library), "map.abc": ABC_SCRIPT}
    files = {"in.v": plain_verilog(circuit), **{name: text.encode("ascii") for name, text in texts.items()}}
    shown = {"in.v": circuit.name}
    done = yosys(_SCRIPT, files, ["out.json"], progress=progress, shown=shown, tool=tool)
    return _to_circuit(ordered(read_module(done.outputs["out.json"], "circuit", outputs_of)), circuit)


def outputs_of(cell: str) -> tuple[str, ...]:
    """Output pins of a cell that the flow uses.

    Raises:
        ToolRunError: it uses no such cell.
    """
    if cell in ADDER_PINS:
        return ADDER_PINS[cell][1]
    if cell in FUNCTIONS or cell in CONSTANT_CELLS:
        return ("O",)
    raise ToolRunError(f"yosys used cell {cell!r}, which is not in the library that it was given")


def _to_circuit(module: Module, original: Circuit) -> Circuit:
    """Renumber nets and turn constants' cells into constants; ports get their names back."""
    numbers = {ZERO: ZERO, ONE: ONE}
    gates: list[list[Any]] = []

    def number(net: int) -> int:
        return numbers.setdefault(net, len(numbers))

    for cell in module.instances:
        if cell.type in CONSTANT_CELLS:
            numbers[cell.net("O")] = CONSTANT_CELLS[cell.type]
        else:
            gates.append(_gate(cell, number))
    document = {
        "inputs": [[number(net) for net in module.inputs.get(f"i{k}", ())] for k in range(len(original.inputs))],
        "gates": gates,
        "outputs": [[number(net) for net in module.outputs.get(f"o{k}", ())] for k in range(len(original.outputs))],
    }
    try:
        return _from_json(document, original)
    except (CircuitError, ValueError) as error:
        raise ToolRunError(f"the netlist of yosys is no circuit: {error}") from error


def _gate(cell: Instance, number: Callable[[int], int]) -> list[Any]:
    inputs, outputs = pins_of(cell.type)
    return [cell.type, [number(cell.net(pin)) for pin in inputs], [number(cell.net(pin)) for pin in outputs]]


def pins_of(cell: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the input and output pins of a mapped cell, in the order of `laxity.circuits.netlist.CELL_PINS`."""
    return ADDER_PINS.get(cell) or (tuple("ABCD"[: CELL_PINS[cell][0]]), ("O",))


def _to_json(circuit: Circuit) -> dict[str, Any]:
    return {
        "inputs": [list(port.nets) for port in circuit.inputs],
        "gates": [[gate.cell, list(gate.inputs), list(gate.outputs)] for gate in circuit.gates],
        "outputs": [list(port.nets) for port in circuit.outputs],
    }


def _from_json(document: Mapping[str, Any], original: Circuit) -> Circuit:
    """A netlist with the name and ports of `original`.

    Raises:
        CircuitError: it is no netlist.
        ValueError: its ports are not those of `original`.
    """
    inputs = _rewired(original.inputs, document["inputs"])
    outputs = _rewired(original.outputs, document["outputs"])
    gates = tuple(Gate(cell, tuple(pins), tuple(driven)) for cell, pins, driven in document["gates"])
    return Circuit(original.name, inputs, outputs, gates, f"{original.source}; mapped by yosys")


def _rewired(ports: tuple[Port, ...], nets: list[list[int]]) -> tuple[Port, ...]:
    if [len(several) for several in nets] != [port.width for port in ports]:
        raise ValueError("its ports have other widths than those of the circuit")
    return tuple(Port(port.name, tuple(several)) for port, several in zip(ports, nets, strict=True))


def _stored(store: Store, key: str, original: Circuit, library: CellLibrary, tool: Tool) -> Mapped | None:
    """What was made before, proved again; None if there is none, or it does not hold."""
    document = store.read("mapped", key)
    if document is None:
        return None
    try:
        made = _from_json(document, original)
        proof = prove_equal(original, evaluator(made), tool.identity)
        return _smaller(original, made, library, tool, proof)
    except (CircuitError, ToolRunError, ValueError, KeyError, TypeError):
        return None
