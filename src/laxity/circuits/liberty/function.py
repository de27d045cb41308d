"""Boolean functions of Liberty files as truth tables.

Source: operators of the Liberty reference manual: ``!`` and a trailing apostrophe bind first, then ``^``, then ``&``,
``*`` or a blank, then ``+`` or ``|``.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence

MAX_INPUTS = 6
"""Inputs of the widest function that is looked at."""

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*(?:\[\d+\])?|[01]|[!&*+|^()'])")
_MAX_DEPTH = 64


class FunctionError(ValueError):
    """Text that is no Boolean function of the given pins."""


def truth_table(text: str, pins: Sequence[str]) -> int:
    """The function as an integer: bit i is its value where pin j carries bit j of i.

    Raises:
        FunctionError: it is malformed, uses another pin, nests too deeply, or has more than `MAX_INPUTS` pins.
    """
    if len(pins) > MAX_INPUTS:
        raise FunctionError(f"it has {len(pins)} inputs; at most {MAX_INPUTS} are supported")
    reader = _Reader(text, pins)
    value = reader.alternatives(0)
    if reader.peek():
        raise FunctionError(f"{reader.peek()!r} follows a complete function")
    return value


@functools.lru_cache(maxsize=4096)
def permutations(table: int, inputs: int) -> frozenset[int]:
    """The tables that the function has when its inputs are put in any other order."""
    found = set()
    for order in itertools.permutations(range(inputs)):
        other = 0
        for row in range(1 << inputs):
            moved = sum((row >> place & 1) << pin for pin, place in enumerate(order))
            other |= (table >> row & 1) << moved
        found.add(other)
    return frozenset(found)


class _Reader:
    """Recursive descent over the tokens of one function."""

    def __init__(self, text: str, pins: Sequence[str]) -> None:
        rows = 1 << len(pins)
        self._ones = (1 << rows) - 1
        self._tables = {pin: sum(1 << row for row in range(rows) if row >> place & 1) for place, pin in enumerate(pins)}
        self._tokens: list[str] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None:
                raise FunctionError(f"{text[position:].strip()[:10]!r} is no operator and no pin")
            self._tokens.append(found.group(1))
            position = found.end()
        self._place = 0

    def peek(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        token = self.peek()
        self._place += 1
        return token

    def alternatives(self, depth: int) -> int:
        """Terms joined by + or |."""
        if depth > _MAX_DEPTH:
            raise FunctionError("it nests too deeply")
        value = self._terms(depth)
        while self.peek() in ("+", "|"):
            self._take()
            value |= self._terms(depth)
        return value

    def _terms(self, depth: int) -> int:
        value = self._differences(depth)
        while (token := self.peek()) and token not in "+|)":
            if token in "&*":
                self._take()
            value &= self._differences(depth)
        return value

    def _differences(self, depth: int) -> int:
        value = self._factor(depth)
        while self.peek() == "^":
            self._take()
            value ^= self._factor(depth)
        return value

    def _factor(self, depth: int) -> int:
        token, inverted = self._take(), False
        while token == "!":
            token, inverted = self._take(), not inverted
        if token == "(":
            value = self.alternatives(depth + 1)
            if self._take() != ")":
                raise FunctionError("a parenthesis does not close")
        elif token in ("0", "1"):
            value = self._ones if token == "1" else 0
        elif token in self._tables:
            value = self._tables[token]
        else:
            raise FunctionError(f"{token!r} is no input pin" if token else "it ends too early")
        while self.peek() == "'":
            self._take()
            inverted = not inverted
        return value ^ self._ones if inverted else value
