"""Signed multipliers from unsigned cores through sign and magnitude."""

from __future__ import annotations

from laxity.circuits.arithmetic import negate_if
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.netlist import Circuit


def sign_magnitude(core: Circuit, name: str) -> Circuit:
    """Wrap an unsigned core into a two's complement multiplier: p = sgn(a) sgn(b) core(|a|, |b|).

    The magnitude of the most negative operand, 2**(n - 1), fits the n-bit core.

    Args:
        core: input ports a and b, output port p.
        name: name of the signed circuit.

    Returns:
        A circuit with the same ports in two's complement; blocks ``"sign"`` and ``"multiplier"``.
    """
    builder = CircuitBuilder(name, f"{core.source}; signed by sign and magnitude")
    a = builder.input("a", core.port("a").width)
    b = builder.input("b", core.port("b").width)
    with builder.block("sign"):
        magnitudes = {"a": negate_if(builder, a[-1], a), "b": negate_if(builder, b[-1], b)}
    with builder.block("multiplier"):
        product = builder.instantiate(core, magnitudes)["p"]
    with builder.block("sign"):
        signed = negate_if(builder, builder.xor(a[-1], b[-1]), product)
    builder.output("p", signed)
    return builder.build()
