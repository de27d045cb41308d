"""Column truncation with a correction constant."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, constant, dropped_left, dropped_right
from laxity.circuits.netlist import ONE
from laxity.core.demand import IntArray


def correction(k: int) -> int:
    """Mean of the k columns dropped, over uniform operands of at least k bits, rounded to a multiple of 2**k.

    Column c holds c + 1 partial products, each of which is one with probability 1/4. Halves are rounded up.
    """
    mean_times_four = sum((c + 1) << c for c in range(k))
    return (mean_times_four + (2 << k)) >> (k + 2) << k


def _left(a: IntArray, width: int, k: int) -> list[IntArray]:
    return [*dropped_left(a, width, k, 0), constant(a, correction(k))]


def _right(b: IntArray, width: int, k: int) -> list[IntArray]:
    return [*dropped_right(b, width, k, 0), constant(b, 1)]


@multiplier_family(
    "coltruncc",
    parameters=[Parameter("k", "least significant columns dropped", lambda n: 0, lambda n: n)],
    grid=lambda n: [(k,) for k in range(min(4, n), n + 1)],
    source="M. J. Schulte, E. E. Swartzlander, Truncated multiplication with correction constant, VLSI Signal "
    "Processing VI, 1993; constant of the mean of the dropped columns alone",
    formula=Formula(_left, _right),
)
def coltruncc(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], k: int) -> list[int]:
    """Product p = sum of a_i b_j 2^(i+j) over i + j >= k, plus the mean of the dropped columns rounded to 2^k.

    Products with 0 are the constant.
    """
    rows = partial_products(builder, a, b, lambda i, j: i + j >= k)
    columns = columns_of(rows, len(a) + len(b))
    for c, column in enumerate(columns):
        if correction(k) >> c & 1:
            column.append(ONE)
    return dadda_sum(builder, columns)
