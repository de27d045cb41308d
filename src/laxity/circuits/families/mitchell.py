"""Mitchell's logarithmic multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laxity.circuits.arithmetic import normalise, shift_left
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import Formula, top_power
from laxity.circuits.netlist import ONE, ZERO
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
    width = 1 << (len(a) - 1).bit_length()
    padding = width - len(a)
    a_normal, a_exponent = normalise(builder, [ZERO] * padding + list(a))
    b_normal, b_exponent = normalise(builder, [ZERO] * padding + list(b))
    logarithm, top = builder.add([*a_normal[:-1], *a_exponent], [*b_normal[:-1], *b_exponent])
    fraction, exponent = logarithm[: width - 1], [*logarithm[width - 1 :], top]
    nonzero = builder.and_(a_normal[-1], b_normal[-1])
    mantissa = [builder.and_(nonzero, bit) for bit in [*fraction, ONE]]
    # The padding raised both exponents, and the fraction has width - 1 bits: all these low bits are cut off.
    cut = width - 1 + 2 * padding
    return shift_left(builder, mantissa, exponent, cut + len(a) + len(b))[cut:]
