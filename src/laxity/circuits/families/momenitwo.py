"""Multiplier with the second approximate 4:2 compressor of Momeni et al."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.compressors import compressor_product, equal_and_both
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.netlist import ZERO


def _compressor(builder: CircuitBuilder, x: Sequence[int], _: int) -> tuple[int, int, int]:
    return *equal_and_both(builder, x), ZERO


@multiplier_family(
    "momenitwo",
    parameters=[Parameter("columns", "lowest columns with approximate compressors", lambda n: 0, lambda n: 2 * n)],
    grid=lambda n: [(columns,) for columns in [*range(n // 2 + 1, min(n + 3, 2 * n)), 2 * n]],
    source="A. Momeni et al., Design and analysis of approximate compressors for multiplication, IEEE Trans. Computers "
    "64(4), 2015, design 2",
)
def momenitwo(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], columns: int) -> list[int]:
    """Sum of partial products in a tree with design-2 compressors in the lowest columns, full adders elsewhere.

    A compressor of x1..x4: sum = x1 xnor x2 or x3 xnor x4, carry = (x1 or x2)(x3 or x4), no side carry. Products with 0
    are not 0, since the sum of four zeros is 1.
    """
    return compressor_product(builder, a, b, columns, _compressor)
