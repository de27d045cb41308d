"""Kernels that compute sums of products exactly as the circuit does, and the choice among them."""

from __future__ import annotations

from functools import lru_cache

from laxity.circuits import Multiplier
from laxity.emulate.kernels.analysis import CodeRange, factorise, signed_table
from laxity.emulate.kernels.factored import FactoredProducts
from laxity.emulate.kernels.geometry import Geometry
from laxity.emulate.kernels.products import Products, WeightOperand
from laxity.emulate.kernels.table import TableProducts

__all__ = ["CodeRange", "Geometry", "Products", "WeightOperand", "products_for"]

MOST_TERMS = 8


@lru_cache(maxsize=512)
def products_for(multiplier: Multiplier, left: CodeRange, right: CodeRange) -> Products:
    """Choose the kernel for a multiplier and the code ranges of its operands.

    Tables that are sums of few integer products run on native convolutions; all others by look-up.

    Raises:
        PlanError: the codes do not fit the circuit.
    """
    table = signed_table(multiplier, left, right)
    factors = factorise(table, left, right, MOST_TERMS)
    if factors is not None:
        return FactoredProducts(left, right, factors)
    return TableProducts(left, right, table)
