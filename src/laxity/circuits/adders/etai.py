"""The error-tolerant adder I."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family, low_grid, low_part
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO


@adder_family(
    "etai",
    parameters=[low_part("least significant bits of the inaccurate part")],
    grid=low_grid,
    source="N. Zhu et al., Design of low-power high-speed truncation-error-tolerant adder and its application in "
    "digital signal processing, IEEE TVLSI 18(8), 2010",
)
def etai(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], low: int) -> list[int]:
    """Sum whose upper part is exact without carry from below.

    The l low bits are a ^ b, from the top down to the first bit at which both operands are 1; that bit and all below
    it are 1.
    """
    high, top = builder.add(a[low:], b[low:])
    met = ZERO
    below: list[int] = []
    for x, y in zip(reversed(a[:low]), reversed(b[:low]), strict=True):
        met = builder.or_(met, builder.and_(x, y))
        below.append(builder.or_(builder.xor(x, y), met))
    return [*reversed(below), *high, top]
