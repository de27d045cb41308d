"""Gate-level Verilog modules: ports, wires, assignments, gate primitives and instances; nothing behavioural."""

from __future__ import annotations

from laxity.circuits.importers.verilog_expressions import MAX_WIDTH, Reader
from laxity.circuits.importers.verilog_syntax import Assign, Expression, Instance, Join, Module, Name, Signal
from laxity.circuits.importers.verilog_tokens import BeyondError, Token, tokens
from laxity.circuits.source import Source, shown

PRIMITIVES = frozenset({"and", "or", "nand", "nor", "xor", "xnor", "not", "buf"})
"""Gates of the language that are taken."""

MAX_PORTS = 4096
"""Most ports of a module."""

_SEQUENTIAL = frozenset({"always", "initial", "always_ff", "always_comb", "always_latch"})
_BEYOND = frozenset(
    {
        "reg",
        "logic",
        "integer",
        "genvar",
        "generate",
        "function",
        "task",
        "signed",
        "tri",
        "wand",
        "wor",
        "tri0",
        "tri1",
    }
    | {"supply0", "supply1", "specify", "defparam", "for", "if", "case", "real", "bit", "uwire", "triand", "trior"}
    | {"import", "interface", "package", "typedef", "struct", "enum", "bufif0", "bufif1", "notif0", "notif1"}
    | {"var", "byte", "int", "primitive", "config", "class", "program"}
    | _SEQUENTIAL
)
_DIRECTIONS = ("input", "output", "inout")


def parse(source: Source) -> dict[str, Module]:
    """Parse a file; modules by name in their order.

    Raises:
        CircuitError: it is no Verilog, or a module is wrong or incomplete; names the line.
        BeyondError: it uses more of the language than gates and wires.
    """
    reader = Reader(source, tokens(source))
    modules: dict[str, Module] = {}
    while reader.here.kind != "end":
        if reader.at("`", *_BEYOND):
            raise reader.beyond(f"{shown(reader.here.text)!r}")
        if not reader.take("module"):
            raise reader.unexpected("'module'")
        module = _Parser(reader).module()
        if module.name in modules:
            first = modules[module.name].line
            raise source.error(module.line, f"module {shown(module.name)!r} is defined again, first at line {first}")
        modules[module.name] = module
    if not modules:
        raise source.error(None, "has no module; give a complete Verilog file")
    return modules


