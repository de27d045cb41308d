"""Products of an arbitrary table by look-up in vector registers."""

from __future__ import annotations

import torch
from torch import Tensor

from laxity.kernels import native
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.geometry import Geometry
from laxity.kernels.layout import Entries, Layout, layout_of
from laxity.kernels.operators import flat
from laxity.kernels.products import FusedOperand, FusedProducts, Products, Scaling

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
        super().__init__(left, right, elsewhere)
        self._peak = int(abs(table).max())
        layout = layout_of(table, left)
        plain = layout_of(table, left, by_sign=False) if layout and layout.entries is Entries.SIGN_MAGNITUDE else layout
        assert layout is not None and plain is not None  # noqa: PT018 (the caller has checked the size)
        self._layout, self._wide_layout = layout, plain

    def describe(self) -> str:
        """Name the kernel."""
        layout = self._layout
        how = "sign and 128" if layout.entries is Entries.SIGN_MAGNITUDE else str(layout.entries.count)
        return f"{native.level()} look-up, {how} entries, {layout.planes} x {layout.bits} bits"

    def ready(self, weight_codes: Tensor, offset: Tensor | None, groups: int) -> FusedOperand:
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
