"""Sums of products with a correction made of the low bits of the activations: a control variate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.call import Layer, flat, observed, output_size
from laxity.kernels.filters import columns_as_filters
from laxity.kernels.geometry import Geometry
from laxity.kernels.products import FusedOperand, FusedProducts, Products, Scaling, WeightOperand, check_bound
from laxity.kernels.weights import row_sums

GUARD = 20
"""Fraction bits of the slope of each weight's error, before the mean over a kernel is taken."""

MOST_FRACTION = 16
"""Fraction bits of a constant at most."""

AUTOMATIC = -1

_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What is added to the sum of an output: ``V_k = floor(C_k sum_d low(x_d) + 1/2) + C0_k``.

    ``C_k`` is the mean over the kernel's weights of ``slopes``, with fraction bits; ``C0_k`` the sum of ``offsets``,
    rounded to a whole number. Both are in the unit of the sums.

    Attributes:
        low: int64 (activation codes,), what is summed of each activation.
        slopes, offsets: int64 (weight codes,), in units of ``2**-GUARD``.
        peak: greatest magnitude of what a weight adds to a correction, in units of ``2**-MOST_FRACTION``.
        fraction_bits: of every C_k; `AUTOMATIC` for as many as let the magnitudes of all C_k fit `width` bits, from
            ``-GUARD`` to `MOST_FRACTION`.
        width: see `fraction_bits`.
    """

    low: IntArray
    slopes: Tensor
    offsets: Tensor
    peak: float
    fraction_bits: int
    width: int

    @staticmethod
    def fit(
        errors: NDArray[np.float64], low: IntArray, shares: NDArray[np.float64], fraction_bits: int, width: int
    ) -> Correction:
        """Least squares over the activation codes.

        For each weight, the error over the activation is a line in ``low`` plus a rest; what is corrected is the line.

        Args:
            errors: float64 (activation codes, weight codes), errors of products in the unit of the sums.
            low: int64 (activation codes,).
            shares: float64 (activation codes,), how much each counts; they add up to 1.
            fraction_bits: see `Correction`.
            width: likewise.
        """
        middle = shares @ low
        centred = shares * (low - middle)
        spread = float(centred @ low)
        slopes = centred @ errors / spread if spread else np.zeros(errors.shape[1])
        offsets = shares @ errors - slopes * middle
        peak = float(abs(low).max() * (abs(slopes).max() + 1) + abs(offsets).max()) * 2.0**MOST_FRACTION
        fixed = [torch.from_numpy(np.rint(-part * 2.0**GUARD).astype(np.int64)) for part in (slopes, offsets)]
        return Correction(low, fixed[0], fixed[1], peak, fraction_bits, width)

    def constants(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """C_k and C0_k of kernels, float64 (outputs,), exact.

        Args:
            rows: weight codes less the least one, whole numbers (outputs, inputs per group, *kernel).
        """
        flat = rows.flatten(1)
        length, unit = max(1, flat.shape[1]), 2.0**GUARD
        slopes, offsets = (_summed(flat, values).to(torch.float64) for values in (self.slopes, self.offsets))
        factor = self._factor(slopes, length)
        constant = torch.floor(slopes * factor / (length * unit) + 0.5) / factor
        return constant, torch.floor(offsets / unit + 0.5)

    def _factor(self, slopes: Tensor, length: int) -> Tensor:
        """Two to the power of the fraction bits, float64 ()."""
        if self.fraction_bits != AUTOMATIC:
            return torch.full((), 2.0**self.fraction_bits, dtype=torch.float64, device=slopes.device)
        limit = ((1 << self.width) - 0.5) * length * 2.0**GUARD
        tried = 2.0 ** torch.arange(-GUARD, MOST_FRACTION + 1, dtype=torch.float64, device=slopes.device)
        fits = slopes.abs().amax() * tried < limit
        return torch.where(fits, tried, tried[0]).amax()


def add_correction(sums: Tensor, low: Tensor, constant: Tensor, offset: Tensor) -> Tensor:
    """Corrected sums, float64, whole numbers.

    Args:
        sums: (batch, outputs, ...).
        low: sums of low bits, (batch, groups, ...).
        constant: C_k, float64 (outputs,).
        offset: C0_k, likewise.
    """
    groups, spatial = low.shape[1], [1] * (sums.dim() - 2)
    spread = low.to(torch.float64)[:, :, None] * constant.reshape(groups, -1, *spatial)
    whole = spread.add_(0.5).floor_().add_(offset.reshape(groups, -1, *spatial))
    return whole.flatten(1, 2) + sums


class CorrectedProducts(Products):
    """Any kernel, corrected, on any device.

    Args:
        inner: sums products.
        low: sums ``Correction.low`` of activations, whatever the weight's code.
        correction: the correction.
    """

    def __init__(self, inner: Products, low: Products, correction: Correction) -> None:
        super().__init__(inner.left, inner.right)
        self.inner, self.low, self.correction = inner, low, correction

    def describe(self) -> str:
        """Name the kernel."""
        return f"{self.inner.describe()}, corrected by a control variate"

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Weights of both kernels, and the constants."""
        _check(self.correction, weight_codes)
        constants = self.correction.constants((weight_codes - self.right[0]).to(torch.int64))
        made: dict[int, WeightOperand] = {}
        data = self.inner.prepare(weight_codes), weight_codes, constants, made
        return WeightOperand(data, tuple(weight_codes.shape), 0.0)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Corrected sums, exact in float64."""
        operand, weight_codes, constants, made = weight.data
        if geometry.groups not in made:
            made[geometry.groups] = self.low.prepare(_one_per_group(weight_codes, geometry.groups))
        low = self.low.convolve(codes, made[geometry.groups], geometry)
        return add_correction(self.inner.convolve(codes, operand, geometry), low, *constants)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Corrected sums, exact in float64; every column of `right` is a kernel."""
        return columns_as_filters(self, left, right)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared(FusedOperand):
    """Weights of both kernels."""

    inner: FusedOperand | None = None
    low: FusedOperand | None = None


