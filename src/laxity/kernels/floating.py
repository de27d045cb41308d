"""Exact sums of floating-point products by native operations in float64.

Both operands are split by exponent into windows so narrow that every sum of products of two windows is a whole number
below 2**53 times a power of two, and therefore exact in float64 in whatever order it is added. The sums of the pairs of
windows are added from small to large exponents, each addition rounded once. Neither batch size nor threads show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels.floats import FloatFormat, exponent_of
from laxity.kernels.geometry import Geometry
from laxity.kernels.mantissa import MOST_TERMS, MantissaTerms, PairProduct
from laxity.kernels.pairwise import PairwiseProducts
from laxity.kernels.products import Products, WeightOperand

_FLOAT64_BITS = 53
_MOST_NATIVE = 32

Native = Callable[[list[Tensor], list[Tensor]], Tensor]
"""Sum of products of lists of operands, term by term."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The values of an operand whose exponents lie in one window; all others count as zero.

    Attributes:
        whole: significands, int64.
        powers: signed powers of two beside them, float64, 0 outside the window.
    """

    whole: Tensor
    powers: Tensor

    def feature(self, function: Tensor | None) -> Tensor:
        """A function of the significand in the place of the significand; the value itself for None."""
        significand = self.whole if function is None else function.to(self.whole.device)[self.whole]
        return significand.to(torch.float64) * self.powers


@dataclass(frozen=True, slots=True, eq=False)
class FloatOperand(WeightOperand):
    """A weight split into windows.

    Attributes:
        windows: from small to large exponents.
        left_width: exponents per window of the activations.
    """

    windows: tuple[Window, ...]
    left_width: int


class _LookedUp(PairwiseProducts):
    """Products of the values of two windows, looked up one by one."""

    def __init__(self, product: PairProduct) -> None:
        super().__init__((0, 0), (0, 0))
        self._product = product

    def describe(self) -> str:
        """Name the kernel."""
        return "single products by look-up"

    def sums(self, rows: Tensor, weight: Tensor) -> Tensor:
        """See `PairwiseProducts.sums`."""
        return self._product(rows[:, None], weight[None]).sum(-1)


class FloatProducts(Products):
    """Products of two floating-point formats.

    Args:
        left: format of the activations.
        right: format of the weights.
        terms: how significands are multiplied; None for exactly.
        product: single products; with more terms than native operations are worth, products are looked up pair by pair.
    """

    def __init__(
        self, left: FloatFormat, right: FloatFormat, terms: MantissaTerms | None, product: PairProduct | None = None
    ) -> None:
        super().__init__((0, 2**left.significand_bits - 1), (0, 2**right.significand_bits - 1))
        self._formats, self._terms = (left, right), terms
        many = terms is not None and product is not None and len(terms.left) > _MOST_NATIVE
        self._looked_up = _LookedUp(product) if many and product is not None else None
        exact = (2**left.significand_bits - 1) * (2**right.significand_bits - 1)
        self._peak = exact if terms is None else terms.peak

    def describe(self) -> str:
        """Name the kernel."""
        if self._terms is None:
            return "exact floating-point products"
        if self._looked_up is not None:
            return "floating-point products, significands by look-up"
        count = len(self._terms.left)
        return f"floating-point products, significands by {count} integer term{'s' if count > 1 else ''}"

    def prepare(self, weight_codes: Tensor) -> FloatOperand:
        """Split the weight into windows."""
        windows, left_width = self._split_right(weight_codes, math.prod(weight_codes.shape[1:]))
        return FloatOperand(weight_codes, tuple(weight_codes.shape), 0.0, windows, left_width)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """One native convolution per pair of windows and few terms."""
        if not isinstance(weight, FloatOperand):
            raise PlanError("the weight of floating-point products must come from their own prepare()")

        def native(left: list[Tensor], right: list[Tensor]) -> Tensor:
            return stacked_convolution(left, right, geometry)

        def pairs(kernel: _LookedUp, left: Tensor, right: Tensor) -> Tensor:
            return kernel.convolve(left, kernel.prepare(right), geometry)

        return self._sum(codes, weight.data, weight.windows, weight.left_width, native, pairs)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """One native product per pair of windows and few terms."""
        windows, left_width = self._split_right(right, left.shape[-1])

        def native(a: list[Tensor], b: list[Tensor]) -> Tensor:
            return torch.matmul(torch.cat(a, -1), torch.cat(b, -2))

        def pairs(kernel: _LookedUp, a: Tensor, b: Tensor) -> Tensor:
            return kernel.matmul(a, b)

        return self._sum(left, right, windows, left_width, native, pairs)

    def _split_right(self, values: Tensor, reduction: int) -> tuple[tuple[Window, ...], int]:
        """Windows of the right operand and the width of those of the left one, chosen so that few pairs arise."""
        left, right = self._formats
        exponents = exponent_of(values.to(torch.float64)).clamp_min(right.min_exponent)
        present = exponents[(values != 0) & values.isfinite()]
        low, high = (int(present.min()), int(present.max())) if present.numel() else (right.min_exponent,) * 2
        # A window of n exponents makes significands up to n - 1 bits longer.
        budget = max(2, _FLOAT64_BITS - (max(1, reduction) * self._peak).bit_length() + 2)
        span, free = high - low + 1, left.max_exponent - left.min_exponent + 1
        width = min(range(1, budget), key=lambda w: (-(-span // w) * -(-free // (budget - w)), w))
        return tuple(_windows(right, values, low, width)), budget - width

    def _sum(
        self,
        left: Tensor,
        right: Tensor,
        windows: tuple[Window, ...],
        left_width: int,
        native: Native,
        pairs: Callable[[_LookedUp, Tensor, Tensor], Tensor],
    ) -> Tensor:
        form = self._formats[0]
        pieces = list(_windows(form, left, form.min_exponent, left_width))
        total: Tensor | None = None
        for w in windows:
            for a in pieces:
                if self._looked_up is None:
                    part = self._pair(a, w, native)
                else:
                    part = pairs(self._looked_up, a.feature(None), w.feature(None))
                total = part if total is None else total + part
        plain = None if total is not None and _finite(left, right) else native([left.double()], [right.double()])
        if total is None:
            total = torch.zeros_like(plain)  # type: ignore[arg-type]
        return total if plain is None else torch.where(plain.isfinite(), total, plain)

    def _pair(self, a: Window, w: Window, native: Native) -> Tensor:
        """Sum of all terms for a pair of windows; terms that no weight in the window needs are left out."""
        if self._terms is None:
            return native([a.feature(None)], [w.feature(None)])
        total: Tensor | None = None
        rights = ((f, w.feature(g)) for f, g in zip(self._terms.left, self._terms.right, strict=True))
        needed = [(f, right) for f, right in rights if bool(right.any())]
        for start in range(0, len(needed), MOST_TERMS):
            chunk = needed[start : start + MOST_TERMS]
            part = native([a.feature(f) for f, _ in chunk], [right for _, right in chunk])
            total = part if total is None else total + part
        if total is None:
            return native([a.feature(None) * 0.0], [w.feature(None)])
        return total * 2.0**-self._terms.shift


def _windows(form: FloatFormat, values: Tensor, low: int, width: int) -> Iterator[Window]:
    """The windows of `width` exponents from `low` on that hold a value, from small to large."""
    whole, powers = form.significands(values)
    if form.max_exponent - low < width:
        yield Window(whole, powers)
        return
    index = torch.div(exponent_of(powers.abs()) + form.mantissa_bits - low, width, rounding_mode="floor")
    for place in index.unique().tolist():
        if place >= 0:
            yield Window(whole, torch.where(index == place, powers, 0.0))


def _finite(left: Tensor, right: Tensor) -> bool:
    return bool(left.isfinite().all()) and bool(right.isfinite().all())


def stacked_convolution(left: list[Tensor], right: list[Tensor], geometry: Geometry) -> Tensor:
    """The sum of the convolutions of pairs of operands, as one convolution, pairs stacked along the channels."""
    if len(left) == 1:
        return geometry.convolve(left[0], right[0])
    groups = geometry.groups
    split = [x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]) for x in left]
    stacked = torch.cat(split, 2).flatten(1, 2)
    return geometry.convolve(stacked, torch.cat(right, 1))
