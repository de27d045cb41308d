"""The dynamic range unbiased multiplier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from laxity.circuits.arithmetic import columns_of, dadda_sum, encode, leading_one, partial_products, shift_left
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import MAX_WIDTH, Parameter, multiplier_family
from laxity.circuits.formula import Formula, top_power
from laxity.core.demand import IntArray

MIN_KEPT = 3
"""Fewest bits kept: with two, the signed product of the most negative operands would not fit 2n bits."""


def _kept(x: IntArray, _: int, k: int) -> list[IntArray]:
    last = np.maximum(top_power(x) >> (k - 1), 1)
    return [np.where(last > 1, (x & -last) | last, x)]


@multiplier_family(
    "drum",
    parameters=[Parameter("k", "bits kept from the leading one", lambda n: MIN_KEPT, lambda n: n)],
    grid=lambda n: [(k,) for k in range(MIN_KEPT, n)],
    source="S. Hashemi, R. I. Bahar, S. Reda, DRUM: a dynamic range unbiased multiplier for approximate applications, "
    "ICCAD 2015",
    widths=range(MIN_KEPT, MAX_WIDTH + 1),
    formula=Formula(_kept, _kept),
)
def drum(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], k: int) -> list[int]:
    """Product p = t(a) * t(b), exact product of truncated operands.

    t(x) = x below 2^k; otherwise t keeps the k bits from the leading one down, sets the lowest of them to 1 and clears
    the rest.
    """
    a_field, a_shift = _field(builder, a, k)
    b_field, b_shift = _field(builder, b, k)
    core = dadda_sum(builder, columns_of(partial_products(builder, a_field, b_field), 2 * k))
    shift, carry = builder.add(a_shift, b_shift)
    return shift_left(builder, core, [*shift, carry], len(a) + len(b))


def _field(builder: CircuitBuilder, bits: Sequence[int], k: int) -> tuple[list[int], list[int]]:
    """The k significant bits of an operand and, in binary, how far they were shifted down."""
    n = len(bits)
    hot = leading_one(builder, bits)[k:]
    truncated = builder.any_of(bits[k:])
    in_place = builder.inv(truncated)
    field = [builder.or_(bits[0], truncated)]
    for i in range(1, k - 1):
        moved = [(hot[s - 1], bits[i + s]) for s in range(1, n - k + 1)]
        field.append(builder.sum_of_products([(in_place, bits[i]), *moved]))
    field.append(builder.or_(bits[k - 1], truncated))
    return field, encode(builder, hot, range(1, n - k + 1))