class FusedCorrectedProducts(FusedProducts):
    """Two fused kernels, one after the other, and the correction.

    Args:
        inner: sums products.
        low: as in `CorrectedProducts`.
        correction: the correction.
    """

    def __init__(self, inner: FusedProducts, low: FusedProducts, correction: Correction) -> None:
        elsewhere = CorrectedProducts(inner.elsewhere, low.elsewhere, correction)
        super().__init__(inner.left, inner.right, elsewhere)
        self.inner, self.low, self.correction = inner, low, correction

    def describe(self) -> str:
        """Name the kernel."""
        return self.elsewhere.describe().replace(self.inner.elsewhere.describe(), self.inner.describe())

    def ready(self, rows: Tensor, groups: int, slope: int = 0) -> FusedOperand:
        """See `FusedProducts.ready`; the constants are among the tensors."""
        _check(self.correction, rows)
        inner, low = self.inner.ready(rows, groups, slope), self.low.ready(_one_per_group(rows, groups), groups)
        constants = self.correction.constants(rows)
        return _Prepared(constants, tuple(rows.shape[2:]), inner.wide, slope, inner=inner, low=low)

    def bind(
        self,
        quantiser: Tensor,
        weight: FusedOperand,
        geometry: Geometry,
        scaling: Scaling | None,
        site: str,
        zeros: tuple[int, float] = (0, 0.0),
    ) -> Layer:
        """See `FusedProducts.bind`."""
        assert isinstance(weight, _Prepared)  # it comes from `ready`
        assert weight.inner is not None and weight.low is not None  # noqa: PT018 (set there)
        inner = self.inner.bind(quantiser, weight.inner, geometry, None, site, zeros)
        low = self.low.bind(quantiser, weight.low, geometry, None, site, zeros)
        constant, offset = weight.tensors

        def run(x: Tensor) -> Tensor:
            sums = add_correction(inner(x), low(x), constant, offset)
            return sums.to(torch.int64) if scaling is None else _scaled(sums, scaling)

        shape = flat(geometry, weight.kernel)

        def by_pieces(x: Tensor) -> Tensor:
            """Few samples at once, so that what lies between the kernels stays in the cache."""
            step = max(1, _AT_ONCE // max(1, math.prod(output_size(x, len(constant), shape)[1:])))
            return run(x) if len(x) <= step else torch.cat([run(part) for part in x.split(step)])

        return run if observed() else by_pieces

    def matrices(self, *_: Any) -> NoReturn:
        """Products of two activations have no kernels whose constants are known beforehand.

        Raises:
            PlanError: always.
        """
        raise PlanError("products of two activations have no kernels to correct; use the circuit by itself")


def corrected_products(
    inner: Products, correction: Correction, exact: Callable[[IntArray, CodeRange, CodeRange], Products]
) -> Products:
    """The kernel that corrects another one's sums.

    Args:
        inner: sums products.
        correction: the correction.
        exact: makes kernels of tables.
    """
    table = np.repeat(correction.low[:, None], inner.right[1] - inner.right[0] + 1, 1)
    low = exact(np.ascontiguousarray(table), inner.left, inner.right)
    if isinstance(inner, FusedProducts) and isinstance(low, FusedProducts):
        return FusedCorrectedProducts(inner, low, correction)
    return CorrectedProducts(inner, low, correction)


def _summed(rows: Tensor, values: Tensor) -> Tensor:
    """Sum of a value per weight over each kernel, int64 (outputs,)."""
    if rows.dtype is torch.uint8 and rows.device.type == "cpu":
        return row_sums(rows, values)
    return values.to(rows.device)[rows].sum(1)


def _one_per_group(weight: Tensor, groups: int) -> Tensor:
    """The first kernel of each group: any weight does."""
    return weight[:: max(1, len(weight) // groups)].contiguous()


def _check(correction: Correction, weight: Tensor) -> None:
    check_bound(correction.peak * math.prod(weight.shape[1:]))


def _scaled(sums: Tensor, scaling: Scaling) -> Tensor:
    """See `Scaling`."""
    column = (-1, *([1] * (sums.dim() - 2)))
    found = sums.to(torch.float32).mul_(scaling.scale.reshape(column)).mul_(scaling.gain.detach().reshape(column))
    return found if scaling.bias is None else found.add_(scaling.bias.detach().reshape(column))
