"""Operand truncation."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula
from laxity.core.demand import IntArray


def _truncated(x: IntArray, _: int, k: int) -> list[IntArray]:
    return [(x >> k) << k]


@multiplier_family(
    "optrunc",
    parameters=[Parameter("k", "least significant bits cleared in both operands", lambda n: 0, lambda n: n - 1)],
    grid=lambda n: [(k,) for k in range(1, n - 2)],
    source="static operand truncation, the common baseline of approximate multiplier surveys",
    formula=Formula(_truncated, _truncated),
)
def optrunc(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], k: int) -> list[int]:
    """Product p = (a with its k least significant bits cleared) * (b with its k least significant bits cleared)."""
    rows = partial_products(builder, a, b, lambda i, j: i >= k and j >= k)
    return dadda_sum(builder, columns_of(rows, len(a) + len(b)))
