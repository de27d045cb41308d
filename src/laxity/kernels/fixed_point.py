"""Products added in a fixed-point accumulator of 64 bits, every product truncated toward zero at its last bit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from laxity.kernels.floating import stacked_convolution
from laxity.kernels.geometry import Geometry
from laxity.kernels.mantissa import MOST_TERMS, PairProduct
from laxity.kernels.pairwise import PairwiseProducts
from laxity.kernels.products import EXACT_FLOAT64, WeightOperand

_MOST_MAGNITUDES = 64
_TOP = 2.0**62
_HALF_BITS = 31


class FixedPointProducts(PairwiseProducts):
    """Sums that do not depend on any order: whole numbers of 64 bits in units of ``2**-fraction_bits``.

    A product is cut to whole units toward zero, as a barrel shifter on its magnitude does; beyond 2**62 units it stays
    there, and NaN counts as 0. The sum wraps at 64 bits.

    Args:
        product: of two values.
        fraction_bits: of the accumulator.
        quantum: exact products are multiples of two to this power.

    Source: Y. Nevarez et al., Accelerating spike-by-spike neural networks on FPGA with hybrid custom floating-point and
    logarithmic dot-product approximation, IEEE Access, 2021 (64 bits, 23 of them fraction, truncation).
    """

    def __init__(self, product: PairProduct, fraction_bits: int, quantum: int) -> None:
        super().__init__((0, 0), (0, 0))
        self._product, self._unit = product, 2.0**-fraction_bits
        self._whole = product.exact and quantum + fraction_bits >= 0

    def describe(self) -> str:
        """Name the kernel."""
        return f"fixed-point accumulator of 64 bits in units of {self._unit:g}"

    def sums(self, rows: Tensor, weight: Tensor) -> Tensor:
        """See `PairwiseProducts.sums`."""
        return self._values(self._units(self._product(rows[:, None], weight[None])).to(torch.int64).sum(-1))

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Remember the weight and the largest sum of magnitudes of an output."""
        magnitude = float(weight_codes.abs().flatten(1).sum(1, dtype=torch.float64).max()) if len(weight_codes) else 0.0
        return WeightOperand(weight_codes, tuple(weight_codes.shape), magnitude)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """One convolution where nothing is cut; one per magnitude of the weight where there are few; else by pairs."""
        values = weight.data
        if self._fits(float(codes.abs().max()) if codes.numel() else 0.0, weight.magnitude):
            return geometry.convolve(codes.to(torch.float64), values.to(torch.float64))
        magnitudes = values[(values != 0) & ~values.isnan()].abs().unique()
        if len(magnitudes) > _MOST_MAGNITUDES:
            flat = WeightOperand(values.flatten(1), weight.shape, weight.magnitude)
            return super().convolve(codes, flat, geometry)
        return self._by_magnitude(codes, values, magnitudes, geometry)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """One product where nothing is cut, else by pairs."""
        largest = float(right.abs().max()) * left.shape[-1] if right.numel() else 0.0
        if self._fits(float(left.abs().max()) if left.numel() else 0.0, largest):
            return torch.matmul(left.to(torch.float64), right.to(torch.float64))
        return super().matmul(left, right)

    def _fits(self, largest: float, weights: float) -> bool:
        """Whether all products are whole units and all sums exact in float64."""
        return self._whole and largest * weights < EXACT_FLOAT64 * self._unit

    def _units(self, products: Tensor) -> Tensor:
        """Whole units of products, float64."""
        return torch.nan_to_num(products / self._unit, nan=0.0).clamp(-_TOP, _TOP).trunc()

    def _values(self, units: Tensor) -> Tensor:
        return units.to(torch.float64) * self._unit

    def _by_magnitude(self, codes: Tensor, values: Tensor, magnitudes: Tensor, geometry: Geometry) -> Tensor:
        """Cut the products of all activations with one magnitude, then add them with the signs of its weights."""
        reduction = math.prod(values.shape[1:])
        total: Tensor | None = None
        for chunk in magnitudes.split(MOST_TERMS):
            units = [self._units(self._product(codes, m)) for m in chunk]
            signs = [torch.where(values.abs() == m, values.sign(), 0.0).to(torch.float64) for m in chunk]
            part = self._whole_sum(units, signs, reduction, geometry)
            total = part if total is None else total + part
        if total is None:
            return geometry.convolve(codes.to(torch.float64) * 0.0, values.to(torch.float64) * 0.0)
        return self._values(total)

    def _whole_sum(self, units: list[Tensor], signs: list[Tensor], reduction: int, geometry: Geometry) -> Tensor:
        """Exact sums as int64; where float64 does not hold them, of upper and lower halves."""
        peak = max((float(u.abs().max()) for u in units if u.numel()), default=0.0)
        if peak * reduction < EXACT_FLOAT64:
            return stacked_convolution(units, signs, geometry).to(torch.int64)
        high = [torch.floor(u * 2.0**-_HALF_BITS) for u in units]
        low = [u - h * 2.0**_HALF_BITS for u, h in zip(units, high, strict=True)]
        upper, lower = (stacked_convolution(part, signs, geometry).to(torch.int64) for part in (high, low))
        return upper * 2**_HALF_BITS + lower
