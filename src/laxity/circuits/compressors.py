"""Adder trees with 4:2 compressors in their low columns: what the compressor multiplier families share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from laxity.circuits.arithmetic import Columns, columns_of, partial_products, two_row_sum
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO

Compressor = Callable[[CircuitBuilder, Sequence[int], int], tuple[int, int, int]]
"""Called with four bits of one column and the carry from the compressor beside it; returns the sum, which stays in the
column, the carry, and the carry to the compressor beside it in the next column. The last two weigh twice as much."""


def compressor_product(
    builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], columns: int, compressor: Compressor
) -> list[int]:
    """Add the partial products of two unsigned numbers, with approximate compressors in the lowest columns.

    In every stage each column, the least significant one first, takes its bits in order: by fours into compressors
    while the column is among the lowest `columns`, then by threes into full adders; the rest waits. Stages end when no
    column holds more than two bits. Compressor number r of a column takes the side carry of number r of the column
    below; side carries that none takes are bits like others. Bits of a column are in this order: carries from the
    column below, sums, what waited. A ripple-carry adder ends.

    Source: where publications leave the order open, it is the one that reproduces the error figures of an independent
    study of these trees.
    """
    width = len(a) + len(b)
    heap = columns_of(partial_products(builder, a, b), width)
    while max(len(column) for column in heap) > 2:
        heap = _stage(builder, heap, columns, compressor)
    return two_row_sum(builder, heap)


def equal_and_both(builder: CircuitBuilder, x: Sequence[int]) -> tuple[int, int]:
    """(x1 xnor x2) or (x3 xnor x4), and (x1 or x2)(x3 or x4), which share the inverses of both disjunctions."""
    first, second = builder.nor(x[0], x[1]), builder.nor(x[2], x[3])
    unequal = builder.aoi21(x[0], x[1], first), builder.aoi21(x[2], x[3], second)
    return builder.nand(*unequal), builder.nor(first, second)


def _stage(builder: CircuitBuilder, heap: Columns, columns: int, compressor: Compressor) -> Columns:
    reduced: Columns = [[] for _ in range(len(heap) + 1)]
    aside: list[int] = []
    for c, column in enumerate(heap):
        bits, waiting, aside = list(column), aside, []
        while c < columns and len(bits) >= 4:
            side = waiting.pop(0) if waiting else ZERO
            total, carry, across = compressor(builder, bits[:4], side)
            bits = bits[4:]
            reduced[c].append(total)
            _put(reduced[c + 1], carry)
            _put(aside, across)
        reduced[c] += waiting
        while len(bits) >= 3:
            total, carry = builder.full_adder(*bits[:3])
            bits = bits[3:]
            reduced[c].append(total)
            reduced[c + 1].append(carry)
        reduced[c] += bits
    return reduced[: len(heap)]


def _put(column: list[int], net: int) -> None:
    if net != ZERO:
        column.append(net)
