"""MULTIPLIER: an approximate circuit, and a correction of every output from the low bits of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from laxity.circuits import catalogue
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.wide import ComposedMultiplier, Core, WideMultiplier, core
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand, IntArray
from laxity.core.errors import CircuitError, PlanError
from laxity.core.op import Site
from laxity.core.plan import Plan
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.kernels import Accumulator, CodeRange, Products, exact_products
from laxity.kernels.analysis import signed_table
from laxity.kernels.correction import AUTOMATIC, MOST_FRACTION, Correction, corrected_products
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.codes import IntegerOperands
from laxity.techniques.data.operands import Operands
from laxity.techniques.hardware.arrangement import Arrangement
from laxity.techniques.hardware.multiplier import CircuitMultiplier

_WIDEST_TABLE = 1 << 20
_ACTIVATIONS = ("calibrated", "uniform")
_SEARCHED = ("coltrunc8_6", "optrunc8_2", "perf8_0_3", "coltrunc8_8", "optrunc8_3", "coltrunc8_10", "optrunc8_4")
"""From the least to the greatest mean error."""


@dataclass(frozen=True, slots=True)
class CorrectedCore(Arrangement):
    """A circuit with a control variate.

    Attributes:
        core: the circuit.
        bits: low bits of its operand a that are summed.
        fraction_bits: of the constants, or `AUTOMATIC`.
        calibrated: activation codes count as often as calibration saw them, where it did; otherwise all alike.
    """

    core: Core
    bits: int
    fraction_bits: int
    calibrated: bool

    def describe(self) -> str:
        """For example ``optrunc8_3 corrected by a control variate``."""
        return f"{self.core.name} corrected by a control variate"

    def core_of(self, output: int) -> Core:
        """See `Arrangement.core_of`."""
        return self.core

    def products(self, operand: Operands, accumulator: Accumulator | None, name: str) -> tuple[Products, float]:
        """See `Arrangement.products`; the correction is added behind the accumulator, exactly.

        Raises:
            PlanError: the codes are no whole numbers that the circuit takes at once, or too many for a table.
        """
        inner, unshift = operand.products(self.core, accumulator, name)
        if not isinstance(operand, IntegerOperands) or isinstance(self.core, ComposedMultiplier):
            raise PlanError(
                f"site {name!r} has no product of two whole-number codes in one step, whose error a control variate "
                "corrects; use the OPERAND choice 'integer', or 'multiplier' in the place of 'control_variate'"
            )
        shifts = operand.shifts(self.core, name)
        low_bits = self.bits - shifts[0]
        if low_bits < 1:
            return inner, unshift
        (first, last), (least, most) = operand.input.code_range, operand.weight.code_range
        if (last - first + 1) * (most - least + 1) > _WIDEST_TABLE:
            raise PlanError(
                f"site {name!r} has too many pairs of codes for a table of errors, from which a control variate is "
                "found; use operands of at most 10 bits"
            )
        fixed_point = self.fraction_bits, operand.weight.bits
        return _corrected(inner, unshift, self.core, shifts, low_bits, self._shares(operand), *fixed_point), unshift

    def _shares(self, operand: IntegerOperands) -> bytes:
        """How much each activation code counts, float64."""
        low, high = operand.input.code_range
        seen = operand.input.histogram if self.calibrated else None
        counts = np.ones(high - low + 1)
        if seen is not None and bool(seen.any()):
            counts = seen[: len(counts)].cpu().numpy().astype(np.float64)
        return (counts / counts.sum()).tobytes()


@TECHNIQUES.register("control_variate")
@dataclass(frozen=True)
class ControlVariate(Approximation):
    """Products by an approximate circuit; the sum of each output k is corrected by a constant times a sum of low bits.

    ``V_k = floor(C_k sum_d x_lo(d) + 1/2) + C0_k`` is added to the integer sum of the products, in its unit, behind the
    accumulator and before zero-points, scales and bias. ``x_lo`` is what the `bits` lowest bits of the circuit's
    activation operand are worth, with the operand's sign; the sum runs over all that the array sees, padding (the code
    of zero) among it, and is the same for all outputs of a window. The constants follow from the weight codes of the
    kernel and from the circuit's table, without labels and without training: ``C_k`` is minus the slope, and ``C0_k``
    minus the intercept times the number of products, of the least-squares line of the kernel's mean error over
    ``x_lo``. Where the circuit drops exactly these bits, its error is
    ``-w x_lo``: C_k is the mean weight, C0_k is 0, and sums are off by ``sum_d (mean w - w_d) x_lo(d)``, which is 0 in
    the mean where low bits do not depend on the weights that they meet.

    Attributes:
        name: catalogue name of an unsigned multiplier; operand a is the activation.
        bits: low bits of operand a; 0 for no correction. `suggested_bits` has those that explain most of the error.
        fraction_bits: of every C_k, 0 to 16; -1 for as many as let all C_k of a site fit in as many bits as its weights
            have, and a sign, which is the hardware that targets price. Rounding C_k to f bits puts a sum off by at most
            ``2^-(f+1) sum_d |x_lo(d)|``.
        activations: ``calibrated``, activation codes count as often as calibration saw them; or ``uniform``, all codes
            alike, which needs no data. The same for circuits that drop exactly these bits.

    Source: G. Zervakis et al., "Control variate approximation for DNN accelerators", DAC 2021, reconstructed from
    descriptions elsewhere; constants for circuits that do not merely drop bits, which take the distribution of the
    activations into account, are this package's own.
    """

    kind: ClassVar[str] = "control_variate"
    slot: ClassVar[Slot] = Slot.MULTIPLIER

    name: str = "dadda8"
    bits: int = 0
    fraction_bits: int = AUTOMATIC
    activations: str = "calibrated"

    def __post_init__(self) -> None:
        super().__post_init__()
        CircuitMultiplier(self.name)
        width = core(self.name).a_bits
        if not 0 <= self.bits <= width:
            raise PlanError(
                f"bits of 'control_variate' are 0 to {width}, the operand of {self.name!r}, not {self.bits}"
            )
        if not AUTOMATIC <= self.fraction_bits <= MOST_FRACTION:
            raise PlanError(
                f"fraction_bits of 'control_variate' are 0 to {MOST_FRACTION}, or {AUTOMATIC} for as many as fit, not "
                f"{self.fraction_bits}"
            )

        if self.activations not in _ACTIVATIONS:
            raise PlanError(
                f"activations of 'control_variate' cannot be {self.activations!r}"
                f"{did_you_mean(self.activations, _ACTIVATIONS)}"
            )

    def label(self) -> str:
        """For example ``optrunc8_3 +cv3``."""
        return f"{self.name} +cv{self.bits}"

    def check(self, site: Site) -> None:
        """See `Approximation.check`."""
        if site.op.kind == "matmul" or site.op.kind.startswith("conv_transpose"):
            what = (
                "a product of two activations, which has no kernels"
                if site.op.kind == "matmul"
                else ("a transposed convolution, whose outputs add up unequal numbers of products")
            )
            raise PlanError(
                f"site {site.name!r} is {what}; a control variate corrects whole kernels, so use "
                f"{{'kind': 'multiplier', 'name': {self.name!r}}} there"
            )

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the circuit and its correction.

        Raises:
            PlanError: a site has no integer operands.
        """
        circuit = core(self.name)
        for layer in layers:
            self.check(layer.site)
            if not isinstance(layer.operand, IntegerOperands):
                raise PlanError(
                    f"site {layer.site.name!r} has a control variate but no integer operands; give it an OPERAND "
                    "choice such as {'kind': 'integer'}"
                )
            layer.multiplier = circuit
            if self.bits:
                calibrated = self.activations == "calibrated"
                layer.multiplier = CorrectedCore(circuit, self.bits, self.fraction_bits, calibrated)
                if calibrated:
                    layer.operand.input.keep_histogram()

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Another circuit, and a correction of the bits of it that codes of this width reach."""
        reached = max(0, self.bits - max(0, core(self.name).a_bits - demand.input_bits))
        return replace(demand, multiplier=self.name, correction_bits=reached)

    def circuits_used(self) -> tuple[str, ...]:
        """See `Approximation.circuits_used`."""
        return (self.name,)

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """Some perforated and truncated circuits of the catalogue, with the bits that fit them, by mean error."""
        try:
            cls().check(site)
        except PlanError:
            return []
        return [cls(name, suggested_bits(name)) for name in _SEARCHED]


def with_control_variates(plan: Plan, sites: Iterable[Site], bits: int | None = None) -> Plan:
    """A plan in which every circuit of `CircuitMultiplier` gets a control variate, where the site can have one.

    Args:
        plan: the plan.
        sites: of the model.
        bits: low bits to sum; None for `suggested_bits` of each circuit.
    """
    for site in sites:
        choice = plan.at(site.name).get(Slot.MULTIPLIER)
        if not isinstance(choice, CircuitMultiplier):
            continue
        corrected = ControlVariate(choice.name, suggested_bits(choice.name) if bits is None else bits)
        try:
            corrected.check(site)
        except PlanError:
            continue
        plan = plan.with_(site.name, corrected)
    return plan


@lru_cache(maxsize=256)
def suggested_bits(name: str) -> int:
    """How many low bits of operand a explain most of a circuit's error, the mean over all b, by a line; 0 for none.

    Args:
        name: catalogue name of an unsigned multiplier of at most 10 bits.

    Raises:
        CircuitError: the circuit has no table.
    """
    found = catalogue.get(name)
    if found.signed:
        raise CircuitError(f"{name!r} is signed; name the unsigned multiplier")
    mean = (found.table - found.exact_table()).mean(1)
    a = np.arange(len(mean))
    left = {bits: _unexplained(mean, a & ((1 << bits) - 1)) for bits in range(1, found.a_bits + 1)}
    best = min(left, key=lambda bits: (round(left[bits], 9), bits))
    return best if mean.any() else 0


def _unexplained(mean: NDArray[np.float64], low: IntArray) -> float:
    """Fraction of the mean square error that a line in `low` leaves."""
    line = np.polynomial.polynomial.polyfit(low, mean, 1)
    rest = mean - np.polynomial.polynomial.polyval(low, line)
    return float((rest**2).mean() / max(float((mean**2).mean()), 1e-300))


@lru_cache(maxsize=128)
def _corrected(
    inner: Products,
    unshift: float,
    circuit: Multiplier | WideMultiplier,
    shifts: tuple[int, int],
    low_bits: int,
    shares: bytes,
    fraction_bits: int,
    width: int,
) -> Products:
    """The same object for the same arguments."""
    x, w = (np.arange(first, last + 1) for first, last in (inner.left, inner.right))
    found = _products(circuit, inner.left, inner.right, shifts)
    errors = np.asarray(found * 2.0 ** -sum(shifts) - np.multiply.outer(x, w), np.float64)
    low: IntArray = np.sign(x) * (np.abs(x) & ((1 << low_bits) - 1))
    fitted = Correction.fit(errors / unshift, low, np.frombuffer(shares), fraction_bits, width)
    return corrected_products(inner, fitted, exact_products)


def _products(
    circuit: Multiplier | WideMultiplier, left: CodeRange, right: CodeRange, shifts: tuple[int, int]
) -> IntArray:
    """Products of all pairs of codes in two ranges, in units of the circuit."""
    if isinstance(circuit, Multiplier):
        return signed_table(circuit, left, right, shifts)
    x, w = np.arange(left[0], left[1] + 1)[:, None], np.arange(right[0], right[1] + 1)[None]
    return np.sign(x) * np.sign(w) * circuit.product(np.abs(x) << shifts[0], np.abs(w) << shifts[1])
