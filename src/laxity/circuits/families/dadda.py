"""The exact Dadda multiplier."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import columns_of, dadda_sum, partial_products
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import EXACT


@multiplier_family(
    "dadda",
    source="L. Dadda, Some schemes for parallel multipliers, Alta Frequenza 34, 1965",
    formula=EXACT,
)
def dadda(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Product p = a * b, exact; a Dadda tree reduces the partial products, a ripple-carry adder ends."""
    return dadda_sum(builder, columns_of(partial_products(builder, a, b), len(a) + len(b)))
