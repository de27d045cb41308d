"""Coders of floating-point formats; codes are the values of the format, as float32."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from laxity.circuits.wide import Core
from laxity.core.demand import Demand
from laxity.core.errors import DataError, PlanError
from laxity.kernels import Accumulator, Products
from laxity.kernels.fixed_point import FixedPointProducts
from laxity.kernels.floating import FloatProducts
from laxity.kernels.floats import FloatFormat, exponent_of, power_of_two
from laxity.kernels.mantissa import PairProduct, mantissa_terms
from laxity.techniques.data.operands import InputCoder, Operands, WeightCoder, straight_through

SCALINGS = ("none", "tensor", "channel")
CALIBRATIONS = ("max", "mse")
ACCUMULATIONS = ("exact", "fixed")
_CLIPPED = 4


def smallest_scale(rows: Tensor, top: float) -> Tensor:
    """Per row the smallest power of two by which the largest magnitude must be divided not to exceed `top`: float32.

    Rows without a value other than 0 get 1. Powers beyond float32's normal numbers are not used.
    """
    ratio = rows.detach().abs().amax(1).to(torch.float64) / top
    exponents = exponent_of(ratio)
    exponents = exponents + (ratio > power_of_two(exponents.clamp(-1022, 1023))).to(torch.int64)
    return torch.where(ratio > 0, power_of_two(exponents.clamp(-126, 127)), 1.0).to(torch.float32)


def best_shift(rows: Tensor, scale: Tensor, form: FloatFormat) -> Tensor:
    """Per row the power of two in 1, 1/2, 1/4, 1/8 by which `scale` is multiplied for the least squared error."""
    best, error = torch.ones_like(scale), torch.full_like(scale, float("inf"), dtype=torch.float64)
    for halvings in range(_CLIPPED):
        trial_scale = (scale * 0.5**halvings)[:, None]
        off = form.round(rows / trial_scale).to(torch.float64) * trial_scale - rows
        trial = off.square().sum(1)
        better = trial < error
        best, error = torch.where(better, 0.5**halvings, best), torch.where(better, trial, error)
    return best


class FloatInput(InputCoder):
    """Activations in a floating-point format, divided by a power of two.

    Args:
        number_format: what the values are rounded to.
        scaling: ``none`` leaves values as they are; else one power of two fits the range to the format.
        calibration: ``max`` clips nothing that was seen; ``mse`` clips where that lowers the squared error.
    """

    holds_nan: ClassVar[bool] = True

    def __init__(self, number_format: FloatFormat, scaling: str, calibration: str) -> None:
        super().__init__()
        self.format, self.bits = number_format, number_format.bits
        self.scaling, self.calibration = scaling, calibration
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero", torch.zeros(()))

    @torch.no_grad()
    def calibrate(self, values: Tensor, name: str) -> None:
        """See `InputCoder.calibrate`."""
        if not bool(torch.isfinite(values).all()):
            raise DataError(f"activations at site {name!r} are not finite on the calibration data; check the inputs")
        if self.scaling == "none":
            return
        rows = values.reshape(1, -1)
        scale = smallest_scale(rows, self.format.max_value)
        shift = best_shift(rows, scale, self.format) if self.calibration == "mse" else 1.0
        self.scale.copy_((scale * shift)[0])

    def codes(self, x: Tensor) -> Tensor:
        """See `InputCoder.codes`."""
        return self.format.round(x / self.scale)

    def represent(self, x: Tensor, codes: Tensor) -> Tensor:
        """See `InputCoder.represent`."""
        inside = self.format.round_freely(x / self.scale).abs() <= self.format.max_value
        return straight_through(codes * self.scale, torch.where(inside, x, 0.0))


class FloatWeight(WeightCoder):
    """Weights in a floating-point format, divided by powers of two.

    Args:
        number_format: what the values are rounded to.
        scaling: ``none``, one power of two per ``tensor``, or one per output ``channel``.
        calibration: as in `FloatInput`.
        axis: output-channel axis of the weight.
        channels: number of output channels.
    """

    shift: Tensor

    def __init__(self, number_format: FloatFormat, scaling: str, calibration: str, axis: int, channels: int) -> None:
        super().__init__()
        self.format, self.bits = number_format, number_format.bits
        self.scaling, self.calibration, self.axis = scaling, calibration, axis
        self.register_buffer("shift", torch.ones(channels if scaling == "channel" else 1))

    @property
    def form(self) -> str:
        """See `WeightCoder.form`."""
        return f"{self.bits}-bit floats {self.format.name}"

    @property
    def finite(self) -> bool:
        """See `WeightCoder.finite`."""
        return self.format.specials == "none"

    @property
    def stored_signed(self) -> bool:
        """See `WeightCoder.stored_signed`; the words hold their sign themselves."""
        return False

    @torch.no_grad()
    def calibrate(self, weight: Tensor) -> None:
        """See `WeightCoder.calibrate`."""
        if self.scaling != "none" and self.calibration == "mse":
            rows = self._rows(weight)
            self.shift.copy_(best_shift(rows, smallest_scale(rows, self.format.max_value), self.format))

    def scale_and_zero(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """See `WeightCoder.scale_and_zero`."""
        if self.scaling == "none":
            scale = torch.ones_like(self.shift)
        else:
            scale = smallest_scale(self._rows(weight), self.format.max_value) * self.shift
        return scale, torch.zeros_like(scale)

    def codes(self, weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.codes`."""
        return self.format.round(weight / self._spread(scale, weight))

    def represent(self, weight: Tensor, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.represent`."""
        spread = self._spread(scale, weight)
        inside = self.format.round_freely(weight / spread).abs() <= self.format.max_value
        return straight_through(codes * spread, torch.where(inside, weight, 0.0))

    def stored(self, codes: Tensor) -> Tensor:
        """See `WeightCoder.stored`."""
        return self.format.encode(codes).to(torch.float32)

    def restored(self, stored: Tensor) -> Tensor:
        """See `WeightCoder.restored`."""
        return self.format.decode(stored)

    def _rows(self, weight: Tensor) -> Tensor:
        per_channel = self.scaling == "channel"
        return weight.movedim(self.axis, 0).flatten(1) if per_channel else weight.reshape(1, -1)

    def _spread(self, values: Tensor, weight: Tensor) -> Tensor:
        if values.numel() == 1:
            return values.reshape(())
        shape = [1] * weight.dim()
        shape[self.axis] = -1
        return values.reshape(shape)


@dataclass(frozen=True, slots=True)
class FloatSums:
    """How products of a floating-point format are added.

    Attributes:
        accumulation: ``exact``, in float64 with at most one rounding per pair of exponent windows; ``fixed``, in a
            fixed-point accumulator of 64 bits in which every product is truncated.
        fraction_bits: of the fixed-point accumulator, in units of codes.
    """

    accumulation: str = "exact"
    fraction_bits: int = 23


class FloatOperands(Operands):
    """Floating-point codes of both operands.

    Args:
        input_coder: of the (left) activation.
        weight_coder: of the weight, or of the right activation.
        sums: how products are added.
    """

    input: FloatInput
    weight: FloatWeight | FloatInput

    def __init__(self, input_coder: FloatInput, weight_coder: FloatWeight | FloatInput, sums: FloatSums) -> None:
        super().__init__(input_coder, weight_coder)
        self.sums = sums

    def products(self, multiplier: Core | None, accumulator: Accumulator | None, name: str) -> tuple[Products, float]:
        """See `Operands.products`; the multiplier works on significands."""
        refuse_accumulator(accumulator, name)
        try:
            return float_products(self.input.format, self.weight.format, multiplier, self.sums), 1.0
        except PlanError as error:
            raise PlanError(f"site {name!r}: {error}") from error


def refuse_accumulator(accumulator: Accumulator | None, name: str) -> None:
    """Formats that bring their own accumulator accept no other.

    Raises:
        PlanError: there is an accumulator; names the site.
    """
    if accumulator is not None:
        raise PlanError(
            f"site {name!r} adds floating-point products, but its ACCUMULATOR choice adds integers; leave that slot "
            "exact and set the accumulation of the number format, or choose integer operands"
        )


@lru_cache(maxsize=256)
def float_products(left: FloatFormat, right: FloatFormat, core: Core | None, sums: FloatSums) -> Products:
    """The kernel for two formats; the same object for the same arguments.

    Raises:
        PlanError: the circuit does not fit the significands.
    """
    if sums.accumulation == "fixed":
        return FixedPointProducts(PairProduct(left, right, core), sums.fraction_bits, left.quantum + right.quantum)
    terms = None if core is None else mantissa_terms(core, left.significand_bits, right.significand_bits)
    return FloatProducts(left, right, terms, PairProduct(left, right, core))


def demand_of_floats(demand: Demand, weight: FloatFormat, activation: FloatFormat, sums: FloatSums) -> Demand:
    """The demand of a site that multiplies two floating-point formats.

    The multiplier is an exact one for the significands until a choice of the slot MULTIPLIER names another. Exact sums
    are those of an accumulator that holds every product: from the smallest to the largest, with sign and growth.
    """
    span = weight.max_exponent + activation.max_exponent + 2 - weight.quantum - activation.quantum
    growth = math.ceil(math.log2(max(2, demand.reduction)))
    fixed = sums.accumulation == "fixed"
    kept = f"fixed-point sums with {sums.fraction_bits} fraction bits" if fixed else "exact sums"
    significand = max(2, weight.significand_bits, activation.significand_bits)
    return replace(
        demand,
        weight_bits=weight.bits,
        input_bits=activation.bits,
        accumulator_bits=64 if fixed else span + growth + 1,
        multiplier=f"dadda{significand}",
        arithmetic=f"floating-point products {activation.name} x {weight.name} and {kept}",
    )
