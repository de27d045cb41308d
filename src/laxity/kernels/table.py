"""Products of an arbitrary table by look-up in vector registers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from laxity.kernels import native
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.call import Layer, MatricesCall, NativeCall, address, flat, observed, output_size
from laxity.kernels.geometry import Geometry
from laxity.kernels.layout import Entries, Layout, layout_of
from laxity.kernels.operators import layer_operator
from laxity.kernels.products import NARROW, FusedOperand, FusedProducts, Products, Scaling, check_bound
from laxity.kernels.rates import stationary_wins
from laxity.kernels.stationary import BLOCK, NONE, REACH, Transposed, stationary_codes, stationary_layer, transposed
from laxity.kernels.weights import row_sums


class TableProducts(FusedProducts):
    """Any table of at most 256 x 256 products, by the compiled look-up kernels on the CPU.

    Args:
        left: range of activation codes.
        right: range of weight codes.
        table: int64 (left codes, right codes).
        elsewhere: products on other devices.
    """

    def __init__(self, left: CodeRange, right: CodeRange, table: IntArray, elsewhere: Products) -> None:
        super().__init__(left, right, elsewhere)
        self._peak = int(abs(table).max())
        layout = layout_of(table, left)
        plain = layout_of(table, left, by_sign=False) if layout and layout.entries is Entries.SIGN_MAGNITUDE else layout
        assert layout is not None and plain is not None  # noqa: PT018 (the caller has checked the size)
        self.layout, self._wide_layout = layout, plain
        self._table = table
        self._at_rest: dict[int, Transposed | None] = {}

    def describe(self) -> str:
        """Name the kernel."""
        layout = self.layout
        how = "sign and 128" if layout.entries is Entries.SIGN_MAGNITUDE else str(layout.entries.count)
        return f"{native.level()} look-up, {how} entries, {layout.planes} x {layout.bits} bits"

    def ready(self, rows: Tensor, groups: int, slope: int = 0) -> FusedOperand:
        """Row numbers (outputs, reduction) uint8, and the sum of the rows' least products per output."""
        taps, rows = tuple(rows.shape[2:]), rows.flatten(1).contiguous()
        _, more = self.sloped(self.layout.least, slope)
        bound = rows.shape[1] * (self._peak + more)
        check_bound(bound)
        wide = bound >= NARROW or self.layout.planes > 2
        layout = self._wide_layout if wide else self.layout
        if layout.entries is Entries.SIGN_MAGNITUDE and not slope:
            constants = torch.zeros(len(rows), dtype=torch.int64)
        else:
            constants = row_sums(rows, self.sloped(layout.least, slope)[0])
        return FusedOperand((rows, constants), taps, wide, slope)

    def bind(
        self,
        quantiser: Tensor,
        weight: FusedOperand,
        geometry: Geometry,
        scaling: Scaling | None,
        site: str,
        zeros: tuple[int, float] = (0, 0.0),
    ) -> Layer:
        """A call with weights at rest, or with activations at rest, whichever is faster for the input."""
        layout: Layout = self._wide_layout if weight.wide else self.layout
        rows, constants = weight.tensors
        scale, gain, bias = (scaling.scale, scaling.gain, scaling.bias) if scaling else (None, None, None)
        shape = flat(geometry, weight.kernel)
        streaming = table_layer(
            quantiser, layout.index, rows, layout.table, constants, scale, gain, bias, shape, layout.numbers,
            weight.wide, site,
        )  # fmt: skip
        form = None if weight.wide or observed() else self._transposed(zeros[0])
        if form is None:
            return streaming

        def at_rest() -> Layer:
            codes, shifted, wide = self._codes_at_rest(weight, form, geometry.groups)
            return stationary_layer(
                quantiser, codes, form.layout.table, form.layout.least, shifted, scale, gain, bias, shape,
                form.numbers, wide, site,
            )  # fmt: skip

        return Faster(
            streaming, at_rest, lambda x: self._rests(x, weight, shape, form, zeros[1] if form.skip != NONE else 0.0)
        )

    def matrices(
        self, left: Tensor, quantiser: Tensor, right: Tensor, right_quantiser: Tensor, scale: Tensor, site: str
    ) -> Tensor | None:
        """One call for all matrices."""
        layout = self.layout
        if left.shape[2] * self._peak >= NARROW or layout.planes > 2:
            return None
        call = MatricesCall("table_matrices", [address(layout.table), *layout.numbers], layout.index, layout.least)
        return call(left, quantiser, right, right_quantiser, scale, site)

    def _transposed(self, zero: int) -> Transposed | None:
        """The table with a row per activation, without the products of the frequent code."""
        if zero not in self._at_rest:
            inside = self.left[0] <= zero <= self.left[1]
            self._at_rest[zero] = transposed(self._table, self.left, zero) if inside else None
        return self._at_rest[zero]

    def _rests(self, x: Tensor, weight: FusedOperand, shape: list[int], form: Transposed, zeros: float) -> bool:
        outputs = len(weight.tensors[0])
        positions = math.prod(output_size(x, outputs, shape)) // max(1, outputs)
        per_group = outputs // shape[0]
        if not positions or weight.tensors[0].shape[1] * (per_group + BLOCK) >= REACH:
            return False
        return stationary_wins(native.level(), self.layout, form.layout.entries, positions, per_group, zeros)

    def _codes_at_rest(self, weight: FusedOperand, form: Transposed, groups: int) -> tuple[Tensor, Tensor, bool]:
        rows = weight.tensors[0]
        values, more = self.sloped(form.zero_row, weight.slope)
        if form.skip not in weight.other:
            weight.other[form.skip] = stationary_codes(rows, groups, math.prod(weight.kernel)), row_sums(rows, values)
        codes, constants = weight.other[form.skip]
        bound = (1 << (form.layout.planes * form.layout.bits)) + int(form.layout.least.abs().max())
        return codes, constants, rows.shape[1] * (bound + more) >= NARROW


class Faster:
    """Chooses between two ways to compute a layer, by the shape of the input.

    Args:
        usual: the one way.
        other: makes the other one when it is first wanted.
        better: whether the other is faster for an input.
    """

    def __init__(self, usual: Layer, other: Callable[[], Layer], better: Callable[[Tensor], bool]) -> None:
        self._usual, self._make, self._better = usual, other, better
        self._other: Layer | None = None
        self._by_shape: dict[torch.Size, bool] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Run the faster way."""
        better = self._by_shape.get(x.shape)
        if better is None:
            better = self._by_shape[x.shape] = self._better(x)
        if not better:
            return self._usual(x)
        if self._other is None:
            self._other = self._make()
        return self._other(x)


def table_call(  # noqa: PLR0917 (the operator's arguments)
    quantiser: Tensor,
    index: Tensor | None,
    codes: Tensor,
    table: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> NativeCall:
    """The compiled function with everything but the input."""
    kept = (quantiser, index, codes, table, constants, scale, gain, bias)
    middle = [address(t) for t in kept[:4]] + [*layout, wide] + [address(t) for t in kept[4:]]
    return NativeCall("table_layer", middle, len(constants), geometry, site, scaled=scale is not None, kept=kept)


table_layer = layer_operator("table", "Tensor? index, Tensor codes, Tensor table", table_call)
