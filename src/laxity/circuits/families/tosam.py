"""The truncation- and rounding-based scalable approximate multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import Columns, dadda_sum, gated, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, constant, fraction, top_power
from laxity.circuits.logarithm import Logarithm, logarithm, scaled
from laxity.circuits.netlist import ONE
from laxity.core.demand import IntArray


def _point(h: int, t: int) -> int:
    """Bits behind the point: those of the added fractions, and those of the product of the short ones."""
    return max(t, 2 * (h + 1))


def _left(a: IntArray, _: int, h: int, t: int) -> list[IntArray]:
    point = _point(h, t)
    long = (1 << point) + (fraction(a, t) << (point - t))
    short = (2 * fraction(a, h) + 1) << (point - 2 * (h + 1))
    return [top_power(a), long, short, constant(a, 1 << point)]


def _right(b: IntArray, _: int, h: int, t: int) -> list[IntArray]:
    return [top_power(b), fraction(b, t) << (_point(h, t) - t), 2 * fraction(b, h) + 1]


def _product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    (a_power, a_long, a_short, one), (b_power, b_long, b_short) = left, right
    return a_power * b_power * (a_long + b_long + a_short * b_short) // one


def _grid(n: int) -> list[tuple[int, int]]:
    """Short fractions of a third of the long ones, about as published."""
    return [(h, t) for t in range(2, n - 1) for h in range(t) if 2 * h + 1 <= t <= 2 * h + 4]


@multiplier_family(
    "tosam",
    parameters=[
        Parameter("h", "fraction bits that are multiplied", lambda n: 0, lambda n: n - 1),
        Parameter("t", "fraction bits that are added", lambda n: 1, lambda n: n - 1),
    ],
    grid=_grid,
    source="S. Vahdat et al., TOSAM: an energy-efficient truncation- and rounding-based scalable approximate "
    "multiplier, IEEE TVLSI 27(5), 2019",
    formula=Formula(_left, _right, _product),
)
def tosam(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], h: int, t: int) -> list[int]:
    """Product p = 2^(ka+kb) (1 + fa + fb + ga gb), rounded down; 0 if a b = 0.

    With x = 2^k (1 + y), f is y truncated to t bits, and g is y truncated to h bits plus half a unit of these.
    """
    a_log, b_log = logarithm(builder, a), logarithm(builder, b)
    point = _point(h, t)
    columns: Columns = [[] for _ in range(point + 2)]
    columns[point].append(ONE)
    for log in (a_log, b_log):
        for i, bit in enumerate(_first(log, t)):
            columns[point - t + i].append(bit)
    rows = partial_products(builder, [ONE, *_first(a_log, h)], [ONE, *_first(b_log, h)])
    for j, row in enumerate(rows):
        for i, bit in enumerate(row):
            columns[point - 2 * (h + 1) + i + j].append(bit)
    nonzero = builder.and_(a_log.nonzero, b_log.nonzero)
    mantissa = gated(builder, nonzero, dadda_sum(builder, columns))
    exponent, top = builder.add(a_log.exponent, b_log.exponent)
    return scaled(builder, mantissa, [*exponent, top], point, len(a) + len(b))


def _first(log: Logarithm, count: int) -> list[int]:
    """The first bits of the fraction, least significant one first."""
    return log.fraction[len(log.fraction) - count :]
