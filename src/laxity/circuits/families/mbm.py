"""The minimally biased multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import gated
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, antilogarithm, constant, fraction, limited, top_power
from laxity.circuits.logarithm import logarithm, scaled
from laxity.circuits.netlist import ONE, ZERO
from laxity.core.demand import IntArray

_CORRECTION = 0b101
_CORRECTION_POINT = 6
"""The correction c = 5/64, which is 1/12 rounded to hardware."""

MIN_KEPT = 3
"""Fewest bits of operands kept: with two, the signed product of the most negative operands would not fit 2n bits."""


def _point(width: int) -> int:
    """Bits behind the point: those of the fractions, and those of c / 2."""
    return max(width - 1, _CORRECTION_POINT + 1)


def _kept(x: IntArray, width: int, t: int) -> IntArray:
    """The truncated fraction as an integer with `_point` bits."""
    bits = fraction(x, width - 1)
    return (bits >> t << t | (1 << t if t else 0)) << (_point(width) - (width - 1))


def _left(a: IntArray, width: int, t: int) -> list[IntArray]:
    one = 1 << _point(width)
    constants = (one, _CORRECTION * one >> _CORRECTION_POINT, (1 << 2 * width) - 1)
    return [top_power(a), _kept(a, width, t), *(constant(a, value) for value in constants)]


def _right(b: IntArray, width: int, t: int) -> list[IntArray]:
    return [top_power(b), _kept(b, width, t)]


def _product(left: Sequence[Any], right: Sequence[Any]) -> Any:
    (a_power, a_part, one, correction, top), (b_power, b_part) = left, right
    return limited(antilogarithm(a_power * b_power, a_part + b_part, one, correction), top)


@multiplier_family(
    "mbm",
    parameters=[Parameter("t", "fraction bits cut off", lambda n: 0, lambda n: max(n - MIN_KEPT, 0), default=0)],
    grid=lambda n: [(t,) for t in range(n - 3 if n > 4 else 1)],
    source="H. Saadat, H. Bokhari, S. Parameswaran, Minimally biased multipliers for approximate integer and "
    "floating-point multiplication, IEEE TCAD 37(11), 2018",
    formula=Formula(_left, _right, _product),
)
def mbm(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], t: int) -> list[int]:
    """Mitchell's product plus c 2^(ka+kb), c = 5/64, rounded down and at most 2^(2n) - 1; 0 if a b = 0.

    With x = 2^k (1 + f): p = 2^(ka+kb) (1 + fa + fb + c) where fa + fb < 1, else 2^(ka+kb+1) (fa + fb + c / 2). The
    t low bits of fractions are cut off before, and for t > 0 the last bit kept is set to 1.
    """
    a_log, b_log = logarithm(builder, a), logarithm(builder, b)
    width, point = len(a) + len(b), _point(len(a))
    padding = [ZERO] * (point - (len(a) - 1))
    left, right = ([*padding, *_truncated(log.fraction, t)] for log in (a_log, b_log))
    total, carry = builder.add(left, right)
    exponent, top = builder.add(a_log.exponent, b_log.exponent, carry)
    whole, half = _bits(point - _CORRECTION_POINT, point), _bits(point - _CORRECTION_POINT - 1, point)
    correction = [builder.mux(carry, x, y) for x, y in zip(whole, half, strict=True)]
    corrected, up = builder.add(total, correction)
    nonzero = builder.and_(a_log.nonzero, b_log.nonzero)
    mantissa = gated(builder, nonzero, [*corrected, builder.inv(up), up])
    product = scaled(builder, mantissa, [*exponent, top], point, width + 1)
    return [builder.or_(bit, product[width]) for bit in product[:width]]


def _truncated(bits: Sequence[int], t: int) -> list[int]:
    return [*[ZERO] * t, ONE, *bits[t + 1 :]] if t else list(bits)


def _bits(shift: int, count: int) -> list[int]:
    """The correction, shifted, as `count` constant nets."""
    return [ONE if _CORRECTION << shift >> i & 1 else ZERO for i in range(count)]
