"""The lower-part OR adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family, low_grid, low_part
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO


@adder_family(
    "loa",
    parameters=[low_part("least significant bits joined by OR")],
    grid=low_grid,
    source="H. R. Mahdiani et al., Bio-inspired imprecise computational blocks, IEEE TCAS-I 57(4), 2010",
)
def loa(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], low: int) -> list[int]:
    """Sum whose l low bits are a | b; the upper part is added exactly with the carry a_(l-1) and b_(l-1)."""
    carry = builder.and_(a[low - 1], b[low - 1]) if low else ZERO
    high, top = builder.add(a[low:], b[low:], carry)
    return [*(builder.or_(x, y) for x, y in zip(a[:low], b[:low], strict=True)), *high, top]
