"""The error-tolerant adder II."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.carry import generate_propagate, group, sum_bits
from laxity.circuits.family import Parameter
from laxity.circuits.netlist import ZERO


@adder_family(
    "etaii",
    parameters=[Parameter("k", "bits per block", lambda n: 1, lambda n: n)],
    grid=lambda n: [(k,) for k in dict.fromkeys((n // 4, n // 3)) if k > 1],
    source="N. Zhu, W. L. Goh, K. S. Yeo, An enhanced low-power high-speed adder for error-tolerant application, "
    "ISIC 2009",
)
def etaii(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], block: int) -> list[int]:
    """Sum in blocks of k bits; the carry into a block is the carry out of the block below, taken without carry in.

    Blocks start at the least significant bit; the last one may be shorter. The last one's carry out does count the
    carry into it.
    """
    pairs = generate_propagate(builder, a, b)
    carries = []
    for i in range(len(pairs)):
        low = i // block * block
        carries.append(group(builder, pairs, max(low - block, 0), i)[0] if i else ZERO)
    last = (len(pairs) - 1) // block * block
    return sum_bits(builder, pairs, [*carries, group(builder, pairs, max(last - block, 0), len(pairs))[0]])
