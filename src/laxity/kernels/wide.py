"""Products of whole-number codes beyond the width of tables: by closed form, or composed of narrower products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from laxity.circuits import Multiplier
from laxity.circuits.wide import ComposedMultiplier, Core, WideMultiplier
from laxity.core.errors import PlanError
from laxity.kernels import products_for
from laxity.kernels.analysis import CodeRange, Factorisation, IntArray
from laxity.kernels.factored import FactoredProducts
from laxity.kernels.geometry import Geometry
from laxity.kernels.pairwise import PairwiseProducts
from laxity.kernels.products import Accumulator, Products, WeightOperand


@lru_cache(maxsize=128)
def integer_products(
    core: Core, left: CodeRange, right: CodeRange, shifts: tuple[int, int], accumulator: Accumulator | None
) -> tuple[Products, float]:
    """Choose the kernel for any multiplier, as `products_for` does for those with a table.

    Args:
        core: the multiplier.
        left: range of activation codes.
        right: range of weight codes.
        shifts: how far codes are shifted up before they enter the multiplier.
        accumulator: how products are added where not exactly; only multipliers with a table can be combined with one.

    Raises:
        PlanError: the codes do not fit the multiplier, or an accumulator is given for one without a table.
    """
    if isinstance(core, Multiplier):
        return products_for(core, left, right, shifts, accumulator)
    if accumulator is not None:
        raise PlanError(
            f"multiplier {core.name!r} works without a table here, and an approximate accumulator needs one; "
            "choose operands of at most 8 bits, or leave sums exact"
        )
    unshift = 2.0 ** -sum(shifts)
    if isinstance(core, ComposedMultiplier):
        return ComposedProducts(left, right, core, shifts), unshift
    factors = closed_factors(core, left, right, shifts)
    if factors is None:
        return FormulaProducts(left, right, core, shifts), unshift
    return FactoredProducts(left, right, factors), unshift


def closed_factors(
    core: WideMultiplier, left: CodeRange, right: CodeRange, shifts: tuple[int, int]
) -> Factorisation | None:
    """The factors of a closed form that is a sum of products of features, signs included; None where it is no such sum.

    Raises:
        PlanError: a code does not fit the multiplier.
    """
    if core.formula.combine is not None:
        return None
    return Factorisation(
        _signed_features(core, left, shifts[0], right=False), _signed_features(core, right, shifts[1], right=True)
    )


def _signed_features(core: WideMultiplier, codes: CodeRange, shift: int, *, right: bool) -> IntArray:
    """Features with the sign of the code; that of zero is plus, as in hardware."""
    return np.where(_values(codes) < 0, -1, 1) * _features(core, codes, shift, right=right)


def _values(codes: CodeRange) -> IntArray:
    return np.arange(codes[0], codes[1] + 1, dtype=np.int64)


def _features(core: WideMultiplier, codes: CodeRange, shift: int, *, right: bool) -> IntArray:
    magnitudes = np.abs(_values(codes)) << shift
    if int(magnitudes.max()) >> core.width:
        raise PlanError(
            f"codes {codes[0]}..{codes[1]} shifted by {shift} do not fit the {core.width}-bit operand of "
            f"{core.name!r}; choose fewer bits or a wider multiplier"
        )
    return core.features(magnitudes, right=right)


class FormulaProducts(PairwiseProducts):
    """Products by a closed form on features of both codes, the sign applied outside."""

    def __init__(self, left: CodeRange, right: CodeRange, core: WideMultiplier, shifts: tuple[int, int]) -> None:
        super().__init__(left, right)
        if core.formula.combine is None:
            raise PlanError(f"{core.name!r} is a sum of products of features; compute it by its factors")
        self._combine = core.formula.combine
        self._left = torch.from_numpy(_features(core, left, shifts[0], right=False)).to(torch.float64)
        self._right = torch.from_numpy(_features(core, right, shifts[1], right=True)).to(torch.float64)

    def describe(self) -> str:
        """Name the kernel."""
        return "closed form, pair by pair"

    def sums(self, rows: Tensor, weight: Tensor) -> Tensor:
        """See `PairwiseProducts.sums`."""
        a = self._left.to(rows.device)[:, (rows - self.left[0]).to(torch.int64)][:, :, None]
        w = self._right.to(rows.device)[:, (weight - self.right[0]).to(torch.int64)][:, None]
        products: Tensor = self._combine(list(a), list(w))
        if self.left[0] < 0:
            products = torch.where(rows[:, None] < 0, -products, products)
        if self.right[0] < 0:
            products = torch.where(weight[None] < 0, -products, products)
        return products.sum(-1)


@dataclass(frozen=True, slots=True, eq=False)
class ComposedOperand(WeightOperand):
    """Weight codes split into parts, each prepared for the kernels of its products.

    Attributes:
        parts: of every weight, from low to high.
    """

    parts: tuple[WeightOperand, ...]


class ComposedProducts(Products):
    """Products of parts by the kernel of the narrow multiplier, shifted and added exactly.

    Every part carries the sign of its code; products of parts are those of magnitudes, with the sign outside.
    """

    def __init__(self, left: CodeRange, right: CodeRange, core: ComposedMultiplier, shifts: tuple[int, int]) -> None:
        super().__init__(left, right)
        self._shifts, self._widths = shifts, (core.part.a_bits, core.part.b_bits)
        tops = [max(abs(low), high) << shift for (low, high), shift in zip((left, right), shifts, strict=True)]
        self._pieces = core.pieces(*(top.bit_length() for top in tops))
        ranges = [
            (-(2**width - 1) if low < 0 else 0, 2**width - 1)
            for (low, _), width in zip((left, right), self._widths, strict=True)
        ]
        self._kernel, self._unshift = products_for(core.part, ranges[0], ranges[1])

    def describe(self) -> str:
        """Name the kernel."""
        return f"{self._pieces[0]} x {self._pieces[1]} parts, each by {self._kernel.describe()}"

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Split the weight and prepare its parts."""
        parts = tuple(self._kernel.prepare(part) for part in self._split(weight_codes, right=True))
        return ComposedOperand(weight_codes, tuple(weight_codes.shape), 0.0, parts)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """One convolution per pair of parts."""
        if not isinstance(weight, ComposedOperand):
            raise PlanError("the weight of composed products must come from their own prepare()")
        left = self._split(codes, right=False)
        return self._joined([[self._kernel.convolve(a, w, geometry) for a in left] for w in weight.parts])

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """One product per pair of parts."""
        parts = self._split(left, right=False)
        return self._joined([[self._kernel.matmul(a, w) for a in parts] for w in self._split(right, right=True)])

    def _split(self, codes: Tensor, *, right: bool) -> list[Tensor]:
        """Parts of the shifted magnitudes from low to high, with the signs of the codes, float32."""
        width, pieces = self._widths[right], self._pieces[right]
        magnitude = codes.abs().to(torch.int32) << self._shifts[right]
        sign = codes.sign()
        return [((magnitude >> (i * width)) & (2**width - 1)) * sign for i in range(pieces)]

    def _joined(self, sums: list[list[Tensor]]) -> Tensor:
        """Shift and add the sums of [weight part][activation part]."""
        total = torch.zeros_like(sums[0][0], dtype=torch.float64)
        for j, row in enumerate(sums):
            for i, part in enumerate(row):
                total += part.to(torch.float64) * 2.0 ** (i * self._widths[0] + j * self._widths[1])
        return total * self._unshift
