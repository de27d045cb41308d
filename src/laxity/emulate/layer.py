"""One emulated operation: a weight layer or a product of activations, with a field per slot."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.circuits.wide import Core
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.emulate.observe import Observer
from laxity.kernels import Accumulator, Geometry, Products, WeightOperand, overlap_add
from laxity.techniques.data.operands import Operands, WeightCoder, straight_through


class Slots(nn.Module):
    """The fields that techniques fill; common to all emulated operations.

    Attributes:
        structure: map from the stored to the used weight, or None.
        operand: coders of both operands, or None for float32.
        multiplier: circuit of every product, or None for the exact one.
        accumulator: how products are added, or None for exact sums.
    """

    structure: nn.Module | None
    operand: Operands | None
    multiplier: Core | None
    accumulator: Accumulator | None

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.structure = None
        self.operand = None
        self.multiplier = None
        self.accumulator = None
        self.observers: list[Observer] | None = None
        self.taken: list[Tensor] | None = None

    def facts(self) -> dict[str, float]:
        """Figures that demands need and only the built operation knows; a product of activations stores nothing."""
        return {"weight_nonzeros": 0.0}

    def products(self) -> tuple[Products, float]:
        """The kernel for the present operands, circuit and accumulator, and the factor that undoes the shifts.

        Raises:
            PlanError: the site computes in floating point, or its codes do not fit the circuit.
        """
        if self.operand is None:
            raise PlanError(f"site {self.site.name!r} computes in floating point; give it an OPERAND choice")
        return self.operand.products(self.multiplier, self.accumulator, self.site.name)


class EmulatedLayer(Slots):
    """Replaces a convolution (any dimension, transposed too) or a linear layer.

    In evaluation the output is exactly what the integer hardware computes: sums of circuit products, corrected for
    zero-points by exact sums, scaled once per output channel. While gradients are wanted, the same values carry the
    gradients of the native operation on the represented operands (straight-through estimator).

    Attributes:
        weight: float32, in the layout of the replaced layer.
        bias: float32 (outputs,) or None.
        gain: float32 (outputs,), correction of the output scale found by re-estimation; 1 otherwise.
        kept: original output channels that are left, or None for all.
        forced_codes: weight codes to use instead of those of the weight (faults in memory), or None.
    """

    gain: Tensor

    def __init__(self, site: Site, layer: nn.Module) -> None:
        super().__init__(site)
        self.weight = nn.Parameter(layer.weight.detach().clone())  # type: ignore[operator]
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())  # type: ignore[operator]
        self.linear = isinstance(layer, nn.Linear)
        self.transposed = not self.linear and bool(layer.transposed)
        if not self.linear:
            self._read_convolution(layer)
        self.channel_axis = 1 if self.transposed else 0
        self.register_buffer("gain", torch.ones(self._outputs()))
        self.kept: list[int] | None = None
        self.forced_codes: Tensor | None = None
        self._cached: tuple[Products, Tensor, WeightOperand] | None = None

    def _read_convolution(self, layer: Any) -> None:
        self.kernel, self.groups, self.padding_mode = (
            tuple(layer.kernel_size),
            int(layer.groups),
            str(layer.padding_mode),
        )
        dims = len(self.kernel)
        self.stride, self.dilation = _each(layer.stride, dims), _each(layer.dilation, dims)
        self.output_padding = _each(layer.output_padding, dims)
        self.padding = _each(layer.padding, dims) if self.transposed else _padding_pairs(layer)

    def _outputs(self) -> int:
        return int(self.weight.shape[1] * self.groups if self.transposed else self.weight.shape[0])

    def used_weight(self) -> Tensor:
        """The weight after the STRUCTURE slot, same shape as `weight`."""
        return self.weight if self.structure is None else self.structure(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the operation on float32 `x` (batch, ...)."""
        if self.observers is not None:
            self.observers[0].update(x)
        weight = self.used_weight()
        if self.operand is None or self.observers is not None:
            return self._finish(self._native(x, weight))
        return self._emulate(x, weight, self.operand)

    def _emulate(self, x: Tensor, weight: Tensor, operand: Operands) -> Tensor:
        coder = operand.weight
        assert isinstance(coder, WeightCoder)
        scale, zero = coder.scale_and_zero(weight)
        weight_codes = coder.codes(weight, scale, zero) if self.forced_codes is None else self.forced_codes
        codes = operand.input.codes(x)
        if self.taken is not None:
            self.taken.append(codes)
        training = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
        with torch.no_grad():
            sums = self._integer(codes, weight_codes, zero, operand)
            out_scale = scale * operand.input.scale
            exact = sums.to(torch.float32) * self._per_output(self._expand(out_scale), sums.dim())
        if not training:
            return self._finish(exact)
        represented = operand.input.represent(x, codes)
        smooth = self._native(represented, coder.represent(weight, weight_codes, scale, zero))
        return self._finish(straight_through(exact, smooth))

    def stored_codes(self) -> tuple[Tensor, int, bool]:
        """Weight codes in the weight's shape, float32, the width of their words in memory, and signedness of these.

        Raises:
            PlanError: the site stores floating point.
        """
        if self.operand is None or not isinstance(self.operand.weight, WeightCoder):
            raise PlanError(f"site {self.site.name!r} stores no integer weights; give it an OPERAND choice")
        coder, weight = self.operand.weight, self.used_weight()
        return coder.codes(weight, *coder.scale_and_zero(weight)), coder.bits, coder.stored_signed

    def integer_sums(self, codes: Tensor) -> Tensor:
        """Accumulator contents for input codes in units of (input code) x (weight code), zero-points corrected.

        Exact whole numbers in floating point, or exact binary fractions where the circuit resolves narrow codes finer.

        Raises:
            PlanError: the site computes in floating point.
        """
        weight_codes, _, _ = self.stored_codes()
        assert self.operand is not None  # stored_codes has checked
        assert isinstance(self.operand.weight, WeightCoder)
        _, zero = self.operand.weight.scale_and_zero(self.used_weight())
        with torch.no_grad():
            return self._integer(codes, weight_codes, zero, self.operand)

    def _integer(self, codes: Tensor, weight_codes: Tensor, weight_zero: Tensor, operand: Operands) -> Tensor:
        """Sum of (a - za)(w - zw) with circuit products for a w and exact sums for the cross terms.

        Cross terms are added in float64: they may exceed what float32 holds exactly where the products do not.
        """
        input_zero = float(operand.input.zero)
        kernel, unshift = self.products()
        matrix = self.as_convolution(weight_codes)
        padded = self.pad(codes, input_zero)
        sums = kernel.convolve(padded, self._prepared(kernel, matrix), self.geometry())
        if unshift != 1.0:
            sums = sums * unshift
        column = (-1, *([1] * (sums.dim() - 2)))
        if input_zero:
            per_output = matrix.flatten(1).sum(1, dtype=torch.float64)
            sums = sums - (input_zero * per_output).reshape(column)
        if isinstance(operand.weight, WeightCoder) and not operand.weight.symmetric:
            zero = self._expand(weight_zero).to(torch.float64)
            zero = zero.repeat_interleave(len(matrix) // len(zero)) if self.transposed else zero
            inputs = self._window_sums(padded, matrix) - input_zero * math.prod(matrix.shape[1:])
            sums = sums - inputs * zero.reshape(column)
        return self._join(sums, codes)

    def _window_sums(self, padded: Tensor, matrix: Tensor) -> Tensor:
        """Sum of the input codes under each output's window, float64, for weight zero-points."""
        geometry = self.geometry()
        ones = torch.ones_like(matrix[: geometry.groups], dtype=torch.float64)
        per_group = geometry.convolve(padded.to(torch.float64), ones)
        return per_group.repeat_interleave(len(matrix) // geometry.groups, dim=1)

    def _join(self, sums: Tensor, codes: Tensor) -> Tensor:
        """From sums of the plain convolution to the layout of the layer's output."""
        if self.linear:
            return sums.reshape(*codes.shape[:-1], sums.shape[1])
        if not self.transposed:
            return sums
        return overlap_add(
            sums.to(torch.float64), self.kernel, self.stride, self.padding, self.output_padding, self.dilation
        )

    def _prepared(self, kernel: Products, matrix: Tensor) -> WeightOperand:
        """Weight operand of the kernel, kept while neither kernel nor codes change."""
        cached = self._cached
        if cached is not None and cached[0] is kernel and _same(cached[1], matrix):
            return cached[2]
        prepared = kernel.prepare(matrix)
        self._cached = None if self.weight.requires_grad else (kernel, matrix.clone(), prepared)
        return prepared

    def geometry(self) -> Geometry:
        """Strides, dilation and groups of the plain convolution over padded codes."""
        if self.linear:
            return _POINT
        if self.transposed:
            point = (1,) * len(self.kernel)
            return Geometry(point, point, self.groups)
        return Geometry(self.stride, self.dilation, self.groups)

    def as_convolution(self, weight: Tensor) -> Tensor:
        """Weight of the plain convolution that does all products: (outputs, inputs per group, *kernel).

        A transposed layer multiplies every input position with every tap and adds what overlaps afterwards, so its
        plain convolution has a 1 x 1 kernel and one output per output channel and tap.
        """
        if self.linear:
            return weight[:, :, None]
        if not self.transposed:
            return weight
        inputs, outputs = weight.shape[0] // self.groups, weight.shape[1]
        split = weight.reshape(self.groups, inputs, outputs, -1).permute(0, 2, 3, 1)
        return split.reshape(-1, inputs, *([1] * len(self.kernel)))

    def pad(self, x: Tensor, value: float) -> Tensor:
        """Bring the input of the layer into that of the plain convolution: (batch, channels, *spatial), padded."""
        if self.linear:
            return x.reshape(math.prod(x.shape[:-1]), x.shape[-1], 1)
        if self.transposed or not any(self.padding):
            return x
        if self.padding_mode != "zeros":
            return F.pad(x, self.padding, mode=self.padding_mode)
        return F.pad(x, self.padding, value=value)

    def _native(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer in floating point, without bias."""
        if self.linear:
            return F.linear(x, weight)
        if not self.transposed:
            return self.geometry().convolve(self.pad(x, 0.0), weight)
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(self.kernel) - 1]
        return function(x, weight, None, self.stride, self.padding, self.output_padding, self.groups, self.dilation)

    def _finish(self, values: Tensor) -> Tensor:
        """Apply the output correction and the bias."""
        out = values * self._per_output(self.gain, values.dim())
        return out if self.bias is None else out + self._per_output(self.bias, values.dim())

    def _expand(self, values: Tensor) -> Tensor:
        """Scales or zero-points of the weight's channel axis as one per output; groups of a transposed layer share."""
        shared = self.transposed and values.numel() > 1
        return values.repeat(self.groups) if shared else values

    def _per_output(self, values: Tensor, dims: int) -> Tensor:
        """Reshape (outputs,) or (1,) so that it broadcasts over an output of `dims` dimensions."""
        return values if self.linear else values.reshape(-1, *([1] * (dims - 2)))

    def facts(self) -> dict[str, float]:
        """Figures that demands need: stored weights whose value is not zero."""
        weight = self.used_weight()
        if self.operand is None or not isinstance(self.operand.weight, WeightCoder):
            return {"weight_nonzeros": float(torch.count_nonzero(weight))}
        coder = self.operand.weight
        scale, zero = coder.scale_and_zero(weight)
        value = coder.represent(weight, coder.codes(weight, scale, zero), scale, zero)
        return {"weight_nonzeros": float(torch.count_nonzero(value))}

    def __getstate__(self) -> dict[str, Any]:
        """Leave caches out of copies and pickles."""
        return {**self.__dict__, "_cached": None, "observers": None, "taken": None}


_POINT = Geometry((1,), (1,), 1)


def _same(left: Tensor, right: Tensor) -> bool:
    return left.device == right.device and left.shape == right.shape and torch.equal(left, right)


def _each(values: Any, dims: int) -> tuple[int, ...]:
    """One entry per spatial dimension; torch lets a single entry stand for all."""
    return tuple(values) * (dims if len(values) == 1 else 1)


def _padding_pairs(layer: Any) -> tuple[int, ...]:
    """Padding as (last before, last after, ..., first before, first after), as `F.pad` wants it."""
    dims = len(layer.kernel_size)
    dilation = _each(layer.dilation, dims)
    pairs: list[int] = []
    for i in reversed(range(dims)):
        if layer.padding == "same":
            total = dilation[i] * (layer.kernel_size[i] - 1)
            pairs += [total // 2, total - total // 2]
        else:
            amount = 0 if layer.padding == "valid" else _each(layer.padding, dims)[i]
            pairs += [amount, amount]
    return tuple(pairs)
