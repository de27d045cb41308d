"""From gate-level modules to a circuit: hierarchy opened, vectors split into bits, operators into gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laxity.circuits.importers.adders import adder_pins
from laxity.circuits.importers.cells import SEQUENTIAL, LibraryCell, library_cell
from laxity.circuits.importers.graph import Graph
from laxity.circuits.importers.verilog_logic import Logic, Scope
from laxity.circuits.importers.verilog_parser import PRIMITIVES
from laxity.circuits.importers.verilog_syntax import Assign, Expression, Instance, Module
from laxity.circuits.importers.verilog_tokens import BeyondError
from laxity.circuits.netlist import Circuit
from laxity.circuits.source import Source, identifier, shown
from laxity.core.errors import CircuitError

MAX_INSTANCES = 100_000
"""Most instances of modules after hierarchy is opened."""

MAX_LEVELS = 50
"""Deepest hierarchy."""

_ADDER_PINS = (2, 3)


@dataclass(frozen=True, slots=True)
class Adder:
    """A module that is a half or full adder: its function and its pins in the order of that function."""

    function: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Build:
    """Builds circuits of the modules of one file.

    Args:
        source: the file, for messages.
        modules: by name.
    """

    def __init__(self, source: Source, modules: dict[str, Module]) -> None:
        self._source = source
        self._modules = modules
        self._instances = 0
        self._adders: dict[str, Adder | None] = {}
        self.library_cells: set[str] = set()

    def circuit(self, top: str) -> Circuit:
        """Build the module called `top`.

        Raises:
            CircuitError: wrong connections, widths, names, drivers, loops or sizes; names the line.
        """
        module = self._modules[top]
        graph = Graph(self._source)
        scope = self._scope(graph, module, "")
        for port in module.ports:
            if module.signals[port].direction == "input":
                graph.input(scope.bits[port])
        self._fill(graph, scope, 0)
        sides: dict[str, list[tuple[str, Sequence[int]]]] = {"input": [], "output": []}
        for port in module.ports:
            sides[module.signals[port].direction].append((identifier(port), scope.bits[port]))
        return graph.circuit(identifier(top), sides["input"], sides["output"])

    def _scope(self, graph: Graph, module: Module, prefix: str) -> Scope:
        """New signals for everything that a module declares; bits from the least significant on."""
        bits: dict[str, list[int]] = {}
        for name, signal in module.signals.items():
            if signal.left is None or signal.right is None:
                bits[name] = [graph.signal(prefix + name, signal.line)]
                continue
            step = 1 if signal.left >= signal.right else -1
            indices = range(signal.right, signal.left + step, step)
            bits[name] = [graph.signal(f"{prefix}{name}[{i}]", signal.line) for i in indices]
        return Scope(module, bits, prefix)

    def _fill(self, graph: Graph, scope: Scope, level: int) -> None:
        logic = Logic(self._source, graph, scope)
        if level > MAX_LEVELS:
            raise self._source.error(
                scope.module.line, f"modules are nested deeper than {MAX_LEVELS}; does one contain itself?"
            )
        for item in scope.module.items:
            if isinstance(item, Assign):
                logic.assign(item.target, item.value, item.line)
            elif item.kind in PRIMITIVES:
                self._primitive(graph, logic, item)
            elif item.kind in self._modules:
                self._module(graph, logic, scope, item, level)
            else:
                self._library_cell(graph, logic, item)

    def _primitive(self, graph: Graph, logic: Logic, item: Instance) -> None:
        """Gates of the language: output first; not and buf have their outputs first and one input."""
        pins = item.listed
        many = item.kind in ("not", "buf")
        if item.named or len(pins) < (2 if many else 3) or any(p is None for p in pins):
            least = "an output and an input" if many else "an output and two inputs"
            raise self._source.error(item.line, f"{item.kind} needs {least}, listed by position")
        expressions = [p for p in pins if p is not None]
        split = len(pins) - 1 if many else 1
        inputs = [logic.bit(p) for p in expressions[split:]]
        function = {"not": "NOT", "buf": "WIRE"}.get(item.kind, item.kind.upper())
        for target in expressions[:split]:
            graph.drive(function, logic.target_bits(target, 1, item.line), inputs, item.line)

    def _library_cell(self, graph: Graph, logic: Logic, item: Instance) -> None:
        cell = library_cell(item.kind)
        if cell is None:
            raise self._unknown(item)
        if item.listed or not item.named:
            raise self._source.error(
                item.line,
                f"connect the pins of library cell {item.kind} by name, as .{cell.inputs[0]}(...): "
                "their order differs between models of the library",
            )
        extra = [pin for pin in item.named if pin not in (*cell.inputs, *cell.outputs)]
        if extra:
            wanted = ", ".join((*cell.inputs, *cell.outputs))
            raise self._source.error(item.line, f"{item.kind} has no pin {shown(extra[0])!r}; its pins are {wanted}")
        self.library_cells.add(item.kind)
        self._cell(graph, logic, item, cell)

    def _unknown(self, item: Instance) -> CircuitError:
        if SEQUENTIAL.fullmatch(item.kind):
            return self._source.error(
                item.line, f"{item.kind} stores or disconnects its output; only combinational circuits can be imported"
            )
        return BeyondError(
            self._source, item.line, f"{shown(item.kind)!r}, neither a module of this file nor a known cell,"
        )

    def _cell(self, graph: Graph, logic: Logic, item: Instance, cell: LibraryCell | Adder) -> None:
        """Connect an instance by name to a function with single-bit pins."""
        inputs = []
        for pin in cell.inputs:
            value = item.named.get(pin)
            if value is None:
                raise self._source.error(item.line, f"pin {pin!r} of {shown(item.kind)!r} is not connected; connect it")
            inputs.append(logic.bit(value))
        outputs = []
        for pin in cell.outputs:
            target = item.named.get(pin)
            outputs += logic.target_bits(target, 1, item.line) if target is not None else [graph.signal(pin, item.line)]
        graph.drive(cell.function, outputs, inputs, item.line)

    def _module(self, graph: Graph, logic: Logic, outer: Scope, item: Instance, level: int) -> None:
        self._instances += 1
        if self._instances > MAX_INSTANCES:
            raise self._source.error(item.line, f"more than {MAX_INSTANCES} instances; import a smaller circuit")
        module = self._modules[item.kind]
        pins = self._pins(module, item)
        adder = self._adder(module, level)
        if adder is not None:
            named = Instance(item.kind, item.name, pins, (), item.line)
            self._cell(graph, logic, named, adder)
            return
        scope = self._scope(graph, module, f"{outer.prefix}{item.name}.")
        for port, value in pins.items():
            bits = scope.bits[port]
            if module.signals[port].direction == "output":
                if value is not None:
                    targets = logic.target_bits(value, len(bits), item.line)
                    logic.connect(targets, bits[: len(targets)], item.line)
            elif value is not None:
                logic.connect(bits, logic.sized(value, len(bits), item.line), item.line)
        self._fill(graph, scope, level + 1)

    def _pins(self, module: Module, item: Instance) -> dict[str, Expression | None]:
        """What each port of a module is connected to."""
        if not item.listed:
            extra = [pin for pin in item.named if pin not in module.signals or not module.signals[pin].direction]
            if extra:
                raise self._source.error(
                    item.line,
                    f"{shown(module.name)!r} has no port {shown(extra[0])!r}; its ports are "
                    f"{shown(', '.join(module.ports))}",
                )
            return dict(item.named)
        if len(item.listed) > len(module.ports):
            raise self._source.error(
                item.line, f"{len(item.listed)} connections for the {len(module.ports)} ports of {shown(module.name)!r}"
            )
        return dict(zip(module.ports, item.listed, strict=False))

    def _adder(self, module: Module, level: int) -> Adder | None:
        """How a module is a half or full adder, found by its truth table; None if it is none."""
        if module.name not in self._adders:
            self._adders[module.name] = None
            widths = {module.signals[p].width for p in module.ports}
            ins = [p for p in module.ports if module.signals[p].direction == "input"]
            outs = [p for p in module.ports if module.signals[p].direction == "output"]
            plain = not any(isinstance(i, Instance) and i.kind in self._modules for i in module.items)
            if widths == {1} and len(ins) in _ADDER_PINS and len(outs) == 2 and plain and level <= MAX_LEVELS:
                order = adder_pins(self.circuit(module.name))
                if order is not None:
                    function = "HA" if len(ins) == 2 else "FA"
                    self._adders[module.name] = Adder(function, tuple(ins), (outs[order[0]], outs[order[1]]))
        return self._adders[module.name]
