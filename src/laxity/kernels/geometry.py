"""The shape arithmetic of convolutions, kept apart from how products are computed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution; kernels that take codes take them padded, those that take values pad by the code of zero.

    Attributes:
        stride, dilation: one entry per spatial dimension.
        groups: number of groups.
        before, after: padding per spatial dimension, none where left out.
    """

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def dims(self) -> int:
        """Number of spatial dimensions."""
        return len(self.stride)

    def output_size(self, x: Tensor, kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Spatial output size for padded input `x` (batch, channels, *spatial)."""
        sizes = zip(x.shape[2:], kernel, self.stride, self.dilation, strict=True)
        return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in sizes)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Native convolution of padded `x` with `weight`, without bias."""
        function = (F.conv1d, F.conv2d, F.conv3d)[self.dims - 1]
        return function(x, weight, None, self.stride, 0, self.dilation, self.groups)

    def windows(self, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        """Windows of padded `x`, a view of it: (batch, channels, *output, *kernel)."""
        out = self.output_size(x, kernel)
        x = x.contiguous()
        spatial = x.stride()[2:]
        size = (*x.shape[:2], *out, *kernel)
        strides = (
            *x.stride()[:2],
            *(st * s for st, s in zip(spatial, self.stride, strict=True)),
            *(st * d for st, d in zip(spatial, self.dilation, strict=True)),
        )
        return x.as_strided(size, strides)

    def patches(self, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        """Unfold padded `x` to (batch, groups, positions, reduction); reduction runs over channels, then kernel."""
        view, out = self.windows(x, kernel), self.output_size(x, kernel)
        batch, channels = x.shape[:2]
        n = self.dims
        view = view.reshape(batch, self.groups, channels // self.groups, *out, *kernel)
        order = (0, 1, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
        reduction = channels // self.groups * math.prod(kernel)
        return view.permute(order).reshape(batch, self.groups, math.prod(out), reduction)

    def patches_at(self, x: Tensor, kernel: tuple[int, ...], places: Tensor) -> Tensor:
        """Some patches only, without unfolding the others: (groups, places, reduction).

        Args:
            x: padded, (batch, channels, *spatial).
            kernel: taps per spatial dimension.
            places: int64 (places,), flat indices into (batch, *output).
        """
        view, n = self.windows(x, kernel), self.dims
        chosen = torch.unravel_index(places, (len(x), *view.shape[2 : 2 + n]))
        picked = view.movedim(1, 1 + n)[chosen]
        return picked.reshape(len(places), self.groups, -1).transpose(0, 1)


def overlap_add(
    columns: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Tensor:
    """Add up what every input position of a transposed convolution contributes to the outputs.

    Args:
        columns: (batch, outputs * taps, *spatial), the taps of one output next to each other.
        kernel: taps per spatial dimension.
        stride: of the transposed convolution, as are `padding`, `output_padding` and `dilation`.
        padding: see `stride`.
        output_padding: see `stride`.
        dilation: see `stride`.

    Returns:
        (batch, outputs, *output size), in the dtype of `columns`.
    """
    taps = math.prod(kernel)
    outputs = columns.shape[1] // taps
    each = torch.eye(taps, dtype=columns.dtype, device=columns.device).reshape(taps, 1, *kernel)
    spread = each.repeat(outputs, *([1] * (len(kernel) + 1)))
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(kernel) - 1]
    return function(columns, spread, None, stride, padding, output_padding, outputs, dilation)
