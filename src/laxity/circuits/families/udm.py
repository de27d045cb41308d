"""The underdesigned multiplier of Kulkarni, Gupta and Ercegovac."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import Columns, dadda_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import Formula
from laxity.core.demand import IntArray


def _threes(x: IntArray) -> IntArray:
    """4^I for every base-4 digit I that is 3."""
    return x & (x >> 1) & 0x5555_5555


def _left(a: IntArray, _: int) -> list[IntArray]:
    return [a, _threes(a)]


def _right(b: IntArray, _: int) -> list[IntArray]:
    return [b, -2 * _threes(b)]


@multiplier_family(
    "udm",
    source="P. Kulkarni, P. Gupta, M. Ercegovac, Trading accuracy for power with an underdesigned multiplier "
    "architecture, VLSI Design 2011",
    widths=(2, 4, 8, 16),
    formula=Formula(_left, _right),
)
def udm(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Product p = sum of m(a_I, b_J) 4^(I+J) over base-4 digits, where m(3, 3) = 7 and m(x, y) = x y otherwise.

    This equals the recursive definition with exact adders; one Dadda tree adds the outputs of all 2x2 cells.
    """
    columns: Columns = [[] for _ in range(len(a) + len(b))]
    for i in range(0, len(a), 2):
        for j in range(0, len(b), 2):
            a0, a1, b0, b1 = a[i], a[i + 1], b[j], b[j + 1]
            columns[i + j].append(builder.and_(a0, b0))
            columns[i + j + 1].append(builder.sum_of_products([(a1, b0), (a0, b1)]))
            columns[i + j + 2].append(builder.and_(a1, b1))
    return dadda_sum(builder, columns)
