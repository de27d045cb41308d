"""The broken-array multiplier."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import partial_products, row_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import dropped_cells


def _grid(n: int) -> list[tuple[int, int]]:
    """Break levels up to the middle column, without the exact circuit and without rows that are empty anyway."""
    levels = dict.fromkeys((vbl, hbl) for vbl in (0, n // 2, n * 3 // 4, n) for hbl in (0, 1, n // 4))
    return [(vbl, hbl) for vbl, hbl in levels if (hbl > vbl - n + 1 if hbl else vbl)]


@multiplier_family(
    "bam",
    parameters=[
        Parameter("vbl", "vertical break level: columns dropped", lambda n: 0, lambda n: 2 * n - 2),
        Parameter("hbl", "horizontal break level: rows of b dropped", lambda n: 0, lambda n: n - 1),
    ],
    grid=_grid,
    source="H. R. Mahdiani et al., Bio-inspired imprecise computational blocks, IEEE TCAS-I 57(4), 2010",
    formula=dropped_cells(lambda vbl, hbl: (vbl, hbl)),
)
def bam(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], vbl: int, hbl: int) -> list[int]:
    """Product p = sum of a_i b_j 2^(i+j) over i + j >= vbl and j >= hbl: cells of the array are left out."""
    rows = partial_products(builder, a, b, lambda i, j: i + j >= vbl and j >= hbl)
    return row_sum(builder, rows, len(a) + len(b))
