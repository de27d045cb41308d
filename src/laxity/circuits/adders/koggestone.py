"""The exact Kogge-Stone adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.carry import generate_propagate, group, sum_bits


@adder_family(
    "koggestone",
    source="P. M. Kogge, H. S. Stone, A parallel algorithm for the efficient solution of a general class of recurrence "
    "equations, IEEE Trans. Computers C-22(8), 1973",
    exact=True,
)
def koggestone(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Sum s = a + b, exact; parallel prefix of least depth with fan-out two."""
    pairs = generate_propagate(builder, a, b)
    return sum_bits(builder, pairs, [group(builder, pairs, 0, i)[0] for i in range(len(pairs) + 1)])
