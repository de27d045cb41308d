"""BLIF, the Berkeley logic interchange format: covers and mapped gates of one combinational model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from laxity.circuits.importers.adders import adder_note, with_adders
from laxity.circuits.importers.buses import buses
from laxity.circuits.importers.cells import library_cell
from laxity.circuits.importers.graph import FALSE, TRUE, Graph
from laxity.circuits.importers.importer import Content, NetlistContent, Options, importer
from laxity.circuits.importers.npy import pick
from laxity.circuits.importers.yosys_netlist import read_with_yosys
from laxity.circuits.netlist import Circuit
from laxity.circuits.source import Source, identifier, shown

MAX_COVER_INPUTS = 64
"""Most inputs of one cover."""

_SMALL = 3
_IGNORED = frozenset({".default_input_arrival", ".area", ".delay", ".attr", ".param", ".cname", ".barbuf"})


@dataclass(slots=True)
class _Cover:
    line: int
    names: list[str]
    rows: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Model:
    name: str
    line: int
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    covers: list[_Cover] = field(default_factory=list)
    gates: list[tuple[int, str, list[tuple[str, str]]]] = field(default_factory=list)
    subcircuits: int = 0
    ended: bool = False


@importer("blif", suffixes=(".blif",))
def blif(source: Source, options: Options) -> Content:
    """BLIF netlist of one combinational model; hierarchy (.subckt) through Yosys."""
    if not options.with_yosys:
        models = _parse(source)
        name = options.top or next(iter(models))
        model = models[pick(source, list(models), name, "model", "--top")]
        if not model.subcircuits:
            notes = (f"model {shown(model.name)!r} of {len(models)} in the file",) if len(models) > 1 else ()
            circuit = _circuit(source, model)
            circuit = circuit if model.gates else with_adders(circuit)
            return NetlistContent(circuit, (*notes, *adder_note(circuit)))
        why = f"line {model.subcircuits} has .subckt, so Yosys read the file"
    else:
        source.text()
        why = "read by Yosys, as asked"
    circuit, mapped = read_with_yosys(source, "read_blif -wideports", "input.blif", options.top)
    return NetlistContent(circuit, (why, *mapped))


def _lines(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Words of each line, with continued lines joined, at the number of their first line."""
    words: list[str] = []
    start = 0
    for number, raw in enumerate(source.text().split("\n"), 1):
        text = raw.partition("#")[0].strip()
        goes_on = text.endswith("\\")
        start = start or number
        words += text.removesuffix("\\").split()
        if goes_on:
            continue
        if words:
            yield start, words
        words, start = [], 0
    if words:
        raise source.error(start, "the last line goes on with '\\' but the file ends; is it truncated?")


def _parse(source: Source) -> dict[str, _Model]:
    models: dict[str, _Model] = {}
    model: _Model | None = None
    cover: _Cover | None = None
    for line, words in _lines(source):
        if words[0] == ".model":
            name = words[1] if len(words) > 1 else source.stem
            if name in models:
                raise source.error(line, f"model {shown(name)!r} is defined again, first at line {models[name].line}")
            model, cover = _Model(name, line), None
            models[name] = model
        elif model is None or model.ended:
            raise source.error(line, f"{shown(words[0])!r} outside a model; begin with .model")
        elif words[0].startswith("."):
            cover = _statement(source, model, line, words)
        elif cover is not None:
            cover.rows.append(_row(source, cover, line, words))
        else:
            raise source.error(line, f"{shown(words[0])!r} where a statement such as .names should stand")
    if not models:
        raise source.error(None, "has no .model; give a complete BLIF file")
    for unfinished in models.values():
        if not unfinished.ended:
            raise source.error(unfinished.line, f"model {shown(unfinished.name)!r} has no .end; is the file truncated?")
    return models


def _statement(source: Source, model: _Model, line: int, words: list[str]) -> _Cover | None:
    """Take one statement; returns the cover that it begins."""
    match words[0]:
        case ".inputs":
            model.inputs += words[1:]
        case ".outputs":
            model.outputs += words[1:]
        case ".names":
            if not 2 <= len(words) <= MAX_COVER_INPUTS + 2:
                raise source.error(
                    line, f".names lists {len(words) - 1} signals; 1 to {MAX_COVER_INPUTS + 1} can be read"
                )
            model.covers.append(_Cover(line, words[1:]))
            return model.covers[-1]
        case ".gate":
            pins = [(w.partition("=")[0], w.partition("=")[2]) for w in words[2:]]
            model.gates.append((line, words[1] if len(words) > 1 else "", pins))
        case ".subckt":
            model.subcircuits = model.subcircuits or line
        case ".latch" | ".mlatch":
            raise source.error(line, f"{words[0]} stores its output; only combinational circuits can be imported")
        case ".end":
            model.ended = True
        case other if other in _IGNORED:
            pass
        case other:
            raise source.error(
                line, f"{shown(other)!r} is no statement that can be imported; flatten and map the model"
            )
    return None


def _row(source: Source, cover: _Cover, line: int, words: list[str]) -> tuple[str, str]:
    """Input part and output of a line of a cover."""
    *cube, value = words if len(cover.names) > 1 else ["", *words]
    text = cube[0] if len(cube) == 1 else "?"
    if len(text) != len(cover.names) - 1 or set(text) - set("01-") or value not in ("0", "1"):
        raise source.error(
            line, f"a line of a cover of {len(cover.names) - 1} inputs needs as many of 0, 1, - and then 0 or 1"
        )
    if cover.rows and cover.rows[0][1] != value:
        raise source.error(line, "a cover lists either where it is 1 or where it is 0, not both")
    return text, value


