"""The exact Wallace multiplier."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, partial_products, wallace_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import EXACT


@multiplier_family(
    "wallace",
    source="C. S. Wallace, A suggestion for a fast multiplier, IEEE Trans. Electronic Computers EC-13(1), 1964",
    formula=EXACT,
)
def wallace(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Product p = a * b, exact; every stage adds as many bits as it can, a ripple-carry adder ends."""
    return wallace_sum(builder, columns_of(partial_products(builder, a, b), len(a) + len(b)))
