"""Mitchell's logarithmic multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import gated
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import Formula, top_power
from laxity.circuits.logarithm import logarithm, scaled
from laxity.circuits.netlist import ONE
from laxity.core.demand import IntArray


def _left(a: IntArray, _: int) -> list[IntArray]:
    return [a, top_power(a)]


def _right(b: IntArray, _: int) -> list[IntArray]:
    return [top_power(b), b - top_power(b)]


def _product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    """2^(ka+kb) (1 + fa + fb), plus what fa + fb exceeds 1 by once more."""
    (a, a_power), (b_power, b_rest) = left, right
    first = a * b_power + a_power * b_rest
    return first + (first - 2 * a_power * b_power).clip(0)


@multiplier_family(
    "mitchell",
    source="J. N. Mitchell, Computer multiplication and division using binary logarithms, IRE Trans. Electronic "
    "Computers EC-11(4), 1962",
    formula=Formula(_left, _right, _product),
)
def mitchell(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Product of piecewise linear logarithms, rounded down; 0 if a b = 0.

    With x = 2^k (1 + f): p = 2^(ka+kb) (1 + fa + fb) where fa + fb < 1, else 2^(ka+kb+1) (fa + fb).
    """
    a_log, b_log = logarithm(builder, a), logarithm(builder, b)
    point = len(a_log.fraction)
    total, top = builder.add([*a_log.fraction, *a_log.exponent], [*b_log.fraction, *b_log.exponent])
    nonzero = builder.and_(a_log.nonzero, b_log.nonzero)
    mantissa = gated(builder, nonzero, [*total[:point], ONE])
    return scaled(builder, mantissa, [*total[point:], top], point, len(a) + len(b))
