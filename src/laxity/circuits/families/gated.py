"""Reconfigurable multiplier with gates at its operands."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import ModeLines, Parameter, multiplier_family
from laxity.circuits.formula import Formula
from laxity.core.demand import IntArray


def gated_bits(width: int) -> int:
    """Low bits of each operand that have a gate."""
    return width // 2


def _word(width: int, ka: int, kb: int) -> int:
    """A line for each gated bit, those of a first; 1 lets the bit pass."""
    count = gated_bits(width)
    every = (1 << count) - 1
    return (every >> ka << ka) | (every >> kb << kb) << count


def _left(a: IntArray, _: int, ka: int, __: int) -> list[IntArray]:
    return [(a >> ka) << ka]


def _right(b: IntArray, _: int, __: int, kb: int) -> list[IntArray]:
    return [(b >> kb) << kb]


@multiplier_family(
    "gated",
    parameters=[
        Parameter("ka", "least significant bits of a that are cleared", lambda n: 0, gated_bits),
        Parameter("kb", "least significant bits of b that are cleared", lambda n: 0, gated_bits),
    ],
    grid=lambda n: [],
    source="modes after C. De la Parra et al., Exploiting resiliency for kernel-wise CNN approximation enabled by "
    "adaptive hardware design, ISCAS 2021, known by its abstract; AND gates at the operands, a reconstruction",
    formula=Formula(_left, _right),
    unit=ModeLines(lambda n: 2 * gated_bits(n), _word),
)
def gated(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], lines: Sequence[int]) -> list[int]:
    """Product p = (a with its ka least significant bits cleared) * (b with its kb cleared); modes of one unit.

    The unit is an exact Dadda multiplier with an AND gate at each of the n/2 low bits of both operands.
    """
    count = gated_bits(len(a))
    open_a, open_b = lines[:count], lines[count:]
    low_a = [builder.and_(bit, line) for bit, line in zip(a, open_a, strict=False)]
    low_b = [builder.and_(bit, line) for bit, line in zip(b, open_b, strict=False)]
    rows = partial_products(builder, [*low_a, *a[count:]], [*low_b, *b[count:]])
    return dadda_sum(builder, columns_of(rows, len(a) + len(b)))
