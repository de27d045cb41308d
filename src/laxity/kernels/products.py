"""The interface that every product kernel implements. All results are exact integers held in floating point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.geometry import Geometry

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

    data: Tensor
    shape: tuple[int, ...]
    magnitude: float


class Accumulator(Protocol):
    """Content of the ACCUMULATOR slot: how the products of one output are added. Hashable, equal by value."""

    def __hash__(self) -> int:
        """By value."""

    def products(self, table: IntArray, left: CodeRange, right: CodeRange) -> Products:
        """The kernel that adds products ``table[a - left[0], w - right[0]]`` in this way."""


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


def working_dtype(bound: float) -> torch.dtype:
    """The narrowest floating type in which every partial sum up to `bound` is an exact integer."""
    return torch.float32 if bound <= EXACT_FLOAT32 else torch.float64
