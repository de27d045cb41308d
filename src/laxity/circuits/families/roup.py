"""A Booth multiplier with a rounded and a perforated operand, reconstructed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import dadda_sum
from laxity.circuits.booth import booth_columns, booth_digits
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, constant, limited
from laxity.circuits.netlist import ZERO
from laxity.core.demand import IntArray


def _nearest(x: IntArray, bits: int) -> IntArray:
    """An operand rounded to a multiple of 2**bits, halves upwards."""
    return (x + (1 << bits >> 1)) >> bits << bits


def _left(a: IntArray, width: int, p: int, r: int) -> list[IntArray]:
    return [_nearest(a, r), constant(a, (1 << 2 * width) - 1)]


def _right(b: IntArray, _: int, p: int, __: int) -> list[IntArray]:
    return [_nearest(b, 2 * p)]


def _product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    (a, top), (b,) = left, right
    return limited(a * b, top)


def _signed(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], p: int, r: int) -> list[int]:
    return _rounded_product(builder, a, b, p, r, len(a) + len(b))


def _grid(n: int) -> list[tuple[int, int]]:
    """Both operands rounded about as coarsely."""
    return [
        (p, r) for p in range(min((n + 3) // 4, (n - 1) // 2) + 1) for r in range(1, n // 2 + 1) if abs(2 * p - r) <= 2
    ]


@multiplier_family(
    "roup",
    parameters=[
        Parameter("p", "lowest radix-4 digits of b dropped", lambda n: 0, lambda n: (n - 1) // 2),
        Parameter("r", "bits to which a is rounded", lambda n: 0, lambda n: n - 1),
    ],
    grid=_grid,
    source="reconstruction of cooperative rounding and perforation: V. Leon et al., Cooperative arithmetic-aware "
    "approximation techniques for energy-efficient multipliers, DAC 2019; V. Leon et al., MAx-DNN, LASCAS 2022",
    formula=Formula(_left, _right, _product),
    signed=_signed,
)
def roup(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], p: int, r: int) -> list[int]:
    """Booth's product of a rounded to a multiple of 2^r and b without its p lowest radix-4 digits.

    Dropping Booth digits rounds b to a multiple of 4^p; halves are rounded upwards in both. Unsigned operands are
    extended by zeros, and products are at most 2^(2n) - 1.
    """
    width = len(a) + len(b)
    product = _rounded_product(builder, [*a, ZERO], [*b, ZERO], p, r, width + 1)
    return [builder.or_(bit, product[width]) for bit in product[:width]]


def _rounded_product(
    builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], p: int, r: int, width: int
) -> list[int]:
    """Product of two's complement numbers, modulo 2**width."""
    upper = [*a[r:], a[-1]]
    rounded = builder.add(upper, [], a[r - 1])[0] if r else list(a)
    digits = booth_digits(builder, b)[p:]
    shift = r + 2 * p
    columns = booth_columns(builder, rounded, digits, width - shift)
    return [*[ZERO] * shift, *dadda_sum(builder, columns)]
