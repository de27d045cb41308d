"""Carries from generate and propagate signals, shared by the adder families."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO

Pairs = list[tuple[int, int]]
"""(generate, propagate) nets by bit."""


def generate_propagate(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int]) -> Pairs:
    """Generate a_i and b_i, and propagate a_i xor b_i, of every bit."""
    return [(builder.and_(x, y), builder.xor(x, y)) for x, y in zip(a, b, strict=True)]


def combine(builder: CircuitBuilder, high: tuple[int, int], low: tuple[int, int]) -> tuple[int, int]:
    """Generate and propagate of two neighbouring groups of bits taken together."""
    generate = builder.sum_of_products([(high[1], low[0]), (high[0], high[0])])
    return generate, builder.and_(high[1], low[1])


def group(builder: CircuitBuilder, pairs: Pairs, start: int, stop: int) -> tuple[int, int]:
    """Generate and propagate of the bits from `start` up to, not including, `stop`.

    A tree of depth log2: windows of a power of two of bits end at every position and are shared between groups, as in
    a Kogge-Stone adder.
    """
    length = stop - start
    if length <= 0:
        return ZERO, ZERO
    if length == 1:
        return pairs[start]
    middle = stop - (1 << (length - 1).bit_length() - 1)
    return combine(builder, group(builder, pairs, middle, stop), group(builder, pairs, start, middle))


def sum_bits(builder: CircuitBuilder, pairs: Pairs, carries: Sequence[int]) -> list[int]:
    """Sum bits from the carry into every bit and, as last entry, the carry out."""
    return [*(builder.xor(p, c) for (_, p), c in zip(pairs, carries[:-1], strict=True)), carries[-1]]
