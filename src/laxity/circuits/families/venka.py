"""Multiplier with the approximate 4:2 compressor of Venkatachalam and Ko."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.compressors import compressor_product
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.netlist import ZERO


def _compressor(builder: CircuitBuilder, x: Sequence[int], _: int) -> tuple[int, int, int]:
    first, second = builder.nand(x[0], x[1]), builder.nand(x[2], x[3])
    even = builder.and_(builder.oai21(x[0], x[1], first), builder.oai21(x[2], x[3], second))
    return builder.oai21(first, second, even), builder.nand(first, second), ZERO


@multiplier_family(
    "venka",
    parameters=[Parameter("columns", "lowest columns with approximate compressors", lambda n: 0, lambda n: 2 * n)],
    grid=lambda n: [(columns,) for columns in [*range(n // 2 + 1, min(n + 3, 2 * n)), 2 * n]],
    source="S. Venkatachalam, S.-B. Ko, Design of power and area efficient approximate multipliers, IEEE TVLSI 25(5), "
    "2017; its compressor, without the altered partial products",
)
def venka(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], columns: int) -> list[int]:
    """Sum of partial products in a tree with approximate compressors in the lowest columns, full adders elsewhere.

    A compressor of x1..x4: sum = (x1 xor x2) or (x3 xor x4) or x1 x2 x3 x4, carry = x1 x2 or x3 x4.
    """
    return compressor_product(builder, a, b, columns, _compressor)
