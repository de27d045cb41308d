"""Integer codes of weights and activations, with the straight-through estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from laxity.circuits import catalogue
from laxity.circuits.wide import ComposedMultiplier, Core, WideMultiplier, wide
from laxity.core.demand import EXACT_MULTIPLIER, IntArray
from laxity.core.errors import DataError, PlanError
from laxity.kernels import Accumulator, Products
from laxity.kernels.analysis import signed_table
from laxity.kernels.weights import code_rows, represent_weights
from laxity.kernels.wide import integer_products
from laxity.techniques.data.operands import InputCoder, Operands, ScalarProduct, WeightCoder, straight_through
from laxity.techniques.data.ranges import input_limits, weight_ratio
from laxity.techniques.hardware.arrangement import Arrangement, Circuits


class ActivationCode(InputCoder):
    """Per-tensor integer code of an activation: ``q = clip(round(x / scale) + zero, low, high)``.

    Symmetric codes are unsigned with zero 0 where no negative value was seen, else signed without the most negative
    code, so that magnitudes fit a sign-magnitude multiplier. Affine codes are unsigned with a zero-point.

    Args:
        bits: width of the code, 2 to 16.
        scheme: ``symmetric|affine``.
        method: ``minmax|percentile|mse``.
        percentile: used by ``percentile``.

    Attributes:
        histogram: see `keep_histogram`; None where codes are not counted.
    """

    limits: Tensor
    histogram: Tensor | None

    def __init__(self, bits: int, scheme: str, method: str, percentile: float) -> None:
        super().__init__()
        self.bits, self.scheme, self.method, self.percentile = bits, scheme, method, percentile
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero", torch.zeros(()))
        self.register_buffer("limits", torch.tensor([0, 2**bits - 1]))
        self.register_buffer("histogram", None)
        self._range = (0, 2**bits - 1)

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return self._range

    def keep_histogram(self) -> None:
        """Let calibration count codes: `histogram`, float32 (2**bits,), is how often each occurs, least code first."""
        self.histogram = torch.zeros(2**self.bits, device=self.scale.device)

    def _set_range(self, low: int, high: int) -> None:
        """Kept beside the buffer, because compiled and exported models cannot wait for a tensor's value."""
        self.limits.copy_(torch.tensor([low, high]))
        self._range = low, high

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        low, high = self.limits.tolist()
        self._range = int(low), int(high)
        self.zeros = int(self.zero), self.zeros[1]

    def quantiser(self) -> Tensor:
        """Scale, zero-point, least and greatest code, float32 (4,)."""
        return torch.cat([self.scale.reshape(1), self.zero.reshape(1), self.limits.to(self.scale.dtype)])

    @torch.no_grad()
    def calibrate(self, values: Tensor, name: str) -> None:
        """Set scale and zero-point from a sample of activations, float32 (n,).

        Raises:
            DataError: the sample holds NaN or infinite values; names the site.
        """
        if not bool(torch.isfinite(values).all()):
            raise DataError(f"activations at site {name!r} are not finite on the calibration data; check the inputs")
        unsigned = self.scheme == "affine" or float(values.min()) >= 0
        top = 2**self.bits - 1 if unsigned else 2 ** (self.bits - 1) - 1
        levels = top if unsigned else 2 * top
        low, high = input_limits(values, levels, self.method, self.percentile, centred=not unsigned)
        if self.scheme == "affine":
            scale = max(high - low, 1e-8) / top
            self.zero.fill_(round(-low / scale))
        else:
            scale = max(high, -low, 1e-8) / top
            self.zero.zero_()
        self.scale.fill_(scale)
        self._set_range(0 if unsigned else -top, top)
        codes = self.codes(values)
        self.zeros = int(self.zero), float((codes == self.zero).float().mean())
        if self.histogram is not None:
            found = torch.bincount((codes - self._range[0]).long().cpu(), minlength=2**self.bits)
            self.histogram.copy_(found)

    def codes(self, x: Tensor) -> Tensor:
        """Integer codes of `x` as float32, same shape; no gradient."""
        low, high = self.code_range
        return torch.clamp(torch.round(x.detach() / self.scale) + self.zero, low, high)

    def represent(self, x: Tensor, codes: Tensor) -> Tensor:
        """The value that `codes` stand for; gradient 1 where rounding alone gives a code, 0 where `x` is clipped."""
        free = torch.round(x.detach() / self.scale) + self.zero
        low, high = self.code_range
        inside = (free >= low) & (free <= high)
        return straight_through((codes - self.zero) * self.scale, x * inside)


