"""The processing element of a weight-stationary systolic array, built around any unsigned multiplier core."""

from __future__ import annotations

from dataclasses import dataclass

from laxity.circuits.arithmetic import negate_if
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.cells import CellLibrary
from laxity.circuits.netlist import ZERO, Circuit
from laxity.circuits.timing import delay_ns
from laxity.core.errors import CircuitError

MAX_ACCUMULATOR_BITS = 62
"""Widest partial sum that int64 vectors can carry through the simulation."""


@dataclass(frozen=True, slots=True)
class ProcessingElement:
    """A multiply-accumulate cell: psum_out = psum_in + sgn(a) sgn(b) core(|a|, |b|), modulo 2**accumulator_bits.

    With a stage of its own, the sum is what that stage makes of both.

    Attributes:
        circuit: combinational netlist; ports a, a_sign, b, b_sign, psum_in and psum_out; blocks ``"multiplier"``,
            ``"sign"`` and ``"accumulator"``. Operands are magnitude and sign, sums two's complement.
        core: the unsigned multiplier inside.
        accumulator_bits: width of psum_in and psum_out.
        dropped: low bits of the product that never enter the sum, because they are always 0.
    """

    circuit: Circuit
    core: Circuit
    accumulator_bits: int
    dropped: int = 0

    @property
    def flip_flops(self) -> int:
        """Registers: the activation on its way and the stationary weight, each with sign, and the partial sum."""
        return self.core.port("a").width + 1 + self.core.port("b").width + 1 + self.accumulator_bits

    def area_um2(self, library: CellLibrary) -> float:
        """Cells and flip-flops, without wiring."""
        return library.area_um2(self.circuit) + self.flip_flops * library.flip_flop.area_um2

    def leakage_nw(self, library: CellLibrary) -> float:
        """Leakage of cells and flip-flops."""
        return library.leakage_nw(self.circuit) + self.flip_flops * library.flip_flop.leakage_nw

    def clock_energy_pj(self, library: CellLibrary) -> float:
        """Energy per cycle of clocking all flip-flops, clock pins included; it does not depend on the data."""
        return self.flip_flops * library.clock_energy_fj() * 1e-3

    def delay_ns(self, library: CellLibrary) -> float:
        """Longest combinational path, without the flip-flops' own delay and set-up time."""
        return delay_ns(self.circuit, library)


def processing_element(
    core: Circuit, accumulator_bits: int, stage: Circuit | None = None, dropped: int = 0
) -> ProcessingElement:
    """Put sign logic and an accumulator around an unsigned core.

    Without a stage, the product magnitude is inverted where the operand signs differ, and the sign enters the
    ripple-carry adder as carry, so that negation costs no adder of its own. A stage has no carry input: there the
    product is brought to two's complement first.

    Args:
        core: input ports a and b, output port p, all unsigned.
        accumulator_bits: width of the partial sum; it wraps.
        stage: netlist of the accumulator (`accumulator_stage`) of this width, or None for the exact sum.
        dropped: low product bits that do not enter the stage; they must always be 0.

    Raises:
        CircuitError: the accumulator has an impossible width, or the core or stage has other ports.
    """
    if not 2 <= accumulator_bits <= MAX_ACCUMULATOR_BITS:
        raise CircuitError(f"accumulator of {accumulator_bits} bits; use 2..{MAX_ACCUMULATOR_BITS}")
    kind = "ripple-carry accumulator" if stage is None else f"accumulator {stage.name}"
    source = f"{core.source}; sign-magnitude operands, {accumulator_bits}-bit two's complement {kind}"
    builder = CircuitBuilder(f"pe_{core.name}_{accumulator_bits if stage is None else stage.name}", source)
    a, a_sign = builder.input("a", core.port("a").width), builder.input("a_sign", 1)
    b, b_sign = builder.input("b", core.port("b").width), builder.input("b_sign", 1)
    psum_in = builder.input("psum_in", accumulator_bits)
    with builder.block("multiplier"):
        product = builder.instantiate(core, {"a": a, "b": b})["p"]
    with builder.block("sign"):
        sign = builder.xor(a_sign[0], b_sign[0])
    if stage is None:
        psum_out = _exact_sum(builder, psum_in, product[:accumulator_bits], sign)
    else:
        psum_out = _staged_sum(builder, psum_in, product[dropped:], sign, stage)
    builder.output("psum_out", psum_out)
    return ProcessingElement(builder.build(), core, accumulator_bits, dropped)


def _exact_sum(builder: CircuitBuilder, psum: list[int], product: list[int], sign: int) -> list[int]:
    with builder.block("sign"):
        addend = [builder.xor(bit, sign) for bit in product]
    with builder.block("accumulator"):
        extended = [*addend, *[sign] * (len(psum) - len(addend))]
        return builder.add(psum, extended, sign)[0]


def _staged_sum(builder: CircuitBuilder, psum: list[int], product: list[int], sign: int, stage: Circuit) -> list[int]:
    with builder.block("sign"):
        signed = negate_if(builder, sign, [*product, ZERO])
        extended = [*signed, *signed[-1:] * (len(psum) - len(signed))][: len(psum)]
    with builder.block("accumulator"):
        return builder.instantiate(stage, {"a": psum, "b": extended})["s"]
