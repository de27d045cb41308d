"""Kernels that compute sums of products exactly as the circuit does, and the choice among them."""

from __future__ import annotations

from functools import lru_cache

from laxity.circuits import Multiplier
from laxity.emulate.kernels.analysis import CodeRange, factorise, reduce_table, signed_table
from laxity.emulate.kernels.factored import FactoredProducts
from laxity.emulate.kernels.geometry import Geometry, overlap_add
from laxity.emulate.kernels.products import Products, WeightOperand
from laxity.emulate.kernels.table import TableProducts

__all__ = ["CodeRange", "Geometry", "Products", "WeightOperand", "overlap_add", "products_for"]

MOST_TERMS = 8


@lru_cache(maxsize=512)
def products_for(
    multiplier: Multiplier, left: CodeRange, right: CodeRange, shifts: tuple[int, int] = (0, 0)
) -> tuple[Products, float]:
    """Choose the kernel for a multiplier and the code ranges of its operands.

    Tables that are sums of few integer products run on native convolutions; all others by look-up.

    Args:
        multiplier: the circuit.
        left: range of activation codes.
        right: range of weight codes.
        shifts: how far codes are shifted up before they enter the circuit, so that narrow codes use its upper bits.

    Returns:
        The kernel, and the power of two by which its sums must be multiplied to undo the shifts.

    Raises:
        PlanError: the codes do not fit the circuit.
    """
    table, shift = reduce_table(signed_table(multiplier, left, right, shifts), sum(shifts))
    factors = factorise(table, left, right, MOST_TERMS)
    kernel = TableProducts(left, right, table) if factors is None else FactoredProducts(left, right, factors)
    return kernel, 2.0**-shift
