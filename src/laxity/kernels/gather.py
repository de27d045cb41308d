"""Products of an arbitrary table by look-up: sums of table rows, vectorised over outputs."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.geometry import Geometry
from laxity.kernels.products import Products, WeightOperand, working_dtype

_CHUNK = 1 << 22
_EXPANDED = 1 << 25
_FEW_OUTPUTS = 4


class GatherProducts(Products):
    """Any table: for each reduction index k a matrix of ``T[a, w[k, n]]`` is summed row-wise at the activations' codes.

    With few outputs per group (depthwise layers) products are looked up one by one instead.
    """

    def __init__(self, left: CodeRange, right: CodeRange, table: IntArray) -> None:
        super().__init__(left, right)
        self._table = torch.from_numpy(table.astype("float64"))
        self._row_peak = torch.from_numpy(abs(table).max(axis=0).astype("float64"))

    def describe(self) -> str:
        """Name the kernel."""
        return "table look-up"

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Remember the codes; the rows are built per group when they are used."""
        index = (weight_codes - self.right[0]).to(torch.int64).flatten(1)
        magnitude = float(self._row_peak.to(index.device)[index].sum(1).max()) if index.numel() else 0.0
        return WeightOperand(index, tuple(weight_codes.shape), magnitude)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Unfold, then look up and sum per group."""
        kernel = weight.shape[2:]
        out = geometry.output_size(codes, kernel)
        patches = geometry.patches((codes - self.left[0]).to(torch.int32), kernel)
        index = weight.data.reshape(geometry.groups, -1, weight.data.shape[1])
        groups = [self._product(patches[:, g], index[g], weight.magnitude) for g in range(geometry.groups)]
        if not groups:
            return codes.new_zeros(codes.shape[0], weight.shape[0], *out)
        result = torch.cat(groups, dim=2).transpose(1, 2)
        return result.reshape(codes.shape[0], weight.shape[0], *out)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Look up all products; the right operand is shared over leading dimensions where it has none."""
        a = (left - self.left[0]).to(torch.int32)
        b = (right - self.right[0]).to(torch.int64)
        bound = float(self._row_peak.max()) * left.shape[-1]
        if b.dim() == 2:
            return self._product(a, b.T, bound)
        shape = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        count = math.prod(shape)
        if not count:
            return left.new_zeros(*shape, a.shape[-2], b.shape[-1], dtype=working_dtype(bound))
        flat_a = a.expand(*shape, *a.shape[-2:]).reshape(count, *a.shape[-2:])
        flat_b = b.expand(*shape, *b.shape[-2:]).reshape(count, *b.shape[-2:])
        parts = [self._product(x, y.T, bound) for x, y in zip(flat_a, flat_b, strict=True)]
        return torch.stack(parts).reshape(*shape, a.shape[-2], b.shape[-1])

    def _product(self, index: Tensor, weight: Tensor, bound: float) -> Tensor:
        """Sums for activation indices (..., K) int32 and weight indices (N, K): (..., N)."""
        dtype = working_dtype(bound)
        if not index.numel() or not weight.numel():
            return torch.zeros(*index.shape[:-1], weight.shape[0], dtype=dtype, device=index.device)
        rows = index.reshape(-1, index.shape[-1])
        table = self._table.to(device=index.device, dtype=dtype)
        span = max(1, _EXPANDED // (table.shape[0] * weight.shape[0]))
        spans = zip(rows.split(span, 1), weight.split(span, 1), strict=True)
        sums = functools.reduce(torch.Tensor.add_, (self._span(a, w, table) for a, w in spans))
        return sums.reshape(*index.shape[:-1], weight.shape[0])

    def _span(self, rows: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        """Sums for activation indices (R, K) and weight indices (N, K), few enough to lie expanded in memory."""
        few = weight.shape[0] < _FEW_OUTPUTS
        step = max(1, _CHUNK // (rows.shape[1] * (weight.shape[0] if few else 1)))
        single = self._each if few else self._bag
        prepared = weight if few else _expand(table, weight)
        return torch.cat([single(chunk, prepared, table) for chunk in rows.split(step)])

    def _bag(self, rows: Tensor, expanded: Tensor, table: Tensor) -> Tensor:
        offsets = torch.arange(rows.shape[1], dtype=torch.int32, device=rows.device) * table.shape[0]
        return F.embedding_bag(rows + offsets, expanded, mode="sum")

    def _each(self, rows: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        flat = rows[:, None, :].to(torch.int64) * table.shape[1] + weight[None]
        return table.reshape(-1)[flat].sum(-1)


def _expand(table: Tensor, weight: Tensor) -> Tensor:
    """Rows ``T[a, w[k, n]]`` at index ``k * codes + a``: (K * codes, N)."""
    return table[:, weight.T].transpose(0, 1).reshape(-1, weight.shape[0]).contiguous()
