"""What an emulated layer is shaped like: its kind, strides, padding and groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.errors import DataError
from laxity.emulate.straight import Native
from laxity.kernels import Geometry

_POINT = Geometry((1,), (1,), 1)
_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


@dataclass(frozen=True)
class Form:
    """Everything about a layer but its weights.

    Attributes:
        linear: a linear layer; the rest does not matter then.
        transposed: a transposed convolution.
        kernel, stride, dilation, output_padding: one entry per spatial dimension.
        padding: per spatial dimension, (before, after); for transposed convolutions both are the same.
        padding_mode: as in torch.
        groups: number of groups.
    """

    linear: bool
    transposed: bool = False
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    padding_mode: str = "zeros"
    groups: int = 1

    @staticmethod
    def of(layer: nn.Module) -> Form:
        """Read a linear layer or a convolution of any kind."""
        if isinstance(layer, nn.Linear):
            return Form(linear=True)
        source: Any = layer
        dims = len(source.kernel_size)
        return Form(
            linear=False,
            transposed=bool(source.transposed),
            kernel=tuple(source.kernel_size),
            stride=_each(source.stride, dims),
            dilation=_each(source.dilation, dims),
            output_padding=_each(source.output_padding, dims),
            padding=_padding(source, dims),
            padding_mode=str(source.padding_mode),
            groups=int(source.groups),
        )

    @property
    def codes_geometry(self) -> Geometry:
        """The plain convolution over padded codes that does all products."""
        if self.linear:
            return _POINT
        if self.transposed:
            point = (1,) * len(self.kernel)
            return Geometry(point, point, self.groups)
        return Geometry(self.stride, self.dilation, self.groups)

    @property
    def values_geometry(self) -> Geometry:
        """The plain convolution over values, which pads them itself where zeros are padded."""
        if self.linear or self.transposed or self.padding_mode != "zeros":
            return self.codes_geometry
        before, after = zip(*self.padding, strict=True)
        return Geometry(self.stride, self.dilation, self.groups, before, after)

    def least_input(self) -> tuple[int, ...]:
        """Smallest input size per spatial dimension for which torch computes an output."""
        if self.transposed:
            return (1,) * len(self.kernel)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        around = {"reflect": 1, "circular": 0}.get(self.padding_mode)
        return tuple(
            max(1, r - before - after, 0 if around is None else max(before, after) + around)
            for r, (before, after) in zip(reach, self.padding, strict=True)
        )

    def as_convolution(self, weight: Tensor) -> Tensor:
        """Weight of the plain convolution: (outputs, inputs per group, *kernel).

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
        if self.transposed or not any(map(any, self.padding)):
            return x
        pairs = [amount for pair in reversed(self.padding) for amount in pair]
        return F.pad(x, pairs, mode=self.padding_mode) if self.padding_mode != "zeros" else F.pad(x, pairs, value=value)

    def native(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer in floating point, without bias."""
        if self.linear:
            return F.linear(x, weight)
        if self.transposed:
            function = _TRANSPOSED[len(self.kernel) - 1]
            padding = tuple(before for before, _ in self.padding)
            return function(x, weight, None, self.stride, padding, self.output_padding, self.groups, self.dilation)
        x, padding = self._even(x)
        return _CONVOLUTIONS[len(self.kernel) - 1](x, weight, None, self.stride, padding, self.dilation, self.groups)

    def backward(self, x: Tensor) -> tuple[Tensor, Native]:
        """The operation whose gradients stand for this layer's, and its input where that has to be padded before."""
        if self.linear:
            return x, Native(linear=True)
        if self.transposed:
            padding = tuple(before for before, _ in self.padding)
            return x, Native(False, self.stride, padding, self.dilation, True, self.output_padding, self.groups)
        x, padding = self._even(x)
        return x, Native(False, self.stride, padding, self.dilation, False, self.output_padding, self.groups)

    def _even(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Leave padding that native convolutions can do to them; do the other kinds here."""
        if self.padding_mode == "zeros" and all(before == after for before, after in self.padding):
            return x, tuple(before for before, _ in self.padding)
        return self.pad(x, 0.0), (0,) * len(self.kernel)

    def for_output(self, x: Tensor, size: Sequence[int] | None, site: str) -> Form:
        """The form with the output padding that gives a transposed convolution the output size wanted.

        Raises:
            DataError: no output padding gives this size; names the site.
        """
        if size is None:
            return self
        dims = len(self.kernel)
        wanted = tuple(size)[-dims:]
        least = [
            (n - 1) * s - 2 * p[0] + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.shape[-dims:], self.stride, self.padding, self.dilation, self.kernel, strict=True
            )
        ]
        extra = tuple(w - m for w, m in zip(wanted, least, strict=True))
        if len(size) not in {dims, dims + 2} or any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
            raise DataError(
                f"output_size {tuple(size)} of site {site!r} cannot be reached; sizes from {least} to {most} can"
            )
        return replace(self, output_padding=extra)


def per_output(values: Tensor, linear: bool, dims: int) -> Tensor:
    """Reshape (outputs,) or (1,) so that it broadcasts over a layer's output of `dims` dimensions."""
    return values if linear else values.reshape(-1, *([1] * (dims - 2)))


def window_sums(padded: Tensor, matrix: Tensor, geometry: Geometry) -> Tensor:
    """Sum of the input codes under each output's window, float64, for zero-points of weights."""
    ones = torch.ones_like(matrix[: geometry.groups], dtype=torch.float64)
    per_group = geometry.convolve(padded.to(torch.float64), ones)
    return per_group.repeat_interleave(len(matrix) // geometry.groups, dim=1)


def _each(values: Any, dims: int) -> tuple[int, ...]:
    """One entry per spatial dimension; torch lets a single entry stand for all."""
    return tuple(values) * (dims if len(values) == 1 else 1)


def _padding(layer: Any, dims: int) -> tuple[tuple[int, int], ...]:
    if layer.padding == "valid":
        return ((0, 0),) * dims
    if layer.padding != "same":
        return tuple((p, p) for p in _each(layer.padding, dims))
    dilation = _each(layer.dilation, dims)
    totals = [d * (k - 1) for d, k in zip(dilation, layer.kernel_size, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)
