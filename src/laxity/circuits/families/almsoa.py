"""The approximate logarithmic multiplier with a set-one adder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import gated
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, antilogarithm, constant, fraction, top_power
from laxity.circuits.logarithm import logarithm, scaled
from laxity.circuits.netlist import ONE, ZERO
from laxity.core.demand import IntArray


def _parts(x: IntArray, width: int, m: int) -> list[IntArray]:
    """The power, the upper bits of the fraction, and the bit that makes the carry into them, at its weight."""
    bits = fraction(x, width - 1)
    return [top_power(x), bits >> m << m, (bits >> (m - 1) & 1) if m else constant(x, 0)]


def _left(a: IntArray, width: int, m: int) -> list[IntArray]:
    power, high, bit = _parts(a, width, m)
    return [power, high + ((1 << m) - 1), bit << m, constant(a, 1 << (width - 1))]


def _right(b: IntArray, width: int, m: int) -> list[IntArray]:
    return _parts(b, width, m)


def _product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    (a_power, a_part, a_bit, one), (b_power, b_part, b_bit) = left, right
    return antilogarithm(a_power * b_power, a_part + b_part + a_bit * b_bit, one)


@multiplier_family(
    "almsoa",
    parameters=[Parameter("m", "low bits of the sum of logarithms set to 1", lambda n: 0, lambda n: n - 1)],
    grid=lambda n: [(m,) for m in range(1, n - 1)],
    source="W. Liu et al., Design and evaluation of approximate logarithmic multipliers for low power error-tolerant "
    "applications, IEEE TCAS-I 65(9), 2018",
    formula=Formula(_left, _right, _product),
)
def almsoa(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], m: int) -> list[int]:
    """Mitchell's product with a set-one adder for the logarithms, rounded down; 0 if a b = 0.

    The m low bits of the sum are 1, and the carry into bit m is the conjunction of both bits m - 1.
    """
    a_log, b_log = logarithm(builder, a), logarithm(builder, b)
    point = len(a_log.fraction)
    left, right = [*a_log.fraction, *a_log.exponent], [*b_log.fraction, *b_log.exponent]
    carry = builder.and_(left[m - 1], right[m - 1]) if m else ZERO
    high, top = builder.add(left[m:], right[m:], carry)
    total = [*[ONE] * m, *high]
    nonzero = builder.and_(a_log.nonzero, b_log.nonzero)
    mantissa = gated(builder, nonzero, [*total[:point], ONE])
    return scaled(builder, mantissa, [*total[point:], top], point, len(a) + len(b))
