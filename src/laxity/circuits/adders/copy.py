"""The adder that copies the low bits of one operand."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family, low_grid, low_part
from laxity.circuits.builder import CircuitBuilder


@adder_family(
    "copy",
    parameters=[low_part("least significant bits taken from operand a")],
    grid=low_grid,
    source="truncated addition that passes the low bits of one operand on instead of zeros; in an accumulator it keeps "
    "those of the sum",
)
def copy(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], low: int) -> list[int]:
    """Sum whose l low bits are those of a; the upper part is added exactly without carry from below."""
    high, top = builder.add(a[low:], b[low:])
    return [*a[:low], *high, top]
