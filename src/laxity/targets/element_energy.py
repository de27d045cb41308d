"""Energy of a whole processing element per operation, for cores side by side: core, sum, registers and clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laxity.circuits.cells import default_library
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.netlist import Circuit
from laxity.circuits.pe import processing_element
from laxity.core.demand import OperandTrace
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream
from laxity.targets.pe_energy import measure
from laxity.targets.target import load_target

TARGET = "mac-array-45nm"
"""Target whose figures of the registers are used."""

ROWS = 16
"""Elements in a column; each adds to the sum of those above it."""

_COLUMNS, _STEPS = 8, 65


@dataclass(frozen=True, slots=True)
class ElementEnergy:
    """Means per operation while a weight rests and activations and sums stream past.

    Attributes:
        multiplier_pj: inside the core, glitches included.
        accumulator_pj: adder and sign logic, glitches included.
        registers_pj: toggles of the registers of activation and sum, and the gate inputs that registers drive.
        clock_pj: clocking of these registers; that of the weight is gated.
    """

    multiplier_pj: float
    accumulator_pj: float
    registers_pj: float
    clock_pj: float

    @property
    def energy_pj(self) -> float:
        """All of it."""
        return self.multiplier_pj + self.accumulator_pj + self.registers_pj + self.clock_pj


def element_energy(core: Circuit, operands: Operands = UNIFORM) -> ElementEnergy:
    """Energy of the element of a weight-stationary array of 16 rows around an unsigned core, with glitches.

    Activations (a, not negative) change with every operation, weights (b, of random sign) with every 64th. The sum is
    wide enough for 16 exact products and a sign.

    Args:
        core: input ports a and b, output port p, all unsigned.
        operands: distribution of activations and of weight magnitudes.

    Raises:
        CircuitError: the operands have a joint distribution, which says nothing about their order in time; they do not
            fit the core; or the core has other ports or is too wide.
        TargetError: as `measure`.
    """
    if operands.joint is not None or operands.pairs is not None:
        raise CircuitError(
            "the energy of a processing element needs the distribution of activations and of weights, each by itself; "
            "give a_histogram and b_histogram, or compare against energy"
        )
    a_bits, b_bits = core.port("a").width, core.port("b").width
    operands.check(1 << a_bits, 1 << b_bits)
    pe = processing_element(core, a_bits + b_bits + (ROWS - 1).bit_length() + 1)
    found = measure(pe, _trace(operands, a_bits, b_bits))
    constants = load_target(TARGET).constants
    toggle_pj = 1e-3 * (constants.value("registers.output_toggle") + constants.value("registers.input_toggle"))
    return ElementEnergy(
        multiplier_pj=found.multiplier_pj,
        accumulator_pj=found.accumulator_pj,
        registers_pj=found.register_load_pj + toggle_pj * (found.activation_toggles + found.sum_toggles),
        clock_pj=1e-3 * default_library().clock_energy_fj() * (a_bits + pe.accumulator_bits),
    )


def _trace(operands: Operands, a_bits: int, b_bits: int) -> OperandTrace:
    """What the elements of a few columns see; sums are those of exact products."""
    generator = stream(0, "element energy", a_bits, b_bits)
    activations, _ = operands.draw(generator, ROWS * _STEPS, a_bits, b_bits)
    _, weights = operands.draw(generator, _COLUMNS * ROWS, a_bits, b_bits)
    negative = generator.integers(0, 2, weights.size)
    activations, signed = activations.reshape(ROWS, _STEPS), np.where(negative, -weights, weights)
    products = signed.reshape(_COLUMNS, ROWS, 1) * activations[None]
    above = np.cumsum(products, axis=1) - products
    segments = (_COLUMNS * ROWS, _STEPS)
    return OperandTrace(
        activations=np.broadcast_to(activations, products.shape).reshape(segments),
        activation_signs=np.zeros(segments, dtype=np.int64),
        weights=weights,
        weight_signs=negative,
        partial_sums=above.reshape(segments),
    )
