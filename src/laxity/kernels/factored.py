"""Products of a table that factors: one native product per term, exact because every partial sum is a small integer."""

from __future__ import annotations

import torch
from torch import Tensor

from laxity.kernels.analysis import CodeRange, Factorisation
from laxity.kernels.geometry import Geometry
from laxity.kernels.products import Products, WeightOperand, working_dtype


class FactoredProducts(Products):
    """``T[a, w] = sum_r left_r[a] right_r[w]``; terms are stacked along the reduction.

    A term whose factor is the code itself needs no look-up.
    """

    def __init__(self, left: CodeRange, right: CodeRange, factors: Factorisation) -> None:
        super().__init__(left, right)
        self.terms = factors.terms
        self._left = torch.from_numpy(factors.left)
        self._right = torch.from_numpy(factors.right)
        self._peak = self._left.abs().amax(1).to(torch.float64)
        codes_left = torch.arange(left[0], left[1] + 1)
        codes_right = torch.arange(right[0], right[1] + 1)
        self._plain_left = [bool((row == codes_left).all()) for row in self._left]
        self._plain_right = [bool((row == codes_right).all()) for row in self._right]

    def describe(self) -> str:
        """Name the kernel."""
        if self.terms == 1 and self._plain_left[0] and self._plain_right[0]:
            return "exact product"
        return f"{self.terms} integer factor term{'s' if self.terms > 1 else ''}"

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Stack the terms' factors along the input channels."""
        mapped = self._map(weight_codes, self._right, self._plain_right, self.right[0], 1)
        peak = self._peak.to(weight_codes.device).repeat_interleave(weight_codes.shape[1])
        weighted = mapped.abs().to(torch.float64).flatten(2).sum(2)
        magnitude = float((weighted * peak).sum(1).max()) if mapped.numel() else 0.0
        return WeightOperand(mapped.to(working_dtype(magnitude)), tuple(weight_codes.shape), magnitude)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """One native convolution over the stacked terms."""
        batch, channels = codes.shape[:2]
        grouped = codes.reshape(batch, geometry.groups, channels // geometry.groups, *codes.shape[2:])
        mapped = self._map(grouped, self._left, self._plain_left, self.left[0], 2)
        stacked = mapped.reshape(batch, channels * self.terms, *codes.shape[2:])
        return geometry.convolve(stacked.to(weight.data.dtype), weight.data)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """One native product over the stacked terms."""
        a = self._map(left, self._left, self._plain_left, self.left[0], -1)
        b = self._map(right, self._right, self._plain_right, self.right[0], -2)
        peak = float((self._peak * self._right.abs().amax(1)).sum()) * left.shape[-1]
        dtype = working_dtype(peak)
        return torch.matmul(a.to(dtype), b.to(dtype))

    def _map(self, codes: Tensor, factors: Tensor, plain: list[bool], low: int, axis: int) -> Tensor:
        """Concatenate ``factors[r][code]`` of all terms along `axis`."""
        if plain == [True]:
            return codes
        index = (codes - low).to(torch.int32)
        table = factors.to(device=codes.device, dtype=working_dtype(float(factors.abs().max())))
        parts = [codes if same else row[index] for row, same in zip(table, plain, strict=True)]
        return torch.cat(parts, dim=axis) if len(parts) > 1 else parts[0]
