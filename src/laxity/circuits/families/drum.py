"""The dynamic range unbiased multiplier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laxity.circuits.arithmetic import segment_product
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import MAX_WIDTH, Parameter, multiplier_family
from laxity.circuits.formula import Formula, top_power
from laxity.core.demand import IntArray

MIN_KEPT = 3
"""Fewest bits kept: with two, the signed product of the most negative operands would not fit 2n bits."""


def truncated(x: IntArray, _: int, k: int) -> list[IntArray]:
    """The operand as DRUM multiplies it: k bits from the leading one down, the last one set if bits are cut off."""
    last = np.maximum(top_power(x) >> (k - 1), 1)
    return [np.where(last > 1, (x & -last) | last, x)]


@multiplier_family(
    "drum",
    parameters=[Parameter("k", "bits kept from the leading one", lambda n: MIN_KEPT, lambda n: n)],
    grid=lambda n: [(k,) for k in range(MIN_KEPT, n)],
    source="S. Hashemi, R. I. Bahar, S. Reda, DRUM: a dynamic range unbiased multiplier for approximate applications, "
    "ICCAD 2015",
    widths=range(MIN_KEPT, MAX_WIDTH + 1),
    formula=Formula(truncated, truncated),
)
def drum(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], k: int) -> list[int]:
    """Product p = t(a) * t(b), exact product of truncated operands.

    t(x) = x below 2^k; otherwise t keeps the k bits from the leading one down, sets the lowest of them to 1 and clears
    the rest.
    """
    return segment_product(builder, a, b, k, set_one=True)
