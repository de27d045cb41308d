"""Column truncation with data-dependent correction."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula
from laxity.core.demand import IntArray


def _left(a: IntArray, _: int, k: int) -> list[IntArray]:
    kept = [a >> (k - j) << (k - j) for j in range(k)]
    doubled = [(a >> (k - 1 - j) & 1) << (k - j) for j in range(k)]
    return [*(x + y for x, y in zip(kept, doubled, strict=True)), a]


def _right(b: IntArray, _: int, k: int) -> list[IntArray]:
    return [*(b & (1 << j) for j in range(k)), b >> k << k]


@multiplier_family(
    "coltruncv",
    parameters=[Parameter("k", "least significant columns not summed", lambda n: 0, lambda n: n)],
    grid=lambda n: [(k,) for k in range(min(4, n), n + 1)],
    source="E. J. King, E. E. Swartzlander, Data-dependent truncation scheme for parallel multipliers, Asilomar "
    "Conference on Signals, Systems and Computers, 1997",
    formula=Formula(_left, _right),
)
def coltruncv(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], k: int) -> list[int]:
    """Product p = sum of a_i b_j 2^(i+j) over i + j >= k, plus a_i b_j 2^k for i + j = k - 1.

    The k lowest columns are dropped, but the bits of the last of them stand for all and enter the next column.
    """
    rows = partial_products(builder, a, b, lambda i, j: i + j >= k - 1)
    columns = columns_of(rows, len(a) + len(b))
    if k:
        columns[k] += columns[k - 1]
        columns[k - 1] = []
    return dadda_sum(builder, columns)
