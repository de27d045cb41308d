"""The second approximate radix-4 Booth multiplier of Liu et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import clamped
from laxity.circuits.booth import Digit, booth_product, digit_is, low_bits
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, constant, limited
from laxity.circuits.netlist import ZERO
from laxity.core.demand import IntArray


def _cell(builder: CircuitBuilder, digit: Digit, here: int, _: int) -> int:
    return builder.xor(digit.high, here)


def _signed(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], columns: int) -> list[int]:
    return booth_product(builder, a, b, len(a) + len(b), _cell, columns)


def _left(a: IntArray, width: int, columns: int) -> list[IntArray]:
    """The largest product and the operand, and per digit the low bits of a, of its double, and ones."""
    found = [constant(a, (1 << 2 * width) - 1), a]
    for i in range(0, columns, 2):
        bits = columns - i
        found += [low_bits(a, bits) << i, low_bits(2 * a, bits) << i, constant(a, ((1 << bits) - 1) << i)]
    return found


def _right(b: IntArray, _: int, columns: int) -> list[IntArray]:
    """The operand, and how often the bits of a digit are there in place of the right ones."""
    found = [b]
    for i in range(0, columns, 2):
        none, double = digit_is(b, i, 0b000), digit_is(b, i, 0b011)
        less_double, less_none = digit_is(b, i, 0b100), digit_is(b, i, 0b111)
        found += [none + double - less_double - less_none, less_double - double, less_none]
    return found


def _product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    top, *features = left
    return limited(sum(f * g for f, g in zip(features, right, strict=True)).clip(0), top)


@multiplier_family(
    "boothii",
    parameters=[Parameter("columns", "lowest columns with approximate partial products", lambda n: 0, lambda n: n)],
    grid=lambda n: [(columns,) for columns in range(min(4, n), n + 1)],
    source="W. Liu et al., Design of approximate radix-4 Booth multipliers for error-tolerant computing, IEEE Trans. "
    "Computers 66(8), 2017, R4ABE2",
    formula=Formula(_left, _right, _product),
    signed=_signed,
)
def boothii(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], columns: int) -> list[int]:
    """Booth's product whose partial-product bits in the lowest columns are those of digits 1 and -1 for all digits.

    There a bit is b[2i+1] xor a[j]. Unsigned operands are extended by zeros, and products outside 0..2^(2n) - 1 are
    replaced by the nearer end. Products with 0 are not always 0.
    """
    width = len(a) + len(b)
    product = booth_product(builder, [*a, ZERO], [*b, ZERO], width + 2, _cell, columns)
    return clamped(builder, product, width)
