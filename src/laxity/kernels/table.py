"""Products of an arbitrary table by look-up in vector registers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from laxity.kernels import native
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.geometry import Geometry
from laxity.kernels.layout import Entries, Layout, layout_of
from laxity.kernels.operators import flat
from laxity.kernels.products import FusedOperand, FusedProducts, Products, Scaling, WeightOperand

NARROW = 2**31


class TableProducts(FusedProducts):
    """Any table of at most 256 x 256 products, by the compiled look-up kernels on the CPU.

    Args:
        left: range of activation codes.
        right: range of weight codes.
        table: int64 (left codes, right codes).
        elsewhere: products on other devices.
    """

    def __init__(self, left: CodeRange, right: CodeRange, table: IntArray, elsewhere: Products) -> None:
        super().__init__(left, right)
        self.elsewhere = elsewhere
        self._peak = int(abs(table).max())
        layout = layout_of(table, left)
        plain = layout_of(table, left, by_sign=False) if layout and layout.entries is Entries.SIGN_MAGNITUDE else layout
        assert layout is not None and plain is not None  # noqa: PT018 (the caller has checked the size)
        self._layout, self._wide_layout = layout, plain
        self._codes = torch.tensor([1.0, 0.0, float(left[0]), float(left[1])])

    def describe(self) -> str:
        """Name the kernel."""
        layout = self._layout
        how = "sign and 128" if layout.entries is Entries.SIGN_MAGNITUDE else str(layout.entries.count)
        return f"{native.level()} look-up, {how} entries, {layout.planes} x {layout.bits} bits"

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Row numbers and constants; on other devices what their kernel wants."""
        if weight_codes.device.type != "cpu":
            return self.elsewhere.prepare(weight_codes)
        return WeightOperand(self.ready(weight_codes, None), tuple(weight_codes.shape), 0.0)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Look up and add."""
        if not isinstance(weight.data, FusedOperand):
            return self.elsewhere.convolve(codes, weight, geometry)
        return self.layer(codes, self._codes, weight.data, geometry, None, "").to(torch.float64)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Look up and add; every matrix of a batch is a group of one call."""
        if left.device.type != "cpu":
            return self.elsewhere.matmul(left, right)
        if right.dim() == 2:
            operand = self.ready(right.T[:, :, None], None)
            rows = left.reshape(-1, left.shape[-1])
            sums = self.layer(rows, self._codes, operand, Geometry((1,), (1,), 1), None, "")
            return sums.reshape(*left.shape[:-1], right.shape[-1]).to(torch.float64)
        shape = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
        groups = math.prod(shape)
        if not groups:
            return left.new_zeros((*shape, m, n), dtype=torch.float64)
        a = left.expand(*shape, m, k).reshape(groups, m, k).permute(0, 2, 1).reshape(1, groups * k, m)
        w = right.expand(*shape, k, n).transpose(-1, -2).reshape(groups * n, k, 1)
        sums = self.layer(a, self._codes, self.ready(w, None), Geometry((1,), (1,), groups), None, "")
        return sums.reshape(*shape, n, m).transpose(-1, -2).to(torch.float64)

    def ready(self, weight_codes: Tensor, offset: Tensor | None) -> FusedOperand:
        """Row numbers (outputs, reduction) uint8, and the sum of the rows' least products per output."""
        rows = (weight_codes.detach() - self.right[0]).to(torch.uint8).flatten(1).contiguous()
        wide = rows.shape[1] * self._peak >= NARROW or self._layout.planes > 2
        layout = self._wide_layout if wide else self._layout
        if layout.entries is Entries.SIGN_MAGNITUDE:
            constants = torch.zeros(len(rows), dtype=torch.int64)
        else:
            constants = layout.least[rows.to(torch.int64)].sum(1)
        constants = constants if offset is None else constants + offset
        return FusedOperand((rows, constants), tuple(weight_codes.shape[2:]), wide)

    def layer(
        self, x: Tensor, quantiser: Tensor, weight: FusedOperand, geometry: Geometry, scaling: Scaling | None, site: str
    ) -> Tensor:
        """One call of the operator."""
        layout: Layout = self._wide_layout if weight.wide else self._layout
        rows, constants = weight.tensors
        scale, gain, bias = (scaling.scale, scaling.gain, scaling.bias) if scaling else (None, None, None)
        result: Tensor = torch.ops.laxity.table(
            x, quantiser, layout.index, rows, layout.table, constants, scale, gain, bias,
            flat(geometry, weight.kernel), layout.numbers, weight.wide, site,
        )  # fmt: skip
        return result
