"""Perforation of partial products."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, itself
from laxity.core.demand import IntArray


def _kept_rows(b: IntArray, _: int, j: int, k: int) -> list[IntArray]:
    return [b & ~(((1 << k) - 1) << j)]


@multiplier_family(
    "perf",
    parameters=[
        Parameter("j", "first row of the array that is dropped", lambda n: 0, lambda n: n - 1),
        Parameter("k", "rows dropped; those beyond the last do not count", lambda n: 0, lambda n: n - 1),
    ],
    grid=lambda n: [(j, k) for j in range(min(3, n - 1)) for k in range(1, n // 2) if j + k < n - 2],
    source="G. Zervakis et al., Design-efficient approximate multiplication circuits through partial product "
    "perforation, IEEE TVLSI 24(10), 2016",
    formula=Formula(itself, _kept_rows),
)
def perf(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], j: int, k: int) -> list[int]:
    """Product p = a * (b with its bits j..j + k - 1 cleared): k rows of partial products are left out."""
    rows = partial_products(builder, a, b, lambda _, row: not j <= row < j + k)
    return dadda_sum(builder, columns_of(rows, len(a) + len(b)))
