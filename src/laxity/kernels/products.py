"""The interface that every product kernel implements. All results are exact integers held in floating point."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.call import Layer
from laxity.kernels.geometry import Geometry

NARROW = 2**31
"""Sums up to here fit the narrow accumulators of the compiled kernels."""

EXACT_FLOAT32 = 2.0**24
EXACT_FLOAT64 = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class WeightOperand:
    """Weight codes in the form a kernel wants, computed once per weight.

    Attributes:
        data: kernel specific.
        shape: of the weight codes, (outputs, inputs per group, *kernel).
        magnitude: bound on any partial sum of one output.
    """

    data: Any
    shape: tuple[int, ...]
    magnitude: float


class Accumulator(Protocol):
    """Content of the ACCUMULATOR slot: how the products of one output are added. Hashable, equal by value."""

    def __hash__(self) -> int:
        """By value."""

    def products(self, table: IntArray, left: CodeRange, right: CodeRange) -> Products:
        """The kernel that adds products ``table[a - left[0], w - right[0]]`` in this way."""


@dataclass(frozen=True, slots=True, eq=False)
class FusedOperand:
    """Weight codes in the form that a fused kernel wants.

    Attributes:
        tensors: kernel specific.
        kernel: taps per spatial dimension.
        wide: sums may exceed 31 bits.
        slope: times the weight's code, what was asked to be added to every product.
        other: the same weights in other forms, made when they are first wanted.
    """

    tensors: tuple[Tensor, ...]
    kernel: tuple[int, ...]
    wide: bool
    slope: int = 0
    other: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)


class Products(ABC):
    """Sums of products of integer codes under one multiplier and one pair of code ranges.

    Codes travel as float32 tensors of whole numbers. A native implementation replaces `convolve` and `matmul`.
    """

    def __init__(self, left: CodeRange, right: CodeRange) -> None:
        self.left, self.right = left, right

    @abstractmethod
    def describe(self) -> str:
        """Name the kernel and why it applies, in a few words."""

    @abstractmethod
    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Bring weight codes (outputs, inputs per group, *kernel) into the form that `convolve` wants."""

    @abstractmethod
    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Accumulate products over windows of padded `codes` (batch, channels, *spatial)."""

    @abstractmethod
    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Accumulate products of codes (..., M, K) and (..., K, N)."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """What becomes of a sum: ``((float32(sum) * scale) * gain) + bias``.

    Attributes:
        scale, gain: float32 (outputs,).
        bias: float32 (outputs,) or None.
    """

    scale: Tensor
    gain: Tensor
    bias: Tensor | None


class FusedProducts(Products):
    """Products that also quantise their inputs and scale their sums, in one pass over memory.

    They work on the CPU; `convolve` and `matmul` leave tensors of other devices to `elsewhere`.

    Args:
        left: range of activation codes.
        right: range of weight codes.
        elsewhere: the same products by torch operations.
    """

    def __init__(self, left: CodeRange, right: CodeRange, elsewhere: Products) -> None:
        super().__init__(left, right)
        self.elsewhere = elsewhere
        self._codes = torch.tensor([1.0, 0.0, float(left[0]), float(left[1])])

    @abstractmethod
    def ready(self, rows: Tensor, groups: int, slope: int = 0) -> FusedOperand:
        """Bring weight codes (outputs, inputs per group, *kernel) on the CPU into the form that `bind` wants.

        Args:
            rows: codes less the least code, uint8.
            groups: of the convolution.
            slope: times the weight's code, is added to every product; what a zero-point of the input takes off.
        """

    def rows(self, weight_codes: Tensor) -> Tensor:
        """Weight codes, whole numbers in floating point, as `ready` wants them."""
        return (weight_codes.detach() - self.right[0]).to(torch.uint8)

    def sloped(self, values: Tensor, slope: int) -> tuple[Tensor, int]:
        """What is added per weight code, int64 (weight codes,), with the slope, and the slope's greatest magnitude."""
        if not slope:
            return values, 0
        codes = torch.arange(self.right[0], self.right[1] + 1)
        return values + slope * codes, abs(slope) * max(map(abs, self.right))

    @abstractmethod
    def bind(
        self,
        quantiser: Tensor,
        weight: FusedOperand,
        geometry: Geometry,
        scaling: Scaling | None,
        site: str,
        zeros: tuple[int, float] = (0, 0.0),
    ) -> Layer:
        """Make a layer that quantises its input, accumulates products and scales them.

        The layer takes float32 on the CPU, (B, C, *spatial), or (M, K) for a linear one, and gives float32, or int64
        without scaling: (B, outputs, *out) or (M, outputs). It raises `DataError` where its input holds NaN or
        infinite values.

        Args:
            quantiser: float32 (4,): scale, zero-point, least and greatest code.
            weight: from `ready`.
            geometry: with its padding; the code of zero is what is padded.
            scaling: None for the sums themselves.
            site: named in errors.
            zeros: a frequent code, and the fraction of the input that has it; they decide about speed only.
        """

    @abstractmethod
    def matrices(
        self, left: Tensor, quantiser: Tensor, right: Tensor, right_quantiser: Tensor, scale: Tensor, site: str
    ) -> Tensor | None:
        """Quantise both factors, multiply, add and scale.

        Args:
            left: float32 (B, M, K) on the CPU.
            quantiser: of the left factor, as in `bind`.
            right: float32 (B, K, N).
            right_quantiser: of the right factor.
            scale: float32 (), of every sum.
            site: named in errors.

        Returns:
            float32 (B, M, N), or None where sums may exceed 31 bits.

        Raises:
            DataError: a factor holds NaN or infinite values.
        """

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Weights for `convolve`, which lays them out once for its groups."""
        if weight_codes.device.type != "cpu":
            return self.elsewhere.prepare(weight_codes)
        made: dict[int, FusedOperand] = {}
        return WeightOperand((weight_codes, made), tuple(weight_codes.shape), 0.0)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Sums of products of codes, exact in float64."""
        if codes.device.type != "cpu":
            return self.elsewhere.convolve(codes, weight, geometry)
        weight_codes, made = weight.data
        if geometry.groups not in made:
            made[geometry.groups] = self.ready(self.rows(weight_codes), geometry.groups)
        return self.bind(self._codes, made[geometry.groups], geometry, None, "")(codes).to(torch.float64)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Sums of products of codes, exact in float64; every matrix of a batch is a group of one call."""
        if left.device.type != "cpu":
            return self.elsewhere.matmul(left, right)
        return self.product(left, self._codes, right, None, "").to(torch.float64)

    def product(self, left: Tensor, quantiser: Tensor, right: Tensor, scaling: Scaling | None, site: str) -> Tensor:
        """Quantise `left` (..., M, K), multiply with codes `right` (..., K, N) and scale; see `bind`."""
        if right.dim() == 2:
            operand = self.ready(self.rows(right.T[:, :, None]), 1)
            rows = left.reshape(-1, left.shape[-1])
            sums = self.bind(quantiser, operand, Geometry((1,), (1,), 1), scaling, site)(rows)
            return sums.reshape(*left.shape[:-1], right.shape[-1])
        shape = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        (m, k), n = left.shape[-2:], right.shape[-1]
        groups = math.prod(shape)
        if not groups:
            return left.new_zeros((*shape, m, n))
        a = left.expand(*shape, m, k).reshape(groups, m, k).permute(0, 2, 1).reshape(1, groups * k, m)
        w = right.expand(*shape, k, n).transpose(-1, -2).reshape(groups * n, k, 1)
        operand = self.ready(self.rows(w), groups)
        sums = self.bind(quantiser, operand, Geometry((1,), (1,), groups), scaling, site)(a)
        return sums.reshape(*shape, n, m).transpose(-1, -2)


def working_dtype(bound: float) -> torch.dtype:
    """The narrowest floating type in which every partial sum up to `bound` is an exact integer.

    Raises:
        PlanError: there is none.
    """
    check_bound(bound)
    return torch.float32 if bound <= EXACT_FLOAT32 else torch.float64


def check_bound(bound: float) -> None:
    """Raise where sums may exceed what float64 holds exactly.

    Raises:
        PlanError: names the bound.
    """
    if bound > EXACT_FLOAT64:
        raise PlanError(
            f"sums of products may reach {bound:.3g}, and are exact to 2**53 = 9.01e15; use smaller products or a "
            "shorter reduction, or laxity.emulate.matmul for sums of 64 bits"
        )
