"""Binary logarithms by Mitchell's approximation: what the logarithmic multiplier families share.

With x = 2^k (1 + f), 0 <= f < 1, the logarithm is approximated by k + f.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laxity.circuits.arithmetic import normalise, shift_left
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import ZERO


@dataclass(frozen=True, slots=True)
class Logarithm:
    """Nets of an operand's logarithm.

    Attributes:
        exponent: k in binary.
        fraction: f, one bit less than the operand has, least significant bit first.
        nonzero: the operand is not 0; for 0 exponent and fraction are 0.
    """

    exponent: list[int]
    fraction: list[int]
    nonzero: int


def logarithm(builder: CircuitBuilder, bits: Sequence[int]) -> Logarithm:
    """Approximate logarithm of an operand of any width."""
    padding = (1 << (len(bits) - 1).bit_length()) - len(bits)
    value, exponent = normalise(builder, [*bits, *[ZERO] * padding])
    return Logarithm(exponent, value[padding:-1], value[-1])


def scaled(
    builder: CircuitBuilder, mantissa: Sequence[int], exponent: Sequence[int], point: int, width: int
) -> list[int]:
    """The integer part of a fixed-point number times 2**exponent, modulo 2**width.

    Args:
        builder: receives the gates.
        mantissa: the number, least significant bit first.
        exponent: in binary.
        point: how many bits of the mantissa are behind the point.
        width: bits of the result.
    """
    return shift_left(builder, mantissa, exponent, point + width)[point:]
