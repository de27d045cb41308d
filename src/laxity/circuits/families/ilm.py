"""The iterative logarithmic multiplier."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.circuits.arithmetic import leading_one, times_power
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.family import Parameter, multiplier_family
from laxity.circuits.formula import Formula, top_power
from laxity.circuits.netlist import ZERO
from laxity.core.demand import IntArray


def _rest(x: IntArray, ecc: int) -> IntArray:
    """What is left of an operand without its ecc + 1 leading ones."""
    for _ in range(ecc + 1):
        x = x - top_power(x)
    return x


def _left(a: IntArray, _: int, ecc: int) -> list[IntArray]:
    return [a, _rest(a, ecc)]


def _right(b: IntArray, _: int, ecc: int) -> list[IntArray]:
    return [b, -_rest(b, ecc)]


@multiplier_family(
    "ilm",
    parameters=[Parameter("ecc", "error correction circuits: further iterations", lambda n: 0, lambda n: n - 1)],
    grid=lambda n: [(ecc,) for ecc in range(min(3, n - 1))],
    source="Z. Babic, A. Avramovic, P. Bulic, An iterative logarithmic multiplier, Microprocessors and Microsystems "
    "35(1), 2011",
    formula=Formula(_left, _right),
)
def ilm(builder: CircuitBuilder, a: Sequence[int], b: Sequence[int], ecc: int) -> list[int]:
    """Product p = 2^(ka+kb) + (a - 2^ka) 2^kb + (b - 2^kb) 2^ka, to which the same of the residues is added ecc times.

    The residues a - 2^ka and b - 2^kb are the operands without their leading ones; all terms of a zero operand are 0.
    """
    width = len(a) + len(b)
    total = [ZERO] * width
    for _ in range(ecc + 1):
        a_hot, b_hot = leading_one(builder, a), leading_one(builder, b)
        b_rest = _without(builder, b, b_hot)
        first = times_power(builder, b_hot, [*a, ZERO], width)
        second = times_power(builder, a_hot, [*b_rest, ZERO], width)
        stage, _ = builder.add(first, second)
        total, _ = builder.add(total, stage)
        a, b = _without(builder, a, a_hot), b_rest
    return total


def _without(builder: CircuitBuilder, bits: Sequence[int], hot: Sequence[int]) -> list[int]:
    return [builder.and_(bit, builder.inv(top)) for bit, top in zip(bits, hot, strict=True)]
