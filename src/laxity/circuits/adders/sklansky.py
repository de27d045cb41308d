"""The exact Sklansky adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.carry import combine, generate_propagate, sum_bits
from laxity.circuits.netlist import ZERO


@adder_family(
    "sklansky",
    source="J. Sklansky, Conditional-sum addition logic, IRE Trans. Electronic Computers EC-9(2), 1960",
    exact=True,
)
def sklansky(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Sum s = a + b, exact; parallel prefix of least depth with few gates and large fan-out."""
    pairs = generate_propagate(builder, a, b)
    prefix = list(pairs)
    span = 1
    while span < len(prefix):
        prefix = [
            combine(builder, pair, prefix[i // span * span - 1]) if i // span % 2 else pair
            for i, pair in enumerate(prefix)
        ]
        span *= 2
    return sum_bits(builder, pairs, [ZERO, *(generate for generate, _ in prefix)])
