"""Emulated products of two activations: matrix products called inside a forward method."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from laxity.core.op import Site
from laxity.emulate.accept import check_factors
from laxity.emulate.slots import Slots
from laxity.emulate.straight import MATRIX_PRODUCT, StraightProduct, unfelt
from laxity.kernels import FusedProducts, opaque
from laxity.kernels.call import is_plain
from laxity.techniques.data.operands import InputCoder


class EmulatedProduct(Slots):
    """``left @ right`` with both operands coded."""

    channel_axis = 0

    def __init__(self, site: Site) -> None:
        super().__init__(site)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply float32 (..., M, K) by (..., K, N).

        Raises:
            DataError: dtypes, shapes or devices do not fit, or a factor holds NaN or infinite values.
        """
        if self.observers is not None:
            self.observers[0].update(left)
            self.observers[1].update(right)
        if self.operand is None or self.observers is not None:
            return torch.matmul(left, right)
        check_factors(left, right, self.site.name)
        a_code, b_code = self.operand.input, self.operand.weight
        assert isinstance(b_code, InputCoder)
        with unfelt():
            fused = self._fused(left, right, a_code, b_code)
            values = (self._separate(left, right, a_code, b_code) if fused is None else fused).detach()
        if not (torch.is_grad_enabled() and (left.requires_grad or right.requires_grad)):
            return values
        smooth_left = a_code.represent(left, a_code.codes(left))
        smooth_right = b_code.represent(right, b_code.codes(right))
        # Vectors become matrices of one row or column, as matmul says; their dimension is missing in the values.
        rows = smooth_left[None] if left.dim() == 1 else smooth_left
        columns = smooth_right[:, None] if right.dim() == 1 else smooth_right
        shape = *values.shape[: values.dim() - (left.dim() > 1) - (right.dim() > 1)], rows.shape[-2], columns.shape[-1]
        result: Tensor
        if self.gradient is not None and self.multiplier is not None:
            result = self.gradient(self, values.reshape(shape), rows, columns, MATRIX_PRODUCT)
        else:
            result = StraightProduct.apply(values.reshape(shape), rows, columns)
        return result.reshape(values.shape)

    def _fused(self, left: Tensor, right: Tensor, a_code: InputCoder, b_code: InputCoder) -> Tensor | None:
        """Quantise, multiply, add and scale in one pass, or None where it has to be done step by step."""
        kernel, unshift = self.products()
        quantisers = a_code.quantiser(), b_code.quantiser()
        plain = is_plain(left) and is_plain(right) and left.device.type == right.device.type == "cpu"
        if not (plain and isinstance(kernel, FusedProducts) and left.dim() > 1 and right.dim() > 1):
            return None
        if quantisers[0] is None or quantisers[1] is None or self.taken is not None or float(a_code.zero):
            return None
        shape = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        count = math.prod(shape)
        a = left.expand(*shape, *left.shape[-2:]).reshape(count, *left.shape[-2:])
        b = right.expand(*shape, *right.shape[-2:]).reshape(count, *right.shape[-2:])
        scale = a_code.scale * b_code.scale * unshift
        found = kernel.matrices(a, quantisers[0], b, quantisers[1], scale, self.site.name)
        return None if found is None else found.reshape(*shape, *found.shape[-2:])

    def _separate(self, left: Tensor, right: Tensor, a_code: InputCoder, b_code: InputCoder) -> Tensor:
        """Codes, sums and scaling one after the other, for every format, kernel and device."""
        name = self.site.name
        a, b = a_code.codes(opaque.finite(left, name)), b_code.codes(opaque.finite(right, name))
        if self.taken is not None:
            self.taken.extend((a, b))
        sums = self._integer(a, b, float(a_code.zeros[0]))
        return sums.to(torch.float32) * (a_code.scale * b_code.scale)

    def _integer(self, a: Tensor, b: Tensor, zero: float) -> Tensor:
        vector_left, vector_right = a.dim() == 1, b.dim() == 1
        a2 = a[None] if vector_left else a
        b2 = b[:, None] if vector_right else b
        kernel, unshift = self.products()
        compiling = torch.compiler.is_compiling()
        sums = (opaque.multiply(a2, b2, self.kernel_number) if compiling else kernel.matmul(a2, b2)) * unshift
        if zero:
            sums = sums - zero * b2.sum(-2, keepdim=True, dtype=torch.float64)
        if vector_left:
            sums = sums.squeeze(-2)
        return sums.squeeze(-1) if vector_right else sums
