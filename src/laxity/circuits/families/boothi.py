"""The first approximate radix-4 Booth multiplier of Liu et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import gated
from laxity.circuits.booth import Digit, booth_product, digit_is, low_bits
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula
from laxity.circuits.netlist import ZERO
from laxity.core.demand import IntArray


def _cell(builder: CircuitBuilder, digit: Digit, here: int, _: int) -> int:
    return builder.and_(digit.one, builder.xor(digit.high, here))


def _signed(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], columns: int) -> list[int]:
    return booth_product(builder, a, b, len(a) + len(b), _cell, columns)


def _left(a: IntArray, _: int, columns: int) -> list[IntArray]:
    """The operand, and per digit the dropped bits of its double and of the complement of that."""
    found = [a]
    for i in range(0, columns, 2):
        double = low_bits(2 * a, columns - i) << i
        found += [double, low_bits(~(2 * a), columns - i) << i]
    return found


def _right(b: IntArray, _: int, columns: int) -> list[IntArray]:
    found = [b]
    for i in range(0, columns, 2):
        found += [-digit_is(b, i, 0b011), -digit_is(b, i, 0b100)]
    return found


def _product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    return sum(f * g for f, g in zip(left, right, strict=True)).clip(0)


@multiplier_family(
    "boothi",
    parameters=[Parameter("columns", "lowest columns with approximate partial products", lambda n: 0, lambda n: n)],
    grid=lambda n: [(columns,) for columns in range(min(4, n), n + 1)],
    source="W. Liu et al., Design of approximate radix-4 Booth multipliers for error-tolerant computing, IEEE Trans. "
    "Computers 66(8), 2017, R4ABE1",
    formula=Formula(_left, _right, _product),
    signed=_signed,
)
def boothi(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], columns: int) -> list[int]:
    """Booth's product whose partial-product bits in the lowest columns are 0 for digits 2 and -2.

    There a bit is (b[2i] xor b[2i-1]) (b[2i+1] xor a[j]). Unsigned operands are extended by zeros, and products below 0
    are replaced by 0.
    """
    width = len(a) + len(b)
    product = booth_product(builder, [*a, ZERO], [*b, ZERO], width + 1, _cell, columns)
    return gated(builder, builder.inv(product[width]), product[:width])