def _circuit(source: Source, model: _Model) -> Circuit:
    graph = Graph(source)
    signals: dict[str, int] = {}

    def signal(name: str, line: int) -> int:
        if name not in signals:
            signals[name] = graph.signal(name, line)
        return signals[name]

    for kind, names in (("input", model.inputs), ("output", model.outputs)):
        if len(set(names)) != len(names) or not names:
            raise source.error(model.line, f"model {shown(model.name)!r} lists an {kind} twice or none; list each once")
    graph.input([signal(name, model.line) for name in model.inputs])
    for cover in model.covers:
        *inputs, output = [signal(name, cover.line) for name in cover.names]
        _cover(graph, cover, inputs, output)
    for line, name, pins in model.gates:
        _gate(source, graph, line, name, pins, signal)
    sides = [
        [(identifier(bus), [signal(names[i], model.line) for i in places]) for bus, places in buses(names)]
        for names in (model.inputs, model.outputs)
    ]
    return graph.circuit(identifier(model.name), sides[0], sides[1])


def _cover(graph: Graph, cover: _Cover, inputs: list[int], output: int) -> None:
    """Drive a signal by a sum of products; functions of few inputs become the gate that they are."""
    ones = not cover.rows or cover.rows[0][1] == "1"
    known = _known(cover, len(inputs)) if len(inputs) <= _SMALL else None
    if known is not None:
        graph.drive(known[0], [output], [inputs[i] for i in known[1]], cover.line)
        return
    terms = []
    for cube, _ in cover.rows:
        graph.spend(len(cube), cover.line)
        literals = []
        for signal, sign in zip(inputs, cube, strict=True):
            if sign == "1":
                literals.append(signal)
            elif sign == "0":
                literals.append(graph.gate("NOT", [signal], cover.line))
        terms.append(graph.gate("AND", literals, cover.line) if literals else TRUE)
    graph.drive("OR" if ones else "NOR", [output], terms or [FALSE], cover.line)


def _known(cover: _Cover, count: int) -> tuple[str, tuple[int, ...]] | None:
    """A gate that computes a cover of few inputs, and which input is at which of its pins."""
    ones = bool(cover.rows) and cover.rows[0][1] == "1"
    table = []
    for row in itertools.product("01", repeat=count):
        hit = any(all(s in ("-", b) for s, b in zip(cube, row, strict=True)) for cube, _ in cover.rows)
        table.append(hit if ones else bool(cover.rows) and not hit)
    return _GATE_OF.get((count, tuple(table)))


_TWO_PIN: dict[str, Callable[..., bool]] = {
    "AND": lambda *x: all(x),
    "OR": lambda *x: any(x),
    "XOR": lambda *x: sum(x) % 2 == 1,
    "NAND": lambda *x: not all(x),
    "NOR": lambda *x: not any(x),
    "XNOR": lambda *x: sum(x) % 2 == 0,
}
_SHAPES: list[tuple[str, int, Callable[..., bool]]] = [
    ("WIRE", 1, bool),
    ("NOT", 1, lambda x: not x),
    *((name, pins, rule) for pins in (2, 3) for name, rule in _TWO_PIN.items()),
    ("ANDNOT", 2, lambda x, y: bool(x and not y)),
    ("ORNOT", 2, lambda x, y: bool(x or not y)),
    ("MUX", 3, lambda s, x, y: bool(y if s else x)),
    ("NMUX", 3, lambda s, x, y: not (y if s else x)),
    ("AOI21", 3, lambda a, b, c: not ((a and b) or c)),
    ("OAI21", 3, lambda a, b, c: not ((a or b) and c)),
]


def _gate_of() -> dict[tuple[int, tuple[bool, ...]], tuple[str, tuple[int, ...]]]:
    """Gate and order of pins for each truth table that is one gate."""
    found: dict[tuple[int, tuple[bool, ...]], tuple[str, tuple[int, ...]]] = {}
    for name, count, rule in _SHAPES:
        for pins in itertools.permutations(range(count)):
            rows = itertools.product((0, 1), repeat=count)
            found.setdefault((count, tuple(rule(*(row[p] for p in pins)) for row in rows)), (name, pins))
    return found


_GATE_OF = _gate_of()


def _gate(
    source: Source, graph: Graph, line: int, name: str, pins: list[tuple[str, str]], signal: Callable[[str, int], int]
) -> None:
    """A mapped gate of a known library, connected as pin=signal."""
    cell = library_cell(name)
    if cell is None:
        raise source.error(line, f"{shown(name)!r} is no known combinational cell; write the model with .names")
    connected = dict(pins)
    if set(connected) - {*cell.inputs, *cell.outputs} or not set(cell.inputs) <= set(connected):
        wanted = ", ".join((*cell.inputs, *cell.outputs))
        raise source.error(line, f"{name} is connected at {shown(', '.join(connected))}; its pins are {wanted}")
    inputs = [signal(connected[pin], line) for pin in cell.inputs]
    outputs = [signal(connected[p], line) if p in connected else graph.signal(p, line) for p in cell.outputs]
    graph.drive(cell.function, outputs, inputs, line)
