"""Expressions of gate-level Verilog, parsed by precedence with a limit on their depth."""

from __future__ import annotations

from collections.abc import Mapping

from laxity.circuits.importers.verilog_syntax import Chain, Choice, Expression, Join, Name, Number, Unary
from laxity.circuits.importers.verilog_tokens import BeyondError, Token
from laxity.circuits.source import Source, shown
from laxity.core.errors import CircuitError

MAX_DEPTH = 60
"""Deepest nesting of an expression."""

MAX_WIDTH = 65_536
"""Widest signal or expression in bits."""

_LEVELS = (("||",), ("&&",), ("|",), ("^", "~^", "^~"), ("&",), ("==", "!="), ("<<", ">>"), ("+", "-"))
_LEVEL_OF = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_UNARY = frozenset({"~", "!", "&", "|", "^", "~&", "~|", "~^", "^~", "+", "-"})
_MAX_INDEX = 1 << 24
_BASES = {"b": 2, "o": 8, "d": 10, "h": 16}


class Reader:
    """Walks over the tokens of one file.

    Args:
        source: the file, for messages.
        tokens: ending with one of kind ``end``.
    """

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source = source
        self._tokens = tokens
        self._position = 0
        self._depth = 0
        self.constants: Mapping[str, int] = {}

    @property
    def here(self) -> Token:
        """The next token."""
        return self._tokens[self._position]

    def next(self) -> Token:
        """Take the next token; the end is not taken."""
        token = self._tokens[self._position]
        if token.kind != "end":
            self._position += 1
        return token

    def at(self, *texts: str) -> bool:
        """Whether the next token is one of these signs or keywords."""
        return self.here.text in texts and self.here.kind in ("sign", "word")

    def take(self, text: str) -> bool:
        """Take the next token if it is this sign or keyword."""
        found = self.at(text)
        if found:
            self._position += 1
        return found

    def expect(self, text: str, where: str) -> Token:
        """Take a sign.

        Raises:
            CircuitError: another token is there.
        """
        if not self.at(text):
            raise self.unexpected(f"{text!r} {where}")
        return self.next()

    def name(self, what: str) -> Token:
        """Take a name.

        Raises:
            CircuitError: another token is there.
        """
        if self.here.kind not in ("word", "escaped"):
            raise self.unexpected(what)
        return self.next()

    def unexpected(self, wanted: str) -> CircuitError:
        """An error that says what was expected instead of the next token."""
        token = self.here
        cut = " (is the file truncated?)" if token.kind == "end" else ""
        found = token.text if token.kind == "end" else repr(shown(token.text))
        return self.source.error(token.line, f"expected {wanted}, found {found}{cut}")

    def beyond(self, what: str) -> BeyondError:
        """The exception for text that needs Yosys."""
        return BeyondError(self.source, self.here.line, what)

    # Expressions -----------------------------------------------------------------------------------------------------

    def expression(self) -> Expression:
        """Parse an expression.

        Raises:
            CircuitError: it is wrong or nested too deeply.
            BeyondError: it uses other operators than those of gates.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.source.error(self.here.line, f"expression nested deeper than {MAX_DEPTH}; use wires")
        line = self.here.line
        cases: list[tuple[Expression, Expression]] = []
        value = self._binary()
        while self.take("?"):
            chosen = self.expression()
            self.expect(":", "between the two values of '?'")
            cases.append((value, chosen))
            value = self._binary()
        self._depth -= 1
        return Choice(tuple(cases), value, line) if cases else value

    def _binary(self) -> Expression:
        """Operators by precedence with explicit stacks; runs of one level become one `Chain`."""
        chains: list[tuple[int, Expression, list[tuple[str, Expression]], str]] = []
        value = self._unary()
        while True:
            level = _LEVEL_OF.get(self.here.text, -1) if self.here.kind == "sign" else -1
            while chains and chains[-1][0] > level:
                _, first, rest, operator = chains.pop()
                value = Chain(first, (*rest, (operator, value)), first.line)
            if level < 0:
                self._refuse_operator()
                return value
            operator = self.next().text
            if chains and chains[-1][0] == level:
                _, first, rest, before = chains.pop()
                rest.append((before, value))
                chains.append((level, first, rest, operator))
            else:
                chains.append((level, value, [], operator))
            value = self._unary()

    def _refuse_operator(self) -> None:
        if self.at("*", "/", "%", "<", ">"):
            raise self.beyond(f"the operator {self.here.text!r}")

    def _unary(self) -> Expression:
        operators: list[Token] = []
        while self.here.kind == "sign" and self.here.text in _UNARY:
            operators.append(self.next())
            if len(operators) > MAX_DEPTH:
                raise self.source.error(self.here.line, f"more than {MAX_DEPTH} operators in a row")
        value = self._primary()
        for token in reversed(operators):
            value = Unary(token.text, value, token.line)
        return value

    def _primary(self) -> Expression:
        token = self.here
        if self.take("("):
            value = self.expression()
            self.expect(")", "after the expression")
            return value
        if self.take("{"):
            return self._join(token.line)
        if token.kind == "number":
            return number(self.source, self.next())
        if token.kind in ("word", "escaped"):
            self.next()
            if self.at("("):
                raise self.beyond(f"the function call {shown(token.text)!r}")
            return self._reference(token)
        if self.at("$", "`", '"', "'"):
            raise self.beyond(f"{token.text!r}")
        raise self.unexpected("a signal, a constant or '('")

    def _reference(self, token: Token) -> Expression:
        constant = self.constants.get(token.text)
        if constant is not None and not self.at("["):
            return Number(constant & 0xFFFF_FFFF, 32, token.line)
        if not self.take("["):
            return Name(token.text, None, None, token.line)
        high = self.integer("a constant index")
        low = high
        if self.take(":"):
            low = self.integer("a constant index")
        elif self.at("+", "-"):
            raise self.beyond("an indexed part select")
        self.expect("]", "after the index")
        return Name(token.text, high, low, token.line)

    def _join(self, line: int) -> Expression:
        first = self.expression()
        times, parts = 1, [first]
        if self.take("{"):
            times = self._constant(first)
            if not 0 < times <= MAX_WIDTH:
                raise self.source.error(line, f"a part is repeated {times} times; 1..{MAX_WIDTH} is possible")
            parts = [self.expression()]
            while self.take(","):
                parts.append(self.expression())
            self.expect("}", "after the repeated part")
        else:
            while self.take(","):
                parts.append(self.expression())
        self.expect("}", "after the parts")
        return Join(tuple(parts), times, line)

    def integer(self, what: str) -> int:
        """Parse a constant expression of numbers and parameters with + and -.

        Raises:
            BeyondError: it is another expression.
        """
        if self.here.kind not in ("number", "word", "escaped") and not self.at("-", "+", "("):
            raise self.unexpected(what)
        line = self.here.line
        value = self._constant(self._binary())
        if abs(value) >= _MAX_INDEX:
            raise self.source.error(line, f"{what} beyond {_MAX_INDEX}; use smaller numbers")
        return value

    def _constant(self, value: Expression) -> int:
        if isinstance(value, Number):
            return value.value
        if isinstance(value, Unary) and value.operator in "+-" and isinstance(value.operand, Number):
            return -value.operand.value if value.operator == "-" else value.operand.value
        if isinstance(value, Chain) and all(o in "+-" and isinstance(v, Number) for o, v in value.rest):
            total = self._constant(value.first)
            for operator, operand in value.rest:
                total += self._constant(operand) if operator == "+" else -self._constant(operand)
            return total
        raise BeyondError(self.source, value.line, "an index or width that is not a plain number")


def number(source: Source, token: Token) -> Number:
    """The value and width of a number.

    Raises:
        CircuitError: digits that its base lacks, unknown (x) or open (z) bits, or too many bits.
    """
    text = token.text.replace("_", "").replace(" ", "").replace("\t", "").lower()
    size, quote, rest = text.partition("'")
    if not quote:
        if len(size) > 10 or int(size) >= 1 << 32:
            raise source.error(token.line, f"{shown(token.text)} does not fit 32 bits; give a width, as in 40'd5")
        return Number(int(size), 32, token.line)
    if len(size) > 5 or not 0 < int(size or 32) <= MAX_WIDTH:
        raise source.error(token.line, f"{shown(token.text)} is wider than {MAX_WIDTH} bits or has no bits")
    width, digits = int(size or 32), rest.lstrip("s")
    if rest.startswith("s"):
        raise BeyondError(source, token.line, "a signed constant")
    if set(digits[1:]) & set("xz?"):
        raise source.error(token.line, f"{shown(token.text)} has unknown or open bits; give 0 or 1")
    try:
        value = int(digits[1:], _BASES[digits[0]])
    except ValueError:
        raise source.error(token.line, f"{shown(token.text)} is no number of base {_BASES[digits[0]]}") from None
    return Number(value & ((1 << width) - 1), width, token.line)
