"""Exact sums in registers of finite width."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels.analysis import IntArray
from laxity.kernels.geometry import Geometry
from laxity.kernels.products import Products, WeightOperand, working_dtype


class WrappedProducts(Products):
    """Sums modulo 2**bits in two's complement.

    Wrapping once at the end gives what wrapping after every product gives, because both are the same residue.

    Args:
        inner: kernel of the exact sums.
        bits: width of the register.
    """

    def __init__(self, inner: Products, bits: int) -> None:
        super().__init__(inner.left, inner.right)
        self.inner, self.bits = inner, bits

    def describe(self) -> str:
        """Name the kernel."""
        return f"{self.inner.describe()}, wrapped to {self.bits} bits"

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """As the inner kernel."""
        return self.inner.prepare(weight_codes)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Wrapped sums."""
        return self._wrap(self.inner.convolve(codes, weight, geometry))

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Wrapped sums."""
        return self._wrap(self.inner.matmul(left, right))

    def _wrap(self, sums: Tensor) -> Tensor:
        half = 1 << (self.bits - 1)
        whole = ((sums.to(torch.int64) + half) & (2 * half - 1)) - half
        return whole.to(working_dtype(float(half)))


@dataclass(frozen=True, slots=True, eq=False)
class _Routed(WeightOperand):
    """A weight operand of one of two kernels."""

    kernel: Products
    operand: WeightOperand


class FittingProducts(Products):
    """Exact sums where no partial sum can leave the register, and another kernel elsewhere.

    Args:
        inner: kernel of the exact sums.
        otherwise: kernel of what the register does to sums that may not fit.
        bits: width of the register, two's complement.
        table: products, int64 (left codes, right codes).
    """

    def __init__(self, inner: Products, otherwise: Products, bits: int, table: IntArray) -> None:
        super().__init__(inner.left, inner.right)
        self.inner, self.otherwise, self._limit = inner, otherwise, 1 << (bits - 1)
        self._peaks = torch.from_numpy(abs(table).max(axis=0))

    def describe(self) -> str:
        """Name both kernels."""
        return f"{self.inner.describe()} where sums fit, else {self.otherwise.describe()}"

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Choose by the largest sum of magnitudes that these weights allow."""
        index = (weight_codes - self.right[0]).to(torch.int64).flatten(1)
        sums = self._peaks.to(index.device)[index].sum(1)
        largest = int(sums.max()) if sums.numel() else 0
        kernel = self.inner if largest < self._limit else self.otherwise
        operand = kernel.prepare(weight_codes)
        return _Routed(operand.data, operand.shape, operand.magnitude, kernel, operand)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Sums by the kernel that `prepare` chose.

        Raises:
            PlanError: the weight was prepared by another kernel.
        """
        if not isinstance(weight, _Routed):
            raise PlanError("the weight of a register of finite width must come from its own prepare()")
        return weight.kernel.convolve(codes, weight.operand, geometry)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Sums by the exact kernel where the largest product times the reduction fits."""
        fits = int(self._peaks.max()) * left.shape[-1] < self._limit
        return (self.inner if fits else self.otherwise).matmul(left, right)
