"""The almost correct adder."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.carry import generate_propagate, group, sum_bits
from laxity.circuits.family import Parameter


@adder_family(
    "aca",
    parameters=[Parameter("w", "bits below from which a carry is computed", lambda n: 1, lambda n: n)],
    grid=lambda n: [(w,) for w in dict.fromkeys((n // 3, n // 2)) if w > 1],
    source="A. K. Verma, P. Brisk, P. Ienne, Variable latency speculative addition: a new paradigm for arithmetic "
    "circuit design, DATE 2008; also the approximate mode of O. Akbari et al., RAP-CLA, IEEE TCAS-II 65(8), 2018",
)
def aca(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], window: int) -> list[int]:
    """Sum in which the carry into a bit, and the carry out, comes from the w bits below it only."""
    pairs = generate_propagate(builder, a, b)
    carries = [group(builder, pairs, max(i - window, 0), i)[0] for i in range(len(pairs) + 1)]
    return sum_bits(builder, pairs, carries)
