"""The truncated adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family, low_grid, low_part
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO


@adder_family(
    "trunc",
    parameters=[low_part("least significant bits that are 0")],
    grid=low_grid,
    source="truncated addition, the common baseline of approximate adder surveys",
)
def trunc(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], low: int) -> list[int]:
    """Sum of the operands with their l low bits cleared."""
    high, top = builder.add(a[low:], b[low:])
    return [*[ZERO] * low, *high, top]
