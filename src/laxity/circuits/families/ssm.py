"""The static segment multiplier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula
from laxity.circuits.netlist import ZERO
from laxity.core.demand import IntArray


def _segment(x: IntArray, n: int, m: int) -> list[IntArray]:
    cut = n - m
    return [np.where(x >> m, (x >> cut) << cut, x)]


@multiplier_family(
    "ssm",
    parameters=[Parameter("m", "bits of a segment", lambda n: (n + 1) // 2, lambda n: n)],
    grid=lambda n: [(m,) for m in range((n + 1) // 2, n)],
    source="S. Narayanamoorthy et al., Energy-efficient approximate multiplication for digital signal processing and "
    "classification applications, IEEE TVLSI 23(6), 2015",
    formula=Formula(_segment, _segment),
)
def ssm(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], m: int) -> list[int]:
    """Product p = t(a) * t(b), exact product of segments.

    t(x) = x below 2^m; otherwise t keeps the m most significant bits of the operand, wherever its leading one is.
    """
    n = len(a)
    a_high, a_segment = _select(builder, a, m)
    b_high, b_segment = _select(builder, b, m)
    product = dadda_sum(builder, columns_of(partial_products(builder, a_segment, b_segment), 2 * m))
    product += [ZERO] * (2 * n - len(product))
    for high in (a_high, b_high):
        product = [
            builder.mux(high, bit, product[p - (n - m)] if p >= n - m else ZERO) for p, bit in enumerate(product)
        ]
    return product


def _select(builder: CircuitBuilder, bits: Sequence[int], m: int) -> tuple[int, list[int]]:
    """Whether the upper segment is taken, and the segment."""
    high = builder.any_of(bits[m:])
    return high, [builder.mux(high, low, up) for low, up in zip(bits[:m], bits[len(bits) - m :], strict=True)]