class WeightCode(WeightCoder):
    """Integer code of a weight, per tensor or per output channel; the range follows the weight while it trains.

    Args:
        bits: 2 to 16.
        scheme: ``symmetric`` (codes in +-(2^(bits-1) - 1), zero 0) or ``affine`` (unsigned with zero-points).
        per_channel: one scale per output channel.
        axis: output-channel axis of the weight.
        channels: number of output channels.
        method, percentile: as in `ActivationCode`.
    """

    ratio: Tensor

    def __init__(
        self, bits: int, scheme: str, per_channel: bool, axis: int, channels: int, method: str, percentile: float
    ) -> None:
        super().__init__()
        self.bits, self.scheme, self.per_channel, self.axis = bits, scheme, per_channel, axis
        self.method, self.percentile = method, percentile
        self.register_buffer("ratio", torch.ones(channels if per_channel else 1))

    @property
    def symmetric(self) -> bool:
        """Whether codes are signed around zero."""
        return self.scheme == "symmetric"

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        top = 2 ** (self.bits - 1) - 1
        return (-top, top) if self.symmetric else (0, 2**self.bits - 1)

    @torch.no_grad()
    def calibrate(self, weight: Tensor) -> None:
        """Choose which fraction of each channel's range the codes cover."""
        rows = self._rows(weight)
        self.ratio.copy_(weight_ratio(rows, self.code_range[1], self.symmetric, self.method, self.percentile))

    def scale_and_zero(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and zero-point for the present weight, float32 (channels,) or (1,)."""
        rows = self._rows(weight.detach())
        top = self.code_range[1]
        if self.symmetric:
            scale = (rows.abs().amax(1) * self.ratio / top).clamp_min(1e-12)
            return scale, torch.zeros_like(scale)
        low, high = rows.amin(1).clamp_max(0) * self.ratio, rows.amax(1).clamp_min(0) * self.ratio
        scale = ((high - low) / top).clamp_min(1e-12)
        return scale, torch.round(-low / scale)

    def codes(self, weight: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """Integer codes as float32, same shape; no gradient."""
        low, high = self.code_range
        s, z = self._spread(scale, weight), self._spread(zero, weight)
        return torch.clamp(torch.round(weight.detach() / s) + z, low, high)

    def represent(self, weight: Tensor, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        """The value that `codes` stand for; gradient 1 where rounding alone gives a code, 0 where it is clipped."""
        low, high = self.code_range
        s, z = self._spread(scale, weight), self._spread(zero, weight)
        free = torch.round(weight.detach() / s) + z
        inside = (free >= low) & (free <= high)
        return straight_through((codes - z) * s, weight * inside)

    def rows(self, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """See `WeightCoder.rows`."""
        top = self.greatest
        if top is None or self.bits > 8 or torch.compiler.is_compiling():
            return None
        return code_rows(weight.detach(), self.ratio, top)

    @property
    def greatest(self) -> int | None:
        """See `WeightCoder.greatest`."""
        by_rows = self.symmetric and (self.axis == 0 or not self.per_channel)
        return self.code_range[1] if by_rows else None

    def smooth(self, weight: Tensor, scale: Tensor | None = None) -> Tensor:
        """See `WeightCoder.smooth`."""
        top = self.greatest
        if top is None:
            return super().smooth(weight)
        return represent_weights(weight, self.scale_and_zero(weight)[0] if scale is None else scale, top)

    def _rows(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.axis, 0).flatten(1) if self.per_channel else weight.reshape(1, -1)

    def _spread(self, values: Tensor, weight: Tensor) -> Tensor:
        if values.numel() == 1:
            return values.reshape(())
        shape = [1] * weight.dim()
        shape[self.axis] = -1
        return values.reshape(shape)


class IntegerOperands(Operands):
    """Whole-number codes of both operands."""

    input: ActivationCode
    weight: WeightCode | ActivationCode

    def circuit(self, multiplier: Circuits | None) -> Core:
        """The multiplier of every product; the exact one where none is given.

        Raises:
            PlanError: there is more than one, see `laxity.techniques.hardware.arrangement.single`.
        """
        if isinstance(multiplier, Arrangement):
            raise PlanError(f"one circuit was to make all products of a site that has {multiplier.describe()}")
        if multiplier is not None:
            return multiplier
        return exact_multiplier(max(self.input.bits, self.weight.bits))

    def shifts(self, circuit: Core, name: str) -> tuple[int, int]:
        """How far both codes are shifted up so that narrow ones occupy the upper bits of the circuit's operands.

        Raises:
            PlanError: the codes of site `name` are wider than the circuit.
        """
        bits = self.input.bits, self.weight.bits
        if isinstance(circuit, ComposedMultiplier):
            pieces = circuit.pieces(*bits)
            return pieces[0] * circuit.part.a_bits - bits[0], pieces[1] * circuit.part.b_bits - bits[1]
        shifts = circuit.a_bits - bits[0], circuit.b_bits - bits[1]
        if min(shifts) < 0:
            raise PlanError(
                f"site {name!r}: operands of {bits[0]} x {bits[1]} bits do not fit multiplier "
                f"{circuit.name!r} ({circuit.a_bits} x {circuit.b_bits}); choose fewer bits, a wider multiplier, or "
                "products composed of narrower ones"
            )
        return shifts

    def products(self, multiplier: Core | None, accumulator: Accumulator | None, name: str) -> tuple[Products, float]:
        """See `Operands.products`."""
        circuit = self.circuit(multiplier)
        shifts = self.shifts(circuit, name)
        return integer_products(circuit, self.input.code_range, self.weight.code_range, shifts, accumulator)

    def scalar(self, multiplier: Core | None, name: str) -> ScalarProduct | None:
        """See `Operands.scalar`; composed products take several steps, of which no trace is known."""
        circuit = self.circuit(multiplier)
        if isinstance(circuit, ComposedMultiplier):
            return None
        shifts = self.shifts(circuit, name)
        if isinstance(circuit, WideMultiplier):
            return ScalarProduct(shifts, _signed(circuit, shifts))
        left, right = self.input.code_range, self.weight.code_range
        table = signed_table(circuit, left, right, shifts)

        def compute(a: IntArray, w: IntArray) -> IntArray:
            return table[a - left[0], w - right[0]]

        return ScalarProduct(shifts, compute)


def exact_multiplier(bits: int) -> Core:
    """The exact multiplier of the catalogue for operands of `bits` bits, at least 8."""
    return catalogue.get(EXACT_MULTIPLIER) if bits <= 8 else wide(f"dadda{bits}")


def _signed(circuit: WideMultiplier, shifts: tuple[int, int]) -> Callable[[IntArray, IntArray], IntArray]:
    """Products of codes by a closed form on magnitudes, the sign applied outside."""

    def compute(a: IntArray, w: IntArray) -> IntArray:
        return np.sign(a) * np.sign(w) * circuit.product(np.abs(a) << shifts[0], np.abs(w) << shifts[1])

    return compute
