"""Verilog: gate-level text is read here, behavioural text and SystemVerilog by Yosys."""

from __future__ import annotations

import re

from laxity.circuits.importers.adders import adder_note, with_adders
from laxity.circuits.importers.importer import Content, NetlistContent, Options, importer
from laxity.circuits.importers.npy import pick
from laxity.circuits.importers.verilog_build import Build
from laxity.circuits.importers.verilog_parser import parse
from laxity.circuits.importers.verilog_syntax import Instance, Module
from laxity.circuits.importers.verilog_tokens import BeyondError
from laxity.circuits.importers.yosys_netlist import read_with_yosys
from laxity.circuits.source import Source, shown

_SIGNED_PORT = re.compile(rb"\binput\s+(?:wire\s+|reg\s+|logic\s+)?signed\b")


@importer("verilog", suffixes=(".v", ".vh", ".vg"))
def verilog(source: Source, options: Options) -> Content:
    """Verilog, gate-level by laxity itself, behavioural through Yosys."""
    if options.with_yosys:
        return _by_yosys(source, options, "read by Yosys, as asked")
    try:
        return _gates(source, options)
    except BeyondError as beyond:
        return _by_yosys(source, options, f"line {beyond.line} has {beyond.what}, so Yosys read the file")


@importer("systemverilog", suffixes=(".sv", ".svh"))
def systemverilog(source: Source, options: Options) -> Content:
    """SystemVerilog through Yosys."""
    return _by_yosys(source, options, "SystemVerilog, read by Yosys")


def _by_yosys(source: Source, options: Options, why: str) -> Content:
    source.text()
    dialect = "-sv" if source.suffix in (".sv", ".svh") else ""
    circuit, notes = read_with_yosys(source, f"read_verilog {dialect}".strip(), "input.v", options.top)
    return NetlistContent(circuit, (why, *notes), bool(_SIGNED_PORT.search(source.data)))


def _gates(source: Source, options: Options) -> Content:
    modules = parse(source)
    top = _top(source, modules, options.top)
    build = Build(source, modules)
    circuit = build.circuit(top)
    if not build.library_cells:
        circuit = with_adders(circuit)
    notes = [f"module {shown(top)!r} of {len(modules)} in the file"] if len(modules) > 1 else []
    if any(name.startswith("MUX2X") for name in build.library_cells):
        notes.append(
            "MUX2X cells invert, as in gscl45nm.lib; some generators of netlists write them as if they did not"
        )
    return NetlistContent(circuit, (*notes, *adder_note(circuit)), False)


def _top(source: Source, modules: dict[str, Module], wanted: str | None) -> str:
    """The module to import: the one asked for, or the only one that no other module contains."""
    if wanted is not None:
        return pick(source, list(modules), wanted, "module", "--top")
    used = {item.kind for m in modules.values() for item in m.items if isinstance(item, Instance)}
    free = [name for name in modules if name not in used]
    named = [name for name in free if name == source.stem]
    if len(free) > 1 and named:
        return named[0]
    if not free:
        raise source.error(
            next(iter(modules.values())).line, "every module contains itself through others; cut the circle"
        )
    return pick(source, free, None, "module", "--top")
