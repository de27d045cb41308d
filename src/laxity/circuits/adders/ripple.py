"""The exact ripple-carry adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family
from laxity.circuits.builder import CircuitBuilder


@adder_family("ripple", source="textbook ripple-carry adder: a chain of full adders", exact=True)
def ripple(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Sum s = a + b, exact; smallest and slowest."""
    total, carry = builder.add(a, b)
    return [*total, carry]
