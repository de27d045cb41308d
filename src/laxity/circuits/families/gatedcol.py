"""Reconfigurable multiplier with gates at its low columns of partial products."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import ModeLines, Parameter, multiplier_family
from laxity.circuits.formula import dropped_cells


def _word(width: int, k: int) -> int:
    """A line for each gated column; 1 lets its partial products pass."""
    return ((1 << width) - 1) >> k << k


@multiplier_family(
    "gatedcol",
    parameters=[Parameter("k", "least significant columns that are cleared", lambda n: 0, lambda n: n)],
    grid=lambda n: [],
    source="modes after C. De la Parra et al., Exploiting resiliency for kernel-wise CNN approximation enabled by "
    "adaptive hardware design, ISCAS 2021, known by its abstract; truncated columns, a reconstruction",
    formula=dropped_cells(lambda k: (k, 0)),
    unit=ModeLines(lambda n: n, _word),
)
def gatedcol(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], lines: Sequence[int]) -> list[int]:
    """Product p = sum of a_i b_j 2^(i+j) over i + j >= k; all values of k are modes of one unit.

    The unit is an exact Dadda multiplier with a third factor in the partial products of its n low columns. The bit of b
    meets it first: weights rest in the arrays of the targets, so that this gate does not switch while they do.
    """
    rows = [
        [builder.and_(x, builder.and_(y, lines[i + j]) if i + j < len(lines) else y) for i, x in enumerate(a)]
        for j, y in enumerate(b)
    ]
    return dadda_sum(builder, columns_of(rows, len(a) + len(b)))
