"""The rounding-based approximate multiplier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laxity.circuits.arithmetic import leading_one, times_power
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import Formula, top_power
from laxity.circuits.netlist import ZERO
from laxity.core.demand import IntArray


def _rounded(x: IntArray) -> IntArray:
    low = top_power(x)
    return np.where((2 * x >= 3 * low) & (x > 3), 2 * low, low)


def _left(a: IntArray, _: int) -> list[IntArray]:
    return [_rounded(a), a]


def _right(b: IntArray, _: int) -> list[IntArray]:
    return [b - _rounded(b), _rounded(b)]


@multiplier_family(
    "roba",
    source="R. Zendegani et al., RoBA multiplier: a rounding-based approximate multiplier, IEEE TVLSI 25(2), 2017",
    formula=Formula(_left, _right),
)
def roba(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Product p = r(a) b + r(b) a - r(a) r(b), where r rounds to the nearest power of two.

    Halfway values 3 * 2^(m-2) round up to 2^m, except r(3) = 2; r(0) = 0. The netlist adds r(a) (b - r(b)) and r(b) a,
    so that one adder is enough.
    """
    width = len(a) + len(b)
    a_round, _ = _nearest_power(builder, a)
    b_round, b_rest = _nearest_power(builder, b)
    first = times_power(builder, a_round, b_rest, width)
    second = times_power(builder, b_round, [*a, ZERO], width)
    return builder.add(first, second)[0]


def _nearest_power(builder: CircuitBuilder, bits: Sequence[int]) -> tuple[list[int], list[int]]:
    """One-hot r(x) of n + 1 bits, and x - r(x) in two's complement of n + 1 bits."""
    n = len(bits)
    hot = leading_one(builder, bits)
    up = [ZERO, ZERO] + [builder.and_(hot[m], bits[m - 1]) for m in range(2, n)]
    down = [builder.and_(hot[m], builder.inv(up[m])) for m in range(n)]
    rounded = [builder.or_(down[m] if m < n else ZERO, up[m - 1] if m else ZERO) for m in range(n + 1)]
    # Rounded up by 2^m - x, the rest x - 2^m is negative: all bits above the leading one are sign bits.
    sign = [ZERO] * (n + 1)
    for m in range(1, n + 1):
        sign[m] = builder.or_(sign[m - 1], up[m - 1])
    rest = [builder.or_(builder.and_(bits[i], builder.inv(down[i])), sign[i]) for i in range(n)]
    return rounded, [*rest, sign[n]]
