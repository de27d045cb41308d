"""The exact radix-4 Booth multiplier."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.booth import booth_product
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import multiplier_family
from laxity.circuits.formula import EXACT
from laxity.circuits.netlist import ZERO


def _signed(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    return booth_product(builder, a, b, len(a) + len(b))


@multiplier_family(
    "booth",
    source="O. L. MacSorley, High-speed arithmetic in binary computers, Proc. IRE 49(1), 1961",
    formula=EXACT,
    signed=_signed,
)
def booth(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Product p = a * b, exact: b is recoded to digits -2..2, a Dadda tree adds their products with a.

    Unsigned operands are extended by zeros.
    """
    return booth_product(builder, [*a, ZERO], [*b, ZERO], len(a) + len(b))
