"""Expressions of a module as gates, with the widths that IEEE 1364-2005 (5.4) gives to unsigned operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laxity.circuits.importers.graph import FALSE, TRUE, Graph
from laxity.circuits.importers.verilog_expressions import MAX_WIDTH
from laxity.circuits.importers.verilog_syntax import Chain, Choice, Expression, Join, Module, Name, Number, Unary
from laxity.circuits.importers.verilog_tokens import BeyondError
from laxity.circuits.source import Source, shown

_BITWISE = {"&": "AND", "|": "OR", "^": "XOR", "~^": "XNOR", "^~": "XNOR"}
_REDUCTIONS = {"&": "AND", "|": "OR", "^": "XOR", "~&": "NAND", "~|": "NOR", "~^": "XNOR", "^~": "XNOR"}
_COMPLEMENT = {"AND": "NAND", "OR": "NOR", "XOR": "XNOR", "XNOR": "XOR"}
_TRUTH = frozenset({"&&", "||", "==", "!="})


@dataclass(frozen=True, slots=True)
class Scope:
    """A module instance.

    Attributes:
        module: what it is an instance of.
        bits: signals of each declared name, from the least significant on.
        prefix: path of the instance, for messages.
    """

    module: Module
    bits: dict[str, list[int]]
    prefix: str


class Logic:
    """Turns the expressions of one module instance into drivers.

    Args:
        source: the file, for messages.
        graph: receives the gates.
        scope: the module instance.
    """

    def __init__(self, source: Source, graph: Graph, scope: Scope) -> None:
        self._error = source.error
        self._source = source
        self._graph = graph
        self._scope = scope

    def assign(self, target: Expression, value: Expression, line: int) -> None:
        """Let `value`, cut or filled with zeros to the width of `target`, drive it."""
        targets = self._bits_of_target(target)
        width = max(len(targets), self.width(value))
        self.connect(targets, self.value(value, width)[: len(targets)], line)

    def connect(self, targets: Sequence[int], values: Sequence[int], line: int) -> None:
        """Let signals follow others."""
        for target, value in zip(targets, values, strict=True):
            self._graph.drive("WIRE", [target], [value], line)

    def bit(self, value: Expression) -> int:
        """A single-bit expression; of a wider one the lowest bit, as in Verilog, except that this is refused."""
        width = self.width(value)
        if width != 1 and not isinstance(value, Number):
            raise self._error(value.line, f"{width} bits at a pin of one bit; select one, as in x[0]")
        return self.value(value, width)[0]

    def sized(self, value: Expression, width: int, line: int) -> list[int]:
        """An expression at a port of `width` bits.

        Raises:
            CircuitError: it has another width and is no plain number.
        """
        own = self.width(value)
        if own != width and not isinstance(value, Number):
            raise self._error(line, f"{own} bits are connected to a port of {width} bits; use equal widths")
        return self.value(value, max(own, width))[:width]

    def target_bits(self, target: Expression, width: int, line: int) -> list[int]:
        """Signals that an output of `width` bits drives.

        Raises:
            CircuitError: it is no signal, or has another width.
        """
        bits = self._bits_of_target(target)
        if len(bits) != width:
            raise self._error(line, f"an output of {width} bits drives {len(bits)} bits; use equal widths")
        return bits

    def _bits_of_target(self, target: Expression) -> list[int]:
        if isinstance(target, Name):
            return self._named(target)
        if isinstance(target, Join) and target.times == 1:
            return [bit for part in reversed(target.parts) for bit in self._bits_of_target(part)]
        raise self._error(target.line, "only signals, bits of them and {...} of these can be driven")

    # Widths ----------------------------------------------------------------------------------------------------------

    def width(self, value: Expression) -> int:
        """Width of an expression on its own.

        Raises:
            CircuitError: it is wider than `MAX_WIDTH`.
        """
        match value:
            case Number():
                width = value.width
            case Name():
                width = len(self._named(value))
            case Join():
                width = value.times * sum(self.width(part) for part in value.parts)
            case Unary():
                width = self.width(value.operand) if value.operator in "~+-" else 1
            case Choice():
                width = max(self.width(v) for v in (*(v for _, v in value.cases), value.otherwise))
            case Chain():
                width = self._chain_width(value)
        if width > MAX_WIDTH:
            raise self._error(value.line, f"an expression of {width} bits; at most {MAX_WIDTH} can be imported")
        return width

    def _chain_width(self, value: Chain) -> int:
        operator = value.rest[0][0]
        if operator in _TRUTH:
            return 1
        if operator in ("<<", ">>"):
            return self.width(value.first)
        return max(self.width(value.first), *(self.width(v) for _, v in value.rest))

    # Values ----------------------------------------------------------------------------------------------------------

    def value(self, value: Expression, width: int) -> list[int]:
        """Signals of an expression in a context of `width` bits, at least its own; filled with zeros.

        Raises:
            CircuitError: an unknown signal, bits out of range, or too many bits altogether.
        """
        self._graph.spend(width, value.line)
        match value:
            case Number():
                bits = [TRUE if value.value >> i & 1 else FALSE for i in range(value.width)]
            case Name():
                bits = self._named(value)
            case Join():
                parts = [self.value(part, self.width(part)) for part in reversed(value.parts)]
                bits = [bit for part in parts for bit in part] * value.times
            case Unary():
                bits = self._unary(value, width)
            case Choice():
                bits = self._choice(value, width)
            case Chain():
                bits = self._chain(value, width)
        return bits + [FALSE] * (width - len(bits))

    def _gates(self, function: str, line: int, *operands: Sequence[int]) -> list[int]:
        return [self._graph.gate(function, pins, line) for pins in zip(*operands, strict=True)]

    def _unary(self, value: Unary, width: int) -> list[int]:
        operator, operand = value.operator, value.operand
        if operator == "~":
            return self._complement(operand, width, value.line)
        if operator in "+-":
            bits = self.value(operand, width)
            return bits if operator == "+" else self._sum([FALSE] * width, bits, value.line, subtract=True)
        own = self.width(operand)
        if operator == "!" and own == 1:
            return self._complement(operand, 1, value.line)
        function = "NOR" if operator == "!" else _REDUCTIONS[operator]
        if own == 1:
            function = "NOT" if function in ("NAND", "NOR", "XNOR") else "WIRE"
        return [self._graph.gate(function, self.value(operand, own), value.line)]

    def _complement(self, value: Expression, width: int, line: int) -> list[int]:
        """~value, as one gate where a gate with an inverting output exists."""
        if isinstance(value, Choice) and len(value.cases) == 1:
            condition, chosen = value.cases[0]
            select = self._condition(condition)
            pins = (self.value(value.otherwise, width), self.value(chosen, width))
            return self._gates("NMUX", line, [select] * width, *pins)
        if isinstance(value, Chain) and len({o for o, _ in value.rest}) == 1 and value.rest[0][0] in _BITWISE:
            return self._complement_of_chain(value, width, line)
        return self._gates("NOT", line, self.value(value, width))

    def _complement_of_chain(self, value: Chain, width: int, line: int) -> list[int]:
        operator = value.rest[0][0]
        terms = [value.first, *(v for _, v in value.rest)]
        inner = {"|": "&", "&": "|"}.get(operator)
        split = [
            [t.first, t.rest[0][1]] if isinstance(t, Chain) and [o for o, _ in t.rest] == [inner] else [t]
            for t in terms
        ]
        shape = sorted((len(s) for s in split), reverse=True)
        name = {"[2, 1]": "21", "[2, 2]": "22"}.get(str(shape))
        if inner is not None and name is not None:
            flat = [self.value(v, width) for part in sorted(split, key=len, reverse=True) for v in part]
            return self._gates(("AOI" if operator == "|" else "OAI") + name, line, *flat)
        operands = [self.value(t, width) for t in terms]
        if operator in ("~^", "^~") and len(terms) > 2:
            return self._gates("NOT", line, self._fold(operands, [o for o, _ in value.rest], line))
        return self._gates(_COMPLEMENT[_BITWISE[operator]], line, *operands)

    def _condition(self, value: Expression) -> int:
        """One where an expression is not zero."""
        bits = self.value(value, self.width(value))
        return bits[0] if len(bits) == 1 else self._graph.gate("OR", bits, value.line)

    def _choice(self, value: Choice, width: int) -> list[int]:
        result = self.value(value.otherwise, width)
        for condition, chosen in reversed(value.cases):
            select = self._condition(condition)
            result = self._gates("MUX", value.line, [select] * width, result, self.value(chosen, width))
        return result

    def _chain(self, value: Chain, width: int) -> list[int]:
        operators = [o for o, _ in value.rest]
        if operators[0] in ("&&", "||"):
            bits = [self._condition(v) for v in (value.first, *(v for _, v in value.rest))]
            return [self._graph.gate("AND" if operators[0] == "&&" else "OR", bits, value.line)]
        if operators[0] in ("==", "!="):
            return self._equal(value)
        if operators[0] in ("<<", ">>"):
            return self._shift(value, width)
        operands = [self.value(v, width) for v in (value.first, *(v for _, v in value.rest))]
        if operators[0] in "+-":
            total = operands[0]
            for operator, operand in zip(operators, operands[1:], strict=True):
                total = self._sum(total, operand, value.line, subtract=operator == "-")
            return total
        return self._fold(operands, operators, value.line)

    def _fold(self, operands: list[list[int]], operators: list[str], line: int) -> list[int]:
        """Bitwise operators from left to right; a run of one kind becomes one gate."""
        functions = [_BITWISE[o] for o in operators]
        if len(set(functions)) == 1 and functions[0] != "XNOR":
            return self._gates(functions[0], line, *operands)
        total = operands[0]
        for function, operand in zip(functions, operands[1:], strict=True):
            total = self._gates(function, line, total, operand)
        return total

    def _equal(self, value: Chain) -> list[int]:
        if len(value.rest) > 1:
            raise self._error(value.line, "several comparisons in a row; use parentheses")
        operator, right = value.rest[0]
        width = max(self.width(value.first), self.width(right))
        differ = self._gates("XOR", value.line, self.value(value.first, width), self.value(right, width))
        return [self._graph.gate("NOR" if operator == "==" else "OR", [*differ, FALSE], value.line)]

    def _shift(self, value: Chain, width: int) -> list[int]:
        bits = self.value(value.first, width)
        for operator, amount in value.rest:
            if not isinstance(amount, Number):
                raise BeyondError(self._source, value.line, "a shift by a signal")
            step = min(amount.value, width)
            bits = [FALSE] * step + bits[: width - step] if operator == "<<" else bits[step:] + [FALSE] * step
        return bits

    def _sum(self, a: list[int], b: list[int], line: int, *, subtract: bool) -> list[int]:
        """Sum or difference modulo 2**width, by ripple carry."""
        right = self._gates("NOT", line, b) if subtract else b
        carry, total = (TRUE if subtract else FALSE), []
        for x, y in zip(a, right, strict=True):
            bit, up = self._graph.signal("(sum)", line), self._graph.signal("(carry)", line)
            self._graph.drive("FA", [bit, up], [x, y, carry], line)
            total.append(bit)
            carry = up
        return total

    def _named(self, value: Name) -> list[int]:
        """Signals of a name; one that is not declared is a wire of one bit, as in Verilog."""
        bits = self._scope.bits.get(value.name)
        if value.high is None or value.low is None:
            if bits is None:
                bits = [self._graph.signal(self._scope.prefix + value.name, value.line)]
                self._scope.bits[value.name] = bits
            return bits
        if bits is None:
            raise self._error(value.line, f"{shown(value.name)!r} is not declared; declare it as a vector")
        signal = self._scope.module.signals[value.name]
        left, right = (signal.left, signal.right) if signal.left is not None and signal.right is not None else (0, 0)
        places = [abs(index - right) for index in (value.low, value.high)]
        inside = all(min(left, right) <= index <= max(left, right) for index in (value.low, value.high))
        if not inside or places[0] > places[1]:
            bounds = f"[{left}:{right}]" if signal.width > 1 else "one bit"
            raise self._error(
                value.line, f"{shown(value.name)}[{value.high}:{value.low}] does not lie in its range, {bounds}"
            )
        return bits[places[0] : places[1] + 1]
