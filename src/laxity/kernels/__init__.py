"""Kernels that compute sums of products exactly as the circuit does, and the choice among them."""

from __future__ import annotations

from functools import lru_cache

from laxity.circuits import Multiplier
from laxity.core.errors import PlanError
from laxity.kernels import native
from laxity.kernels.analysis import CodeRange, IntArray, factorise, reduce_table, signed_table
from laxity.kernels.factored import FactoredProducts
from laxity.kernels.gather import GatherProducts
from laxity.kernels.geometry import Geometry, overlap_add
from laxity.kernels.lowrank import LowRankProducts
from laxity.kernels.products import (
    EXACT_FLOAT64,
    NARROW,
    Accumulator,
    FusedOperand,
    FusedProducts,
    Products,
    Scaling,
    WeightOperand,
)
from laxity.kernels.rates import look_up_rate, low_rank_rate
from laxity.kernels.table import TableProducts
from laxity.kernels.terms import byte_terms

__all__ = [
    "Accumulator",
    "CodeRange",
    "FusedOperand",
    "FusedProducts",
    "Geometry",
    "Products",
    "Scaling",
    "WeightOperand",
    "overlap_add",
    "products_for",
]

MOST_TERMS = 8
MOST_ENTRIES = 256


@lru_cache(maxsize=128)
def products_for(
    multiplier: Multiplier,
    left: CodeRange,
    right: CodeRange,
    shifts: tuple[int, int] = (0, 0),
    accumulator: Accumulator | None = None,
) -> tuple[Products, float]:
    """Choose the kernel for a multiplier and the code ranges of its operands.

    Tables that are sums of few products of bytes run on dot products, all others by look-up, whichever is faster here;
    without compiled kernels on native convolutions and by look-up in torch.

    Args:
        multiplier: the circuit.
        left: range of activation codes.
        right: range of weight codes.
        shifts: how far codes are shifted up before they enter the circuit, so that narrow codes use its upper bits.
        accumulator: how products are added where not exactly.

    Returns:
        The kernel, and the power of two by which its sums must be multiplied to undo the shifts.

    Raises:
        PlanError: the codes do not fit the circuit, or products are beyond what layers add exactly.
    """
    table, shift = reduce_table(signed_table(multiplier, left, right, shifts), sum(shifts))
    largest = max(int(table.max()), -int(table.min()))
    if largest >= EXACT_FLOAT64:
        raise PlanError(
            f"multiplier {multiplier.name!r} has products up to {largest}; layers add exactly up to 2**53, so use a "
            "table of smaller products, or laxity.emulate.matmul for sums of 64 bits"
        )
    kernel = exact_products(table, left, right) if accumulator is None else accumulator.products(table, left, right)
    return kernel, 2.0**-shift


def exact_products(table: IntArray, left: CodeRange, right: CodeRange) -> Products:
    """The kernel of exact sums of products ``table[a - left[0], w - right[0]]``."""
    factors = factorise(table, left, right, MOST_TERMS)
    if factors is not None and factors.bound() > max(int(abs(table).max()), NARROW):
        factors = None  # terms that cancel would leave what sums hold exactly
    plain = GatherProducts(left, right, table) if factors is None else FactoredProducts(left, right, factors)
    level = native.level()
    if level == "torch" or max(table.shape) > MOST_ENTRIES:
        return plain
    look_up = TableProducts(left, right, table, plain)
    if factors is not None:
        terms = byte_terms(factors)
        if low_rank_rate(level, len(terms.terms)) > look_up_rate(level, look_up.layout):
            return LowRankProducts(left, right, terms, plain)
    return look_up
