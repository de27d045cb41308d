"""Sums of products that are computed pair by pair, in chunks that stay in the cache."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from laxity.kernels.geometry import Geometry
from laxity.kernels.products import Products, WeightOperand

_CHUNK = 1 << 17


class PairwiseProducts(Products):
    """A kernel for products without any structure that native operations could use.

    A subclass says what the sum of the products of rows of codes is. Its result must not depend on how rows are cut
    into chunks, so sums must be exact.
    """

    @abstractmethod
    def sums(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Sums of products of rows (R, K) with weights (N, K), both codes: float64 (R, N)."""

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Lay the weight out as (outputs, reduction)."""
        return WeightOperand(weight_codes.flatten(1), tuple(weight_codes.shape), 0.0)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Unfold, then multiply rows per group."""
        kernel = weight.shape[2:]
        out = geometry.output_size(codes, kernel)
        patches = geometry.patches(codes, kernel)
        matrix = weight.data.reshape(geometry.groups, -1, weight.data.shape[1])
        groups = [self._chunked(patches[:, g], matrix[g]) for g in range(geometry.groups)]
        result = torch.cat(groups, dim=2).transpose(1, 2)
        return result.reshape(codes.shape[0], weight.shape[0], *out)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply rows; the right operand is shared over leading dimensions where it has none."""
        if right.dim() == 2:
            return self._chunked(left, right.T)
        shape = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        count = math.prod(shape)
        flat_a = left.expand(*shape, *left.shape[-2:]).reshape(count, *left.shape[-2:])
        flat_b = right.expand(*shape, *right.shape[-2:]).reshape(count, *right.shape[-2:])
        parts = [self._chunked(a, b.T) for a, b in zip(flat_a, flat_b, strict=True)]
        if not parts:
            return left.new_zeros(*shape, left.shape[-2], right.shape[-1], dtype=torch.float64)
        return torch.stack(parts).reshape(*shape, left.shape[-2], right.shape[-1])

    def _chunked(self, left: Tensor, weight: Tensor) -> Tensor:
        """Sums for codes (..., K) and weights (N, K): float64 (..., N)."""
        if not left.numel() or not weight.numel():
            return torch.zeros(*left.shape[:-1], weight.shape[0], dtype=torch.float64, device=left.device)
        rows = left.reshape(-1, left.shape[-1])
        step = max(1, _CHUNK // weight.numel())
        weight = weight.contiguous()
        parts = [self.sums(chunk, weight) for chunk in rows.split(step)]
        return torch.cat(parts).reshape(*left.shape[:-1], weight.shape[0])
