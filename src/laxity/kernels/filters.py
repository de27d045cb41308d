"""Layers whose filters are multiplied by different circuits: each filter is computed once, by its own kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NoReturn

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels.call import Layer
from laxity.kernels.geometry import Geometry
from laxity.kernels.products import FusedOperand, FusedProducts, Products, Scaling, WeightOperand

_POINT = Geometry((1,), (1,), 1)


@dataclass(frozen=True, slots=True)
class Part:
    """The filters of a convolution that one kernel computes.

    Groups of a convolution have equal numbers of filters; where a part has fewer in one group than in another, a
    filter of that group is repeated and its copies are thrown away.

    Attributes:
        kernel: its number.
        groups: that have such filters, ascending.
        rows: filters, group by group, as many in each.
        real: places in `rows` that are no repetitions.
    """

    kernel: int
    groups: tuple[int, ...]
    rows: tuple[int, ...]
    real: tuple[int, ...]

    def inputs(self, x: Tensor, groups: int) -> Tensor:
        """The channels of `x` (batch, channels, ...) that these groups of the convolution read."""
        if len(self.groups) == groups:
            return x
        split = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
        return split.index_select(1, torch.tensor(self.groups, device=x.device)).flatten(1, 2)

    def own(self, sums: Tensor) -> Tensor:
        """The outputs (batch, rows, ...) that are no repetitions."""
        if len(self.real) == len(self.rows):
            return sums
        return sums.index_select(1, torch.tensor(self.real, device=sums.device))


def partition(kernels: Sequence[int], groups: int) -> tuple[Part, ...]:
    """Group the filters of a convolution by kernel.

    Args:
        kernels: number of the kernel of each filter, filters group by group.
        groups: of the convolution.
    """
    size = len(kernels) // groups
    parts = []
    for number in sorted(set(kernels)):
        members = {g: [r for r in range(g * size, (g + 1) * size) if kernels[r] == number] for g in range(groups)}
        used = {g: rows for g, rows in members.items() if rows}
        most = max(map(len, used.values()))
        rows = [row for own in used.values() for row in own + own[:1] * (most - len(own))]
        real = [most * i + j for i, own in enumerate(used.values()) for j in range(len(own))]
        parts.append(Part(number, tuple(used), tuple(rows), tuple(real)))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which kernel computes which output channel.

    Attributes:
        numbers: of the kernel, per output channel.
        factors: what the sums of each kernel are multiplied by, powers of two from 1 on.
    """

    numbers: tuple[int, ...]
    factors: tuple[int, ...]

    def parts(self, rows: int, groups: int) -> tuple[Part, ...]:
        """Parts of a convolution with so many filters, several for each output channel of a transposed layer.

        Raises:
            PlanError: the filters do not divide among the output channels.
        """
        taps, rest = divmod(rows, len(self.numbers))
        if rest or not taps:
            raise PlanError(
                f"circuits are given for {len(self.numbers)} output channels, and the layer has {rows} filters; give "
                "one per output channel"
            )
        return partition([number for number in self.numbers for _ in range(taps)], groups)


