"""The shape arithmetic of convolutions, kept apart from how products are computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution over codes that are padded already.

    Attributes:
        stride, dilation: one entry per spatial dimension.
        groups: number of groups.
    """

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

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

    def patches(self, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        """Unfold padded `x` to (batch, groups, positions, reduction); reduction runs over channels, then kernel."""
        out = self.output_size(x, kernel)
        x = x.contiguous()
        spatial = x.stride()[2:]
        size = (*x.shape[:2], *out, *kernel)
        strides = (
            *x.stride()[:2],
            *(st * s for st, s in zip(spatial, self.stride, strict=True)),
            *(st * d for st, d in zip(spatial, self.dilation, strict=True)),
        )
        view = x.as_strided(size, strides)
        batch, channels = x.shape[:2]
        n = self.dims
        view = view.reshape(batch, self.groups, channels // self.groups, *out, *kernel)
        order = (0, 1, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
        positions = int(torch.tensor(out).prod()) if out else 1
        return view.permute(order).reshape(batch, self.groups, positions, -1)
