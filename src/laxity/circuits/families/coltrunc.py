"""Column truncation of the partial-product matrix."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import dropped_cells


@multiplier_family(
    "coltrunc",
    parameters=[Parameter("k", "least significant columns dropped", lambda n: 0, lambda n: 2 * n - 2)],
    grid=lambda n: [(k,) for k in range(2, min(n + 3, 2 * n - 1))],
    source="truncated (fixed-width style) multiplication without correction; Dadda tree of the remaining bits",
    formula=dropped_cells(lambda k: (k, 0)),
)
def coltrunc(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], k: int) -> list[int]:
    """Product p = sum of a_i b_j 2^(i+j) over i + j >= k: the k least significant columns are dropped."""
    rows = partial_products(builder, a, b, lambda i, j: i + j >= k)
    return dadda_sum(builder, columns_of(rows, len(a) + len(b)))
