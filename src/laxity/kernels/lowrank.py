"""Products of a table that factors into bytes, by dot-product instructions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from laxity.kernels import native
from laxity.kernels.analysis import CodeRange
from laxity.kernels.call import Layer, MatricesCall, NativeCall, address, flat
from laxity.kernels.geometry import Geometry
from laxity.kernels.operators import LIBRARY, layer_operator
from laxity.kernels.products import NARROW, FusedOperand, FusedProducts, Products, Scaling, check_bound
from laxity.kernels.terms import BYTE, ByteTerms
from laxity.kernels.weights import row_sums

LIBRARY.define("lowrank_pack(Tensor rows, Tensor maps, int groups, int[] terms) -> Tensor")


class LowRankProducts(FusedProducts):
    """Sums of few products of one-operand functions, each a byte, by the compiled dot products on the CPU.

    Args:
        left: range of activation codes.
        right: range of weight codes.
        terms: the table in bytes.
        elsewhere: products on other devices.
    """

    def __init__(self, left: CodeRange, right: CodeRange, terms: ByteTerms, elsewhere: Products) -> None:
        super().__init__(left, right, elsewhere)
        bundles = terms.bundles() or [(1, 0)]
        self._factors, self._counts = [f for f, _ in bundles], [n for _, n in bundles]
        self._bound = max(1, terms.bound() + int(abs(terms.constant).max()))
        self._maps = torch.zeros(len(terms.terms), BYTE, dtype=torch.uint8)
        self._weights = torch.zeros(len(terms.terms), right[1] - right[0] + 1, dtype=torch.int8)
        for i, term in enumerate(terms.terms):
            self._maps[i, : left[1] - left[0] + 1] = torch.from_numpy(term.map)
            self._weights[i] = torch.from_numpy(term.weight)
        self._constant = torch.from_numpy(terms.constant)

    def describe(self) -> str:
        """Name the kernel."""
        count = len(self._maps)
        return f"{native.level()} dot products of bytes, {count} term{'' if count == 1 else 's'}"

    def ready(self, rows: Tensor, groups: int, slope: int = 0) -> FusedOperand:
        """Mapped weights in the order of the kernel, and what is added to every sum."""
        rows = rows.contiguous()
        constant, more = self.sloped(self._constant, slope)
        bound = math.prod(rows.shape[1:]) * (self._bound + more)
        check_bound(bound)
        packed: Tensor = torch.ops.laxity.lowrank_pack(rows, self._weights, groups, self._counts)
        return FusedOperand((packed, row_sums(rows.flatten(1), constant)), tuple(rows.shape[2:]), bound >= NARROW)

    def bind(
        self,
        quantiser: Tensor,
        weight: FusedOperand,
        geometry: Geometry,
        scaling: Scaling | None,
        site: str,
        zeros: tuple[int, float] = (0, 0.0),
    ) -> Layer:
        """One call."""
        packed, constants = weight.tensors
        scale, gain, bias = (scaling.scale, scaling.gain, scaling.bias) if scaling else (None, None, None)
        return lowrank_layer(
            quantiser, self._maps, packed, constants, scale, gain, bias, flat(geometry, weight.kernel),
            [*self._counts, *self._factors], weight.wide, site,
        )  # fmt: skip

    def matrices(
        self, left: Tensor, quantiser: Tensor, right: Tensor, right_quantiser: Tensor, scale: Tensor, site: str
    ) -> Tensor | None:
        """One call for all matrices."""
        if left.shape[2] * self._bound >= NARROW:
            return None
        rest = [address(self._maps), self._counts, self._factors, address(self._weights), self._weights.shape[1]]
        call = MatricesCall("lowrank_matrices", rest, None, self._constant)
        return call(left, quantiser, right, right_quantiser, scale, site)


def _pack(rows: Tensor, maps: Tensor, groups: int, terms: list[int]) -> Tensor:
    module = native.compiled()
    assert module is not None  # low rank in bytes is chosen only where the module is
    outputs, inputs, *taps = rows.shape
    packed = torch.empty(_packed_size(rows, groups, terms), dtype=torch.int8)
    sizes = maps.shape[1], outputs, inputs, math.prod(taps), groups
    module.lowrank_pack(address(rows), address(maps), *sizes, terms, address(packed))
    return packed


def _packed_size(rows: Tensor, groups: int, terms: list[int]) -> int:
    outputs, inputs, *taps = rows.shape
    vectors, padded = -(-(outputs // groups) // 16), -(-inputs // 4) * 4
    return groups * vectors * 16 * math.prod(taps) * padded * sum(terms)


def lowrank_call(  # noqa: PLR0917 (the operator's arguments)
    quantiser: Tensor,
    maps: Tensor,
    weights: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> NativeCall:
    """The compiled function with everything but the input; `layout` holds the terms and the factor of each bundle."""
    bundles = len(layout) // 2
    terms, factors = layout[:bundles], layout[bundles:]
    kept = (quantiser, maps, weights, constants, scale, gain, bias)
    q, maps_at, weights_at, *rest = (address(t) for t in kept)
    middle = [q, maps_at, terms, factors, weights_at, wide, *rest]
    return NativeCall("lowrank_layer", middle, len(constants), geometry, site, scaled=scale is not None, kept=kept)


@torch.library.register_fake("laxity::lowrank_pack", lib=LIBRARY)
def _pack_fake(rows: Tensor, maps: Tensor, groups: int, terms: list[int]) -> Tensor:
    return maps.new_empty(_packed_size(rows, groups, terms))


lowrank_layer = layer_operator("lowrank", "Tensor maps, Tensor weights", lowrank_call)
LIBRARY.impl("lowrank_pack", _pack, "CPU")