class _Parser:
    """Parses one module after its keyword."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._error = reader.source.error

    def module(self) -> Module:
        """Parse up to and with ``endmodule``."""
        reader = self._reader
        name = reader.name("the name of the module")
        self._module = Module(name.text, name.line)
        reader.constants = self._module.constants
        if reader.at("#"):
            raise reader.beyond("a module with parameters in its header")
        if reader.take("("):
            self._ports()
        reader.expect(";", "after the header of the module")
        while not reader.take("endmodule"):
            self._item()
        for port in self._module.ports:
            signal = self._module.signals.get(port)
            if signal is None or not signal.direction:
                raise self._error(name.line, f"port {shown(port)!r} has no direction; declare it as input or output")
        return self._module

    def _ports(self) -> None:
        """The list of the header, of names or of declarations."""
        reader = self._reader
        direction, bounds = "", None
        while not reader.take(")"):
            if reader.at(".", "{"):
                raise reader.beyond("a port that is an expression")
            if reader.at(*_DIRECTIONS):
                direction = self._direction()
                reader.take("wire")
                bounds = self._range()
            port = reader.name("the name of a port")
            if port.text in self._module.ports:
                raise self._error(port.line, f"port {shown(port.text)!r} is listed twice")
            if len(self._module.ports) >= MAX_PORTS:
                raise self._error(port.line, f"more than {MAX_PORTS} ports; use vectors")
            self._module.ports.append(port.text)
            if direction:
                self._declare(port, direction, bounds)
            if not reader.at(")"):
                reader.expect(",", "between ports")

    def _direction(self) -> str:
        token = self._reader.next()
        if token.text == "inout":
            raise self._error(token.line, "inout ports cannot be imported; use an input and an output")
        if self._reader.at(*_BEYOND):
            raise self._reader.beyond(f"{self._reader.here.text!r}")
        return token.text

    def _range(self) -> tuple[int, int] | None:
        """``[left:right]`` if it is there."""
        reader = self._reader
        if reader.at(*_BEYOND):
            raise reader.beyond(f"{reader.here.text!r}")
        line = reader.here.line
        if not reader.take("["):
            return None
        left = reader.integer("the index of the most significant bit")
        reader.expect(":", "between the indices of a vector")
        right = reader.integer("the index of the least significant bit")
        reader.expect("]", "after the indices of a vector")
        if min(left, right) < 0 or abs(left - right) >= MAX_WIDTH:
            raise self._error(
                line, f"vector [{left}:{right}]; indices from 0 and at most {MAX_WIDTH} bits can be imported"
            )
        return left, right

    def _declare(self, token: Token, direction: str, bounds: tuple[int, int] | None) -> None:
        left, right = bounds if bounds is not None else (None, None)
        known = self._module.signals.get(token.text)
        if known is None:
            self._module.signals[token.text] = Signal(direction, left, right, token.line)
            return
        if (known.direction and direction) or (not known.direction and not direction):
            raise self._error(token.line, f"{shown(token.text)!r} is declared again, first at line {known.line}")
        if (known.left, known.right) != (left, right) and bounds is not None:
            raise self._error(token.line, f"{shown(token.text)!r} has another range than at line {known.line}")
        known.direction = known.direction or direction

    def _item(self) -> None:
        reader = self._reader
        if reader.at(*_BEYOND) or reader.here.text in ("`", "#", "$"):
            raise reader.beyond(f"{shown(reader.here.text)!r}")
        if reader.take(";"):
            return
        if reader.at(*_DIRECTIONS):
            direction = self._direction()
            reader.take("wire")
            self._names(direction, self._range())
        elif reader.take("wire"):
            self._names("", self._range())
        elif reader.take("assign"):
            self._assignments()
        elif reader.at("localparam", "parameter"):
            self._constants()
        elif reader.here.kind in ("word", "escaped") and not reader.at("module", "endmodule"):
            self._instances()
        else:
            raise reader.unexpected("a declaration, an assignment, a gate or 'endmodule'")

    def _names(self, direction: str, bounds: tuple[int, int] | None) -> None:
        reader = self._reader
        while True:
            token = reader.name("the name of a signal")
            if direction and token.text not in self._module.ports:
                raise self._error(token.line, f"{direction} {shown(token.text)!r} is not in the list of ports; add it")
            self._declare(token, direction, bounds)
            if reader.at("["):
                raise reader.beyond("an array of signals")
            if reader.take("="):
                value = reader.expression()
                self._module.items.append(Assign(Name(token.text, None, None, token.line), value, token.line))
            if not reader.take(","):
                break
        reader.expect(";", "after the declaration")

    def _assignments(self) -> None:
        reader = self._reader
        if reader.at("#", "("):
            raise reader.beyond("a delay or strength")
        while True:
            line = reader.here.line
            target = self._target()
            reader.expect("=", "after the target of the assignment")
            self._module.items.append(Assign(target, reader.expression(), line))
            if not reader.take(","):
                break
        reader.expect(";", "after the assignment")

    def _target(self) -> Expression:
        line = self._reader.here.line
        target = self._reader.expression()
        if not _is_target(target):
            raise self._error(line, "only signals, bits of them and {...} of these can be assigned")
        return target

    def _constants(self) -> None:
        reader = self._reader
        reader.next()
        self._range()
        while True:
            token = reader.name("the name of a constant")
            reader.expect("=", "after the name of the constant")
            self._module.constants[token.text] = reader.integer("a number")
            if not reader.take(","):
                break
        reader.expect(";", "after the constants")

    def _instances(self) -> None:
        reader = self._reader
        kind = reader.next()
        if reader.at("#"):
            raise reader.beyond("a delay or parameters of an instance")
        while True:
            name = ""
            if kind.text not in PRIMITIVES or not reader.at("("):
                name = reader.name("the name of the instance").text
            if reader.at("["):
                raise reader.beyond("an array of instances")
            self._module.items.append(self._connections(kind, name))
            if not reader.take(","):
                break
        reader.expect(";", "after the instance")

    def _connections(self, kind: Token, name: str) -> Instance:
        reader = self._reader
        reader.expect("(", f"after the name of the instance of {shown(kind.text)!r}")
        named: dict[str, Expression | None] = {}
        listed: list[Expression | None] = []
        while not reader.take(")"):
            if reader.take("."):
                pin = reader.name("the name of a pin")
                reader.expect("(", "after the name of the pin")
                if pin.text in named:
                    raise self._error(pin.line, f"pin {shown(pin.text)!r} is connected twice")
                named[pin.text] = None if reader.at(")") else reader.expression()
                reader.expect(")", "after the connection")
            else:
                listed.append(None if reader.at(",") else reader.expression())
            if not reader.at(")"):
                reader.expect(",", "between connections")
        if named and listed:
            raise self._error(kind.line, f"instance {shown(name)!r} mixes named and listed connections; use one kind")
        return Instance(kind.text, name, named, tuple(listed), kind.line)


def _is_target(value: Expression) -> bool:
    if isinstance(value, Join):
        return value.times == 1 and all(_is_target(part) for part in value.parts)
    return isinstance(value, Name)


__all__ = ["PRIMITIVES", "BeyondError", "parse"]
