"""Circuits through Yosys: a script that ends in simple gates and adders, and a strict reader of what it writes."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from laxity.circuits.importers.adders import adder_note
from laxity.circuits.importers.graph import FALSE, TRUE, Graph
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import MAX_TABLE_BITS, exhaustive_planes, settle
from laxity.circuits.source import Source, identifier, shown
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream
from laxity.eda.run import Finished, ToolInputError
from laxity.eda.tools import Tool, find
from laxity.eda.yosys import read_netlist, yosys

TIMEOUT_S = 120.0
"""Longest time that Yosys may take for one file."""

MAX_YOSYS_BYTES = 4 << 20
"""Largest file that is given to Yosys."""

_OUTSIDE = re.compile(rb"`include|``|\$readmem[bh]|\$f?open|\$fread|\$fscanf|\$system|DPI")
_REMEDIES = {
    "loop": "latches and feedback cannot be imported, cut the loop",
    "conflicting": "leave one driver",
    "no driver": "drive every net",
}
_MAX_WORDS = 1 << (MAX_TABLE_BITS - 6)
_NET_WORDS = 1 << 27
_log = logging.getLogger("laxity.circuits.importers")
_GATES = "AND,NAND,OR,NOR,XOR,XNOR,MUX,AOI3,OAI3,AOI4,OAI4"
_FUNCTIONS: dict[str, tuple[str, str]] = {
    "$_BUF_": ("WIRE", "A"),
    "$_NOT_": ("NOT", "A"),
    "$_AND_": ("AND", "AB"),
    "$_NAND_": ("NAND", "AB"),
    "$_OR_": ("OR", "AB"),
    "$_NOR_": ("NOR", "AB"),
    "$_XOR_": ("XOR", "AB"),
    "$_XNOR_": ("XNOR", "AB"),
    "$_ANDNOT_": ("ANDNOT", "AB"),
    "$_ORNOT_": ("ORNOT", "AB"),
    "$_MUX_": ("MUX", "SAB"),
    "$_NMUX_": ("NMUX", "SAB"),
    "$_AOI3_": ("AOI21", "ABC"),
    "$_OAI3_": ("OAI21", "ABC"),
    "$_AOI4_": ("AOI22", "ABCD"),
    "$_OAI4_": ("OAI22", "ABCD"),
}
"""Function and input pins of the simple gates of Yosys; all drive Y.

