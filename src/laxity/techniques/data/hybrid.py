"""OPERAND: hybrid dot products of float32 or fixed-point activations with short float or logarithmic weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from laxity.circuits.wide import Core
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import DataError, PlanError
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.kernels import Accumulator, Products
from laxity.kernels.fixed_point import FixedPointProducts
from laxity.kernels.hybrid import HybridFormat
from laxity.kernels.mantissa import PairProduct
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.data.codes import ActivationCode
from laxity.techniques.data.floats import SCALINGS, refuse_accumulator, smallest_scale
from laxity.techniques.data.operands import InputCoder, Operands, WeightCoder, straight_through

_FLOAT32_QUANTUM = -149
_SMALLEST_NORMAL = 2.0**-126


class Float32Input(InputCoder):
    """Activations as they are; subnormal ones, whose exponent field is 0, count as 0."""

    bits = 32
    holds_nan: ClassVar[bool] = True
    quantum: ClassVar[int] = _FLOAT32_QUANTUM

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero", torch.zeros(()))

    def calibrate(self, values: Tensor, name: str) -> None:
        """See `InputCoder.calibrate`; there is no range to set."""
        if not bool(torch.isfinite(values).all()):
            raise DataError(f"activations at site {name!r} are not finite on the calibration data; check the inputs")

    def codes(self, x: Tensor) -> Tensor:
        """See `InputCoder.codes`."""
        return torch.where(x.detach().abs() < _SMALLEST_NORMAL, 0.0, x.detach())

    def represent(self, x: Tensor, codes: Tensor) -> Tensor:
        """See `InputCoder.represent`."""
        return straight_through(codes, x)


class FixedInput(ActivationCode):
    """Fixed-point activations: whole-number codes with one scale."""

    quantum: ClassVar[int] = 0


class HybridInput(InputCoder):
    """The right activation of a product, in the format of weights.

    Args:
        number_format: what the values are rounded to.
        scaling: ``none`` leaves values as they are; else one power of two fits the range to the format.
    """

    def __init__(self, number_format: HybridFormat, scaling: str) -> None:
        super().__init__()
        self.format, self.scaling, self.bits = number_format, scaling, number_format.bits
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero", torch.zeros(()))

    @torch.no_grad()
    def calibrate(self, values: Tensor, name: str) -> None:
        """See `InputCoder.calibrate`."""
        if not bool(torch.isfinite(values).all()):
            raise DataError(f"activations at site {name!r} are not finite on the calibration data; check the inputs")
        if self.scaling != "none":
            self.scale.copy_(smallest_scale(values.reshape(1, -1), self.format.max_value)[0])

    def codes(self, x: Tensor) -> Tensor:
        """See `InputCoder.codes`."""
        return self.format.held(self.format.round(x / self.scale))

    def represent(self, x: Tensor, codes: Tensor) -> Tensor:
        """See `InputCoder.represent`."""
        return straight_through(codes * self.scale, torch.where(_inside(self.format, x / self.scale), x, 0.0))


class HybridWeight(WeightCoder):
    """Weights in a hybrid format, divided by powers of two.

    Args:
        number_format: what the values are rounded to.
        scaling: ``none``, one power of two per ``tensor``, or one per output ``channel``.
        axis: output-channel axis of the weight.
        channels: number of output channels.
    """

    def __init__(self, number_format: HybridFormat, scaling: str, axis: int, channels: int) -> None:
        super().__init__()
        self.format, self.bits = number_format, number_format.bits
        self.scaling, self.axis, self.channels = scaling, axis, channels

    @property
    def form(self) -> str:
        """See `WeightCoder.form`."""
        return f"{self.bits}-bit floats {self.format.name}"

    @property
    def stored_signed(self) -> bool:
        """See `WeightCoder.stored_signed`; the words hold their sign themselves."""
        return False

    def calibrate(self, weight: Tensor) -> None:
        """See `WeightCoder.calibrate`; scales follow the weight."""

    def scale_and_zero(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """See `WeightCoder.scale_and_zero`."""
        rows = weight.movedim(self.axis, 0).flatten(1) if self.scaling == "channel" else weight.reshape(1, -1)
        scale = smallest_scale(rows, self.format.max_value)
        scale = torch.ones_like(scale) if self.scaling == "none" else scale
        return scale, torch.zeros_like(scale)

    def codes(self, weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.codes`; values as the hardware reads them."""
        return self.format.held(self.format.round(weight / self._spread(scale, weight)))

    def represent(self, weight: Tensor, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """See `WeightCoder.represent`."""
        spread = self._spread(scale, weight)
        inside = _inside(self.format, weight / spread)
        return straight_through(codes * spread, torch.where(inside, weight, 0.0))

    def stored(self, codes: Tensor) -> Tensor:
        """See `WeightCoder.stored`."""
        return self.format.encode(codes).to(torch.float32)

    def restored(self, stored: Tensor) -> Tensor:
        """See `WeightCoder.restored`."""
        return self.format.decode(stored)

    def _spread(self, values: Tensor, weight: Tensor) -> Tensor:
        if values.numel() == 1:
            return values.reshape(())
        shape = [1] * weight.dim()
        shape[self.axis] = -1
        return values.reshape(shape)


def _inside(number_format: HybridFormat, x: Tensor) -> Tensor:
    """Where `x` is not clipped: neither too large nor of a sign that the format does not have."""
    fits = number_format.round_freely(x).abs() <= number_format.max_value
    return fits if number_format.signed else fits & (x >= 0)


class HybridOperands(Operands):
    """Activations and short floating-point weights, multiplied by shifting and adding.

    Args:
        input_coder: of the (left) activation.
        weight_coder: of the weight, or of the right activation.
        fraction_bits: of the accumulator.
    """

    input: Float32Input | FixedInput
    weight: HybridWeight | HybridInput

    def __init__(
        self, input_coder: Float32Input | FixedInput, weight_coder: HybridWeight | HybridInput, fraction_bits: int
    ) -> None:
        super().__init__(input_coder, weight_coder)
        self.fraction_bits = fraction_bits

    def products(self, multiplier: Core | None, accumulator: Accumulator | None, name: str) -> tuple[Products, float]:
        """See `Operands.products`."""
        refuse_accumulator(accumulator, name)
        if multiplier is not None:
            raise PlanError(
                f"site {name!r} multiplies by shifting and adding, so there is no place for multiplier "
                f"{multiplier.name!r}; leave that slot exact, or choose another number format"
            )
        return hybrid_products(self.fraction_bits, self.input.quantum + self.weight.format.quantum), 1.0


@lru_cache(maxsize=64)
def hybrid_products(fraction_bits: int, quantum: int) -> FixedPointProducts:
    """The kernel for products that are multiples of ``2**quantum``; the same object for the same arguments."""
    return FixedPointProducts(PairProduct(None, None, None), fraction_bits, quantum)


@TECHNIQUES.register("hybrid_float")
@dataclass(frozen=True)
class HybridFloat(Approximation):
    """Weights in few bits of exponent and mantissa, activations in float32 or fixed point.

    A product shifts the activation by the weight's exponent and adds what its mantissa bits say; the barrel shifter
    puts it into a fixed-point accumulator of 64 bits, cut toward zero. Products of short weights need no multiplier.

    Attributes:
        exponent_bits: 2 to 6.
        mantissa_bits: 0 to 7; 0 makes the weights logarithmic. 4 and 1 make the 6-bit format HF6.
        exponents: ``balanced|negative``, see `HybridFormat`.
        rounding: ``half_up|truncate``, of weights.
        signed: weights have a sign bit; without one, negative weights become 0.
        scaling: ``none|tensor|channel``, powers of two by which weights are divided; HF6 has none.
        input_bits: 0 for float32, 2 to 16 for fixed point.
        fraction_bits: of the accumulator, in units of codes.
    """

    kind: ClassVar[str] = "hybrid_float"
    slot: ClassVar[Slot] = Slot.OPERAND

    exponent_bits: int = 4
    mantissa_bits: int = 1
    exponents: str = "balanced"
    rounding: str = "half_up"
    signed: bool = True
    scaling: str = "none"
    input_bits: int = 0
    fraction_bits: int = 23

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scaling not in SCALINGS:
            hint = did_you_mean(self.scaling, SCALINGS)
            raise PlanError(f"scaling of 'hybrid_float' cannot be {self.scaling!r}{hint}")
        if self.input_bits != 0 and not 2 <= self.input_bits <= 16:
            raise PlanError(
                f"input_bits of 'hybrid_float' must be 0 for float32 or between 2 and 16, not {self.input_bits}"
            )
        if not 0 <= self.fraction_bits <= 62:
            raise PlanError(f"fraction_bits of 'hybrid_float' must be between 0 and 62, not {self.fraction_bits}")
        self.number_format()

    def number_format(self) -> HybridFormat:
        """The format of the weights.

        Raises:
            PlanError: it is not possible.
        """
        return HybridFormat(self.exponent_bits, self.mantissa_bits, self.exponents, self.rounding, self.signed)

    def label(self) -> str:
        """For example ``S1E4M1 a32``."""
        return f"{self.number_format().name} a{self.input_bits or 32}"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Give every layer its coders."""
        number_format = self.number_format()
        for layer in layers:
            fixed = self.input_bits > 0
            left = FixedInput(self.input_bits, "symmetric", "mse", 1.0) if fixed else Float32Input()
            if layer.site.op.kind == "matmul":
                right: HybridWeight | HybridInput = HybridInput(number_format, self.scaling)
            else:
                channels = layer.weight.shape[layer.channel_axis]
                right = HybridWeight(number_format, self.scaling, layer.channel_axis, channels)
            layer.operand = HybridOperands(left, right, self.fraction_bits)

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Short weights, and products by shifting and adding."""
        number_format = self.number_format()
        activation = f"{self.input_bits}-bit integers" if self.input_bits else "float32"
        return replace(
            demand,
            weight_bits=number_format.bits,
            input_bits=self.input_bits or 32,
            accumulator_bits=64,
            arithmetic=f"hybrid products {activation} x {number_format.name} and fixed-point sums with "
            f"{self.fraction_bits} fraction bits",
        )