class FilterProducts(Products):
    """Filters by different kernels, for every device and every kind of kernel.

    Args:
        kernels: of the same code ranges.
        filters: which of them computes what.
    """

    def __init__(self, kernels: Sequence[Products], filters: Filters) -> None:
        super().__init__(kernels[0].left, kernels[0].right)
        self.kernels, self.filters = tuple(kernels), filters

    def describe(self) -> str:
        """Name the kernels."""
        return _described(self.kernels)

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Weights for `convolve`, which divides them once for its groups."""
        made: dict[int, list[tuple[Part, WeightOperand]]] = {}
        return WeightOperand((weight_codes, made), tuple(weight_codes.shape), 0.0)

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Sums of products of codes, exact in float64."""
        weight_codes, made = weight.data
        groups = geometry.groups
        if groups not in made:
            parts = self.filters.parts(len(weight_codes), groups)
            made[groups] = [(p, self.kernels[p.kernel].prepare(_rows(weight_codes, p))) for p in parts]
        found = []
        for part, operand in made[groups]:
            inner = replace(geometry, groups=len(part.groups))
            sums = self.kernels[part.kernel].convolve(part.inputs(codes, groups), operand, inner)
            found.append(part.own(sums).to(torch.float64) * self.filters.factors[part.kernel])
        return _joined(found, [part for part, _ in made[groups]])

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Sums of products of codes, exact in float64; columns of all matrices of a batch are the output channels."""
        return columns_as_filters(self, left, right)


@dataclass(frozen=True, slots=True, eq=False)
class _Divided(FusedOperand):
    """Weights of all parts, each as its kernel wants them."""

    parts: tuple[tuple[Part, FusedOperand], ...] = ()


class FusedFilterProducts(FusedProducts):
    """Filters by different fused kernels, each in one pass over the input.

    Args:
        kernels: of the same code ranges.
        filters: which of them computes what.
    """

    def __init__(self, kernels: Sequence[FusedProducts], filters: Filters) -> None:
        elsewhere = FilterProducts([kernel.elsewhere for kernel in kernels], filters)
        super().__init__(kernels[0].left, kernels[0].right, elsewhere)
        self.kernels, self.filters = tuple(kernels), filters

    def describe(self) -> str:
        """Name the kernels."""
        return _described(self.kernels)

    def ready(self, rows: Tensor, groups: int, slope: int = 0) -> FusedOperand:
        """See `FusedProducts.ready`; `slope` is in the common unit of the sums."""
        divided = []
        for part in self.filters.parts(len(rows), groups):
            factor = self.filters.factors[part.kernel]
            operand = self.kernels[part.kernel].ready(_rows(rows, part), len(part.groups), slope // factor)
            divided.append((part, operand))
        wide = any(operand.wide for _, operand in divided)
        return _Divided((), tuple(rows.shape[2:]), wide, slope, parts=tuple(divided))

    def bind(
        self,
        quantiser: Tensor,
        weight: FusedOperand,
        geometry: Geometry,
        scaling: Scaling | None,
        site: str,
        zeros: tuple[int, float] = (0, 0.0),
    ) -> Layer:
        """See `FusedProducts.bind`: a layer that runs those of its parts and puts their outputs in order."""
        assert isinstance(weight, _Divided)  # it comes from `ready`
        layers = []
        for part, operand in weight.parts:
            factor = self.filters.factors[part.kernel]
            inner = replace(geometry, groups=len(part.groups))
            own = None if scaling is None else _scaling(scaling, part, factor)
            layer = self.kernels[part.kernel].bind(quantiser, operand, inner, own, site, zeros)
            layers.append((part, layer, factor if scaling is None else 1))
        return _assembly(layers, geometry.groups)

    def matrices(self, *_: Any) -> NoReturn:
        """Products of two activations have no filters.

        Raises:
            PlanError: always.
        """
        raise PlanError("products of two activations have no filters; use one circuit for all of them")


@lru_cache(maxsize=128)
def filter_products(
    kernels: tuple[Products, ...], unshifts: tuple[float, ...], numbers: tuple[int, ...]
) -> tuple[Products, float]:
    """The kernel of a layer whose output channels are computed by several kernels.

    Args:
        kernels: of the same code ranges; equal ones may be the same object.
        unshifts: what the sums of each must be multiplied by, powers of two.
        numbers: of the kernel, per output channel.

    Returns:
        The kernel, and the power of two by which its sums must be multiplied: the finest of those that are used.
    """
    first = [kernels.index(kernel) for kernel in kernels]
    own = tuple(first[number] for number in numbers)
    used = sorted(set(own))
    if len(used) < 2:
        only = used[0] if used else 0
        return kernels[only], unshifts[only]
    unshift = min(unshifts[number] for number in used)
    factors = tuple(round(unshifts[number] / unshift) for number in used)
    chosen, filters = [kernels[n] for n in used], Filters(tuple(map(used.index, own)), factors)
    fused = [kernel for kernel in chosen if isinstance(kernel, FusedProducts)]
    if len(fused) == len(chosen):
        return FusedFilterProducts(fused, filters), unshift
    return FilterProducts(chosen, filters), unshift


def columns_as_filters(kernel: Products, left: Tensor, right: Tensor) -> Tensor:
    """Matrix products by a kernel that has to know of filters: (..., M, K) by (K, N), or (B, M, K) by (B, K, N).

    Args:
        kernel: computes convolutions.
        left: activation codes.
        right: weight codes; each column is a filter, those of a batch belong to as many groups.
    """
    if right.dim() == 2:
        rows = left.reshape(-1, left.shape[-1], 1)
        sums = kernel.convolve(rows, kernel.prepare(right.T[:, :, None]), _POINT)
        return sums.reshape(*left.shape[:-1], right.shape[-1])
    count, m, k = left.shape
    a = left.transpose(1, 2).reshape(1, count * k, m)
    w = right.transpose(1, 2).reshape(-1, k, 1)
    sums = kernel.convolve(a, kernel.prepare(w), replace(_POINT, groups=count))
    return sums.reshape(count, -1, m).transpose(1, 2)


def _described(kernels: Sequence[Products]) -> str:
    return "by filter: " + "; ".join(kernel.describe() for kernel in kernels)


def _rows(weight: Tensor, part: Part) -> Tensor:
    return weight.index_select(0, torch.tensor(part.rows, device=weight.device))


def _scaling(scaling: Scaling, part: Part, factor: int) -> Scaling:
    rows = torch.tensor(part.rows)
    bias = None if scaling.bias is None else scaling.bias.detach()[rows]
    return Scaling(scaling.scale[rows] * factor, scaling.gain[rows], bias)


def _order(parts: Sequence[Part]) -> list[int]:
    """For every output, its place among the outputs of all parts."""
    found = [part.rows[place] for part in parts for place in part.real]
    return sorted(range(len(found)), key=found.__getitem__)


def _joined(found: Sequence[Tensor], parts: Sequence[Part]) -> Tensor:
    return torch.cat(list(found), 1).index_select(1, torch.tensor(_order(parts), device=found[0].device))


def _assembly(layers: Sequence[tuple[Part, Layer, int]], groups: int) -> Layer:
    places = _order([part for part, _, _ in layers])
    order = None if places == list(range(len(places))) else torch.tensor(places)

    def run(x: Tensor) -> Tensor:
        found = []
        for part, layer, factor in layers:
            y = part.own(layer(part.inputs(x, groups)))
            found.append(y if factor == 1 else y * factor)
        joined = torch.cat(found, 1)
        return joined if order is None else joined.index_select(1, order)

    return run