Source: techlibs/common/simcells.v of Yosys.
"""

_MEMORY = re.compile(r"\$_?(?:S?DFF|SR|DLATCH|ALDFF|FF|MEM|ADFF|AL|S?DFFE)", re.I)
_SOURCE_LINE = re.compile(r":([0-9]{1,7})")
_TOP = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


def read_with_yosys(source: Source, reader: str, file: str, top: str | None) -> tuple[Circuit, tuple[str, ...]]:
    """Let Yosys read a file, and return the circuit between the ports of its top module, and notes.

    Undriven nets and unknown values are set to 0 in one pass and to 1 in another: where the two circuits differ, the
    outputs depend on what nothing determines, and the file is refused.

    Args:
        source: the file.
        reader: the command of Yosys that reads it, with options.
        file: what the file is called in Yosys's folder.
        top: the top module; found by Yosys if None.

    Raises:
        CircuitError: Yosys refuses the file, or it is sequential, cyclic, undetermined or too large.
        ToolError: Yosys is missing.
        ToolRunError: Yosys was killed or ran out of time or memory.
    """
    if top is not None and not _TOP.fullmatch(top):
        raise CircuitError(f"module {shown(top)!r} is no plain Verilog name; rename it for Yosys")
    _refuse_outside(source)
    tool = find("yosys")
    done = _run(source, tool, file, _script(reader, file, top), ["zero.json", "one.json"])
    if isinstance(done, ToolInputError):
        diagnosis = _run(
            source, tool, file, "\n".join([*_read(reader, file, top), "tee -o check.txt check", ""]), ["check.txt"]
        )
        if isinstance(diagnosis, Finished):
            _refuse_problems(source, diagnosis.outputs["check.txt"].decode("utf-8", "replace"))
        place = done.line if done.file == source.label else None
        raise source.error(place, f"{shown(done.reason)} (says {tool.identity})") from done
    zero, one = (_circuit(source, done.outputs[name]) for name in ("zero.json", "one.json"))
    if not _equal(zero, one):
        raise source.error(None, "outputs depend on undriven nets or on x; drive every net and assign every case")
    return zero, (f"mapped to gates by {tool.identity}", *adder_note(zero))


def _run(source: Source, tool: Tool, file: str, script: str, wanted: list[str]) -> Finished | ToolInputError:
    """Run a script over the file; an error in the file is returned."""
    try:
        return yosys(
            script,
            {file: source.data},
            wanted,
            TIMEOUT_S,
            progress=_log.info,
            shown={file: source.label},
            tool=tool,
        )
    except ToolInputError as error:
        return error


def _refuse_outside(source: Source) -> None:
    """Refuse what would make Yosys open other files or call foreign functions, and what is too large for it."""
    if len(source.data) > MAX_YOSYS_BYTES:
        raise source.error(
            None, f"has more than {MAX_YOSYS_BYTES >> 20} MiB, too much for Yosys; map it to gates first"
        )
    match = _OUTSIDE.search(source.data)
    if match is not None:
        line = source.data[: match.start()].count(b"\n") + 1
        raise source.error(
            line, f"{shown(match[0].decode())!r} reaches outside the file; import one file with everything in it"
        )


def _refuse_problems(source: Source, report: str) -> None:
    """Raise what ``check`` reports.

    Raises:
        CircuitError: several drivers, none, or a loop.
    """
    for line in report.splitlines():
        before, warning, text = line.partition("Warning: ")
        if not warning or before:
            continue
        remedy = next((r for words, r in _REMEDIES.items() if words in text.casefold()), "correct the file")
        raise source.error(None, f"{shown(text.rstrip(':.'))} (says Yosys); {remedy}")


def _read(reader: str, file: str, top: str | None) -> list[str]:
    """Commands from reading to one flat module without processes."""
    choose = f"hierarchy -check -top {top}" if top is not None else "hierarchy -check -auto-top"
    return [f"{reader} {file}", choose, "proc", "flatten"]


def _script(reader: str, file: str, top: str | None) -> str:
    """Commands from reading to both netlists."""
    lines = [*_read(reader, file, top), "check -assert", "memory -nomap", "design -save read"]
    for value, name in (("-zero", "zero.json"), ("-one", "one.json")):
        lines += [
            "design -load read",
            f"setundef -undriven {value}",
            "opt -full",
            "alumacc",
            "opt",
            "techmap -D NOLCU",
            "opt -full",
            "extract_fa -fa -ha",
            "opt_clean",
            f"abc -g {_GATES}",
            "opt_clean -purge",
            f"write_json {name}",
        ]
    return "\n".join(lines) + "\n"


def _equal(zero: Circuit, one: Circuit) -> bool:
    """Whether two circuits agree: on all inputs where a table is possible, else on random ones."""
    if zero.key == one.key or not zero.inputs:
        return zero.key == one.key
    widths = {port.name: port.width for port in zero.inputs}
    total = sum(widths.values())
    words = min(_MAX_WORDS, _NET_WORDS // max(zero.net_count(), one.net_count()))
    if total <= MAX_TABLE_BITS and 1 << max(0, total - 6) <= words:
        planes = exhaustive_planes(total)
    else:
        planes = stream(0, "unknown values", zero.key).integers(0, 1 << 63, (total, words)).astype("uint64")
    inputs, start = {}, 0
    for name, width in widths.items():
        inputs[name] = planes[start : start + width]
        start += width
    a, b = settle(zero, inputs), settle(one, inputs)
    pairs = zip(zero.outputs, one.outputs, strict=True)
    return all((a[x] == b[y]).all() for p, q in pairs for x, y in zip(p.nets, q.nets, strict=True))


def _circuit(source: Source, content: bytes) -> Circuit:
    """The only module of a netlist."""
    modules = read_netlist(content)["modules"]
    tops = [n for n, m in modules.items() if str(m.get("attributes", {}).get("top", "0")).endswith("1")]
    if len(tops) != 1:
        raise source.error(None, f"has {len(tops)} top modules; name the one to import with --top")
    return netlist_circuit(source, tops[0], modules[tops[0]])


def netlist_circuit(source: Source, name: str, module: Any) -> Circuit:
    """Read one module in the form of Yosys's ``write_json``.

    Raises:
        CircuitError: another form, another cell than a simple gate or adder, wrong pins, or what `Graph` refuses.
    """
    try:
        return _module_circuit(source, name, module)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise source.error(
            None, f"became a netlist in another form than Yosys writes ({shown(error)}); try another version of Yosys"
        ) from error


def _module_circuit(source: Source, name: str, module: Any) -> Circuit:
    graph = Graph(source)
    signals: dict[int, int] = {}

    def bits_of(bits: Any) -> list[int]:
        if not isinstance(bits, list):
            raise source.error(None, f"wrong connection {shown(json.dumps(bits))} in the netlist")
        return [_bit(source, graph, signals, bit) for bit in bits]

    sides: dict[str, list[tuple[str, list[int]]]] = {"input": [], "output": []}
    for port, facts in module["ports"].items():
        if facts["direction"] not in sides:
            raise source.error(None, f"port {shown(port)!r} is {facts['direction']}; use an input and an output")
        sides[facts["direction"]].append((identifier(port), bits_of(facts["bits"])))
    for _, bits in sides["input"]:
        graph.input(bits)
    for cell in module["cells"].values():
        line = _SOURCE_LINE.search(str(cell.get("attributes", {}).get("src", "")))
        pins = {pin: bits_of(bits) for pin, bits in cell["connections"].items()}
        _cell(source, graph, str(cell["type"]), pins, int(line[1]) if line else 0)
    return graph.circuit(identifier(name.lstrip("\\")), sides["input"], sides["output"])


def _bit(source: Source, graph: Graph, signals: dict[int, int], bit: Any) -> int:
    if bit in ("0", "1"):
        return TRUE if bit == "1" else FALSE
    if not isinstance(bit, int) or isinstance(bit, bool):
        raise source.error(None, f"a pin is connected to {shown(bit)!r}, which is unknown; drive every net")
    if bit not in signals:
        signals[bit] = graph.signal(f"net {bit}", 0)
    return signals[bit]


def _cell(source: Source, graph: Graph, kind: str, pins: dict[str, list[int]], line: int) -> None:
    if kind == "$fa":
        for x, y, z, total, carry in zip(*(pins.get(p, []) for p in ("A", "B", "C", "Y", "X")), strict=True):
            graph.drive("FA", [total, carry], [x, y, z], line)
        return
    known = _FUNCTIONS.get(kind)
    if known is None:
        what = "memory: flip-flops and latches" if _MEMORY.match(kind) else f"a cell {shown(kind)!r}:"
        raise source.error(line, f"has {what} that no combinational circuit has; assign every output in every case")
    function, inputs = known
    if set(pins) != {*inputs, "Y"} or any(len(bits) != 1 for bits in pins.values()):
        raise source.error(line, f"a gate {kind} has pins {sorted(pins)} in the netlist; one bit at each is needed")
    graph.drive(function, pins["Y"], [pins[p][0] for p in inputs], line)
