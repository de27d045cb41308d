"""Emulated products of two activations: matrix products called inside a forward method."""

from __future__ import annotations

import torch
from torch import Tensor

from laxity.core.op import Site
from laxity.emulate.layer import Slots
from laxity.emulate.straight import StraightProduct
from laxity.techniques.data.operands import InputCoder, straight_through


class EmulatedProduct(Slots):
    """``left @ right`` with both operands coded."""

    channel_axis = 0

    def __init__(self, site: Site) -> None:
        super().__init__(site)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply float32 (..., M, K) by (..., K, N)."""
        if self.observers is not None:
            self.observers[0].update(left)
            self.observers[1].update(right)
        if self.operand is None or self.observers is not None:
            return torch.matmul(left, right)
        a_code, b_code = self.operand.input, self.operand.weight
        assert isinstance(b_code, InputCoder)
        a, b = a_code.codes(left), b_code.codes(right)
        if self.taken is not None:
            self.taken.extend((a, b))
        with torch.no_grad():
            sums = self._integer(a, b, float(a_code.zero)).to(torch.float32) * (a_code.scale * b_code.scale)
        if not (torch.is_grad_enabled() and (left.requires_grad or right.requires_grad)):
            return sums
        smooth_left, smooth_right = a_code.represent(left, a), b_code.represent(right, b)
        if left.dim() == 1 or right.dim() == 1:
            return straight_through(sums, torch.matmul(smooth_left, smooth_right))
        result: Tensor = StraightProduct.apply(sums, smooth_left, smooth_right)
        return result

    def _integer(self, a: Tensor, b: Tensor, zero: float) -> Tensor:
        vector_left, vector_right = a.dim() == 1, b.dim() == 1
        a2 = a[None] if vector_left else a
        b2 = b[:, None] if vector_right else b
        kernel, unshift = self.products()
        sums = kernel.matmul(a2, b2) * unshift
        if zero:
            sums = sums - zero * b2.sum(-2, keepdim=True, dtype=torch.float64)
        if vector_left:
            sums = sums.squeeze(-2)
        return sums.squeeze(-1) if vector_right else sums
