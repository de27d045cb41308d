"""The exact array multiplier."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import partial_products, row_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import EXACT


@multiplier_family("array", source="textbook array multiplier: ripple-carry rows of partial products", formula=EXACT)
def array(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Product p = a * b, exact; row after row is added with a ripple-carry adder."""
    return row_sum(builder, partial_products(builder, a, b), len(a) + len(b))
