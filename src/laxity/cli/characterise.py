"""``laxity circuits characterise``: area, delay, leakage and energy of circuits on cells, or their size on an FPGA."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table, note

if TYPE_CHECKING:
    from laxity.circuits import CellLibrary, Circuit
    from laxity.circuits.synthesis import Characterisation, Resources, Streams

BUILT_IN = "asic45"
"""Name of the built-in cell table as a target."""

TRACE = "trace"
"""Name of the operand source given by --trace."""


class FlowName(StrEnum):
    """How the netlist is made that is measured."""

    NETLIST = "netlist"
    YOSYS = "yosys"


_NAMES = typer.Argument(
    metavar="NAME...",
    help="Circuits such as drum8_4, dadda8s, loa16_4, mac_drum8_4, or families such as drum: all of it in the list of "
    "its width.",
    show_default=False,
)
_TARGET = typer.Option("--target", help="asic45, the path of a Liberty file (.lib), xilinx7, ecp5 or ice40.")
_FLOW = typer.Option(
    "--flow", help="The netlist as it is, or mapped by Yosys.", show_default="netlist; yosys for an FPGA family"
)
_TRACE = typer.Option("--trace", help="Operands besides uniform ones: .npz with an array for each input port.")
_PLACE = typer.Option("--place", help="ecp5 and ice40: place and route between registers.")
_SEED = typer.Option("--seed", min=0, help="Of place and route.")
_WIDTH = typer.Option("--width", help="Operand width in bits of families.", show_default="8, adders 16")


def characterise(
    names: Annotated[list[str], _NAMES],
    target: Annotated[str, _TARGET] = BUILT_IN,
    flow: Annotated[FlowName | None, _FLOW] = None,
    trace: Annotated[Path | None, _TRACE] = None,
    place: Annotated[bool, _PLACE] = False,
    seed: Annotated[int, _SEED] = 1,
    width: Annotated[int | None, _WIDTH] = None,
    json: shared.Json = False,
) -> None:
    """Characterise circuits on a cell library or an FPGA family.

    Cells: area, static timing, leakage, and switching energy without glitches (zero) and with them (inertial), under
    uniform operands and under those of --trace; no wires, no layout. FPGA: resources after synthesis without DSP
    blocks, a relative energy index, and with --place the post-route frequency and the bitstream. Results are kept in
    the folder LAXITY_CACHE [default: laxity in the user's cache folder].
    """
    from laxity.circuits.synthesis import Family

    circuits = [circuit for name in names for circuit in _resolve(name, width)]
    fpga = target in get_args(Family)
    if place and not fpga:
        raise typer.BadParameter(f"{target} is not placed and routed; use --target ecp5 or ice40", param_hint="--place")
    if fpga and flow is FlowName.NETLIST:
        raise typer.BadParameter(f"{target} is always synthesised by Yosys; leave out --flow", param_hint="--flow")
    if fpga:
        _fpga(circuits, target, trace, place, seed, json=json)
    else:
        _cells(circuits, library_of(target, ", xilinx7, ecp5 or ice40"), flow or FlowName.NETLIST, trace, json=json)


def _resolve(name: str, width: int | None) -> list[Circuit]:
    """The circuit of that name or file, or all of the family in the list of its width."""
    from laxity.circuits import ADDERS, MULTIPLIERS, adder_catalogue, catalogue, mac_catalogue
    from laxity.circuits.importers import load_circuit

    if Path(name).suffix:
        return [load_circuit(name)]
    if name in MULTIPLIERS:
        listed = [n for n in catalogue.names(width or 8) if catalogue.parse(n)[0].name == name]
        return [catalogue.circuit(n) for n in _some(listed, name, width or 8)]
    if name in ADDERS:
        listed = [n for n in adder_catalogue.names(width or 16) if adder_catalogue.parse(n)[0].name == name]
        return [adder_catalogue.circuit(n) for n in _some(listed, name, width or 16)]
    if mac_catalogue.known(name):
        return [mac_catalogue.circuit(name)]
    return [(adder_catalogue if adder_catalogue.known(name) else catalogue).circuit(name)]


def _some(listed: list[str], family: str, width: int) -> list[str]:
    if not listed:
        raise typer.BadParameter(f"no circuit of the family {family} is listed for {width} bits", param_hint="--width")
    return listed


def library_of(target: str, others: str = "") -> CellLibrary:
    """The cells that --target names; `others` are further targets, for the message."""
    from laxity.circuits import default_library
    from laxity.circuits.liberty import load_liberty

    if target == BUILT_IN:
        return default_library()
    if not target.endswith(".lib"):
        raise typer.BadParameter(
            f"{target!r} is no target; use {BUILT_IN}, a Liberty file (.lib){others}",
            param_hint="--target",
        )
    return load_liberty(Path(target))


def _traced(circuit: Circuit, trace: Path | None) -> dict[str, Streams]:
    from laxity.circuits.synthesis import load_streams

    return {} if trace is None else {TRACE: load_streams(trace, circuit)}


def _cells(
    circuits: Sequence[Circuit], library: CellLibrary, flow: FlowName, trace: Path | None, *, json: bool
) -> None:
    from laxity.circuits.synthesis import characterise as measure

    found: list[Characterisation] = []
    for number, circuit in enumerate(circuits, 1):
        _progress(number, circuits, circuit.name)
        operands = _traced(circuit, trace)
        found.append(measure(circuit, library=library, flow=flow.value, operands=operands, progress=note))
    if json:
        emit_json([figures.to_json() for figures in found])
    else:
        sources = [(e.operands, e.delays) for e in found[0].energies]
        columns = ["name", "cells", "area_um2", "delay_ns", "leakage_nw"]
        emit_table([*columns, *(f"{operands} {delays} pJ" for operands, delays in sources)], [_row(f) for f in found])
    note(f"library: {library.name} ({library.source}), {library.voltage_v:g} V, {library.temperature_c:g} C")
    how = "the netlist as it is" if not found[0].tool else f"mapped by {found[0].tool}, {found[0].proof}"
    if larger := [figures.name for figures in found if figures.tool and figures.measured == "given"]:
        how += f"; as given, because mapping made it larger: {', '.join(larger)}"
    note(f"flow: {how}; no wires, no sizing, no layout; energy per operation, uniform operands drawn anew each time")


def _row(figures: Characterisation) -> list[object]:
    energies = [energy.energy_pj for energy in figures.energies]
    count = sum(figures.cells.values())
    return [figures.name, count, figures.area_um2, figures.delay_ns, figures.leakage_nw, *energies]


def _fpga(circuits: Sequence[Circuit], family: Any, trace: Path | None, place: bool, seed: int, *, json: bool) -> None:
    from laxity.circuits.synthesis import synthesise_fpga

    found: list[Resources] = []
    for number, circuit in enumerate(circuits, 1):
        _progress(number, circuits, circuit.name)
        operands = _traced(circuit, trace)
        result = synthesise_fpga(circuit, family, placed=place, seed=seed, operands=operands, progress=note)
        found.append(result)
    if json:
        emit_json([resources.to_json() for resources in found])
    else:
        columns = ["name", "lut", "carry", "ff", "dsp", "bram", *(f"{name} index" for name in found[0].energy_index)]
        columns += ["frequency_mhz", "bitstream_bytes"] if place else []
        emit_table(columns, [_resources_row(resources) for resources in found])
    tools = found[0].tool if found[0].placement is None else found[0].placement.tools
    note(f"{family}: synthesised by {tools}; {found[0].proof}")
    if family == "xilinx7":
        note("resource counts only: there is no open place and route for this family here, so no frequency")
    note("index: toggles x (1 + fan-out) per operation, relative and only within a family; it is no power")


def _resources_row(found: Resources) -> list[object]:
    row: list[object] = [found.name, found.lut, found.carry, found.ff, found.dsp, found.bram]
    row += found.energy_index.values()
    if found.placement is not None:
        row += [found.placement.frequency_mhz, found.placement.bitstream_bytes]
    return row


def _progress(number: int, circuits: Sequence[Circuit], name: str) -> None:
    if len(circuits) > 1:
        note(f"[{number}/{len(circuits)}] {name}")
