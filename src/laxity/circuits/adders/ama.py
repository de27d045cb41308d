"""Adders whose low full adders are approximate mirror adders."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.adder_family import adder_family, low_part
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter
from laxity.circuits.netlist import ZERO


@adder_family(
    "ama",
    parameters=[
        Parameter("t", "type of the approximate cell", lambda n: 1, lambda n: 5),
        low_part("least significant bits with approximate cells"),
    ],
    grid=lambda n: [(t, max(1, n // 4)) for t in range(1, 6)],
    source="V. Gupta et al., Low-power digital signal processing using approximate adders, IEEE TCAD 32(1), 2013",
)
def ama(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], kind: int, low: int) -> list[int]:
    """Ripple-carry sum with approximate full adders of type t in the l low bits.

    Of a, b and carry c: type 1 has carry b + a c and sum a'b'c + a b c; type 2 the exact carry and its complement as
    sum; type 3 the carry of type 1 and its complement as sum; type 4 carry a and sum c (a' + b); type 5 carry a and
    sum b.
    """
    total: list[int] = []
    carry = ZERO
    for x, y in zip(a[:low], b[:low], strict=True):
        bit, carry = _cell(builder, kind, x, y, carry)
        total.append(bit)
    high, top = builder.add(a[low:], b[low:], carry)
    return [*total, *high, top]


def _cell(builder: CircuitBuilder, kind: int, a: int, b: int, c: int) -> tuple[int, int]:
    """(sum, carry) of one approximate full adder."""
    if kind == 5:
        return b, a
    if kind == 4:
        return builder.and_(c, builder.or_(builder.inv(a), b)), a
    if kind == 2:
        carry = builder.sum_of_products([(a, b), (c, builder.or_(a, b))])
        return builder.inv(carry), carry
    carry = builder.sum_of_products([(a, c), (b, b)])
    if kind == 3:
        return builder.inv(carry), carry
    return builder.and_(c, builder.xnor(a, b)), carry
