"""The generic accuracy-configurable adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter
from laxity.circuits.netlist import ZERO


def _grid(width: int) -> list[tuple[int, ...]]:
    quarter = width // 4
    return [(r, p) for r, p in ((quarter, quarter), (quarter, 2 * quarter)) if quarter > 1]


@adder_family(
    "gear",
    parameters=[
        Parameter("r", "sum bits that each sub-adder adds", lambda n: 1, lambda n: n),
        Parameter("p", "bits below them from which each sub-adder predicts its carry", lambda n: 0, lambda n: n),
    ],
    grid=_grid,
    source="M. Shafique et al., A low latency generic accuracy configurable adder, DAC 2015",
)
def gear(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], r: int, p: int) -> list[int]:
    """Sum from overlapping sub-adders of r + p bits, each r bits above the one before, without carry between them.

    The first gives all its bits, every other its top r; the last one may be shorter. Its carry out is that of the sum.
    """
    total: list[int] = []
    carry = ZERO
    while len(total) < len(a):
        start = max(len(total) - p, 0)
        stop = min(len(total) + r if total else r + p, len(a))
        bits, carry = builder.add(a[start:stop], b[start:stop])
        total += bits[len(total) - start :]
    return [*total, carry]
