"""The low-energy truncation-based multiplier, reconstructed."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import segment_product
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.families.drum import MIN_KEPT, truncated
from laxity.circuits.family import MAX_WIDTH, Parameter, multiplier_family
from laxity.circuits.formula import Formula
from laxity.core.demand import IntArray

_ENDS = 2
"""Bits of a segment besides the fraction: the leading one, and the one set in place of what is cut off."""


def _kept(x: IntArray, width: int, t: int) -> list[IntArray]:
    return truncated(x, width, t + _ENDS)


@multiplier_family(
    "letam",
    parameters=[Parameter("t", "fraction bits kept", lambda n: MIN_KEPT - _ENDS, lambda n: n - _ENDS)],
    grid=lambda n: [(t,) for t in range(MIN_KEPT - _ENDS, n - _ENDS)],
    source="S. Vahdat et al., LETAM: a low energy truncation-based approximate multiplier, Computers & Electrical "
    "Engineering 63, 2017; reconstruction from its abstract",
    widths=range(MIN_KEPT, MAX_WIDTH + 1),
    formula=Formula(_kept, _kept),
)
def letam(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], t: int) -> list[int]:
    """Product p of operands truncated to t fraction bits with a one set behind them; the same function as DRUM(t + 2).

    With x = 2^k (1 + f), f keeps its first t bits and the bit after them is set to 1; operands below 2^(t + 2) stay
    exact.
    """
    return segment_product(builder, a, b, t + _ENDS, set_one=True)
