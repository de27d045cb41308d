"""Radix-4 Booth recoding: what the exact and the approximate Booth multiplier families share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.arithmetic import Columns, dadda_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ONE, ZERO
from laxity.core.demand import IntArray


@dataclass(frozen=True, slots=True)
class Digit:
    """Nets of one radix-4 digit d = -2 h + m + l in -2..2, from bits h = b[2i+1], m = b[2i], l = b[2i-1].

    Attributes:
        high: h; the digit is not positive where it is one.
        one: |d| = 1.
        two: |d| = 2.
        negative: d < 0.
    """

    high: int
    one: int
    two: int
    negative: int


Cell = Callable[[CircuitBuilder, Digit, int, int], int]
"""A bit of a partial product, from the digit, a[j] and a[j - 1]."""


def exact_cell(builder: CircuitBuilder, digit: Digit, here: int, below: int) -> int:
    """The bit of a digit times a; for negative digits that of its complement, to which 1 is added."""
    return builder.xnor(builder.aoi22(digit.one, here, digit.two, below), digit.negative)


def booth_digits(builder: CircuitBuilder, b: Sequence[int]) -> list[Digit]:
    """Recode a two's complement number, the least significant digit first.

    Source: O. L. MacSorley, "High-speed arithmetic in binary computers", Proc. IRE 49(1), 1961.
    """
    bits = [ZERO, *b, *[b[-1]] * (len(b) % 2)]
    digits = []
    for i in range(0, len(bits) - 1, 2):
        low, middle, high = bits[i : i + 3]
        one = builder.xor(middle, low)
        two = builder.and_(builder.xnor(middle, low), builder.xor(high, middle))
        negative = builder.and_(high, builder.nand(middle, low))
        digits.append(Digit(high, one, two, negative))
    return digits


def booth_columns(
    builder: CircuitBuilder,
    a: Sequence[int],
    digits: Sequence[Digit],
    width: int,
    cell: Cell = exact_cell,
    columns: int = 0,
) -> Columns:
    """Bits whose sum is a times the recoded number, modulo 2**width.

    Args:
        builder: receives the gates.
        a: the two's complement multiplicand.
        digits: of the other operand.
        width: number of columns.
        cell: makes the bits of the lowest `columns` columns, all others are exact.
        columns: at most len(a), so that no sign is among them.
    """
    result: Columns = [[] for _ in range(width)]
    constant = 0
    for i, digit in enumerate(digits):
        bits = [ZERO, *a, a[-1]]
        for j in range(len(a) + 1):
            make = cell if 2 * i + j < columns else exact_cell
            net = make(builder, digit, bits[j + 1], bits[j])
            if j == len(a) and net != ZERO:
                # The sign weighs -2^c; -s 2^c = (1 - s) 2^c - 2^c leaves a constant in place of copies of the sign.
                net, constant = builder.inv(net), constant - (1 << (2 * i + j))
            _put(result, 2 * i + j, net)
        _put(result, 2 * i, digit.negative)
    for c in range(width):
        _put(result, c, ONE if constant >> c & 1 else ZERO)
    return result


def booth_product(
    builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], width: int, cell: Cell = exact_cell, columns: int = 0
) -> list[int]:
    """Product of two's complement numbers modulo 2**width, by Booth's recoding and a Dadda tree."""
    return dadda_sum(builder, booth_columns(builder, a, booth_digits(builder, b), width, cell, columns))


def digit_is(b: IntArray, low: int, pattern: int) -> IntArray:
    """1 where bits low + 1, low and low - 1 of b are those of `pattern`, 0 elsewhere; bit -1 is 0."""
    return ((2 * b >> low & 0b111) == pattern).astype(np.int64)


def low_bits(x: IntArray, bits: int) -> IntArray:
    """The lowest bits of two's complement integers."""
    return x & ((1 << bits) - 1)


def _put(columns: Columns, c: int, net: int) -> None:
    """Add a net to a column, if it is not constant 0 and the column exists."""
    if net != ZERO and c < len(columns):
        columns[c].append(net)
