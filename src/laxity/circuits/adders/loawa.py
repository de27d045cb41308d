"""The lower-part OR adder without carry between its parts."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family, low_grid, low_part
from laxity.circuits.builder import CircuitBuilder


@adder_family(
    "loawa",
    parameters=[low_part("least significant bits joined by OR")],
    grid=low_grid,
    source="P. Albicocco et al., Imprecise arithmetic for low power image processing, Asilomar 2012: the lower-part OR "
    "adder without its AND gate",
)
def loawa(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], low: int) -> list[int]:
    """Sum whose l low bits are a | b; the upper part is added exactly without carry from below."""
    high, top = builder.add(a[low:], b[low:])
    return [*(builder.or_(x, y) for x, y in zip(a[:low], b[:low], strict=True)), *high, top]
