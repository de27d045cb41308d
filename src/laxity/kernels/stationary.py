"""Look-up with activations at rest: all weights of one activation at once, zeros left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.kernels import native
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.layout import Layout, plain_layout
from laxity.kernels.operators import LIBRARY, address, fake_result, not_finite, result

BLOCK = 64
REACH = 1 << 32
"""Weights of one group, padded to blocks, that the kernel can address."""

LIBRARY.define(
    "stationary(Tensor x, Tensor quantiser, Tensor codes, Tensor table, Tensor offsets, Tensor constants, "
    "Tensor? scale, Tensor? gain, Tensor? bias, int[] geometry, int[] layout, bool wide, str site) -> Tensor"
)


@dataclass(frozen=True, slots=True, eq=False)
class Transposed:
    """A table with a row per activation code, from which the row of the code of zero is taken off.

    Attributes:
        layout: of the rows; what was taken off each beside, so that no entry is negative, is its `least`.
        zero_row: int64 (weight codes,), products of the code of zero.
        skip: index of the code of zero.
    """

    layout: Layout
    zero_row: Tensor
    skip: int

    @property
    def numbers(self) -> list[int]:
        """Rows, kind of entries, planes, bits and the code left out, as the operator takes them."""
        layout = self.layout
        return [layout.rows, int(layout.entries), layout.planes, layout.bits, self.skip]


def transposed(table: IntArray, left: CodeRange, zero: int) -> Transposed | None:
    """Lay out products (activation codes, weight codes) by activations, or None where they need over 16 bits."""
    skip = zero - left[0]
    excess = table - table[skip]
    least = excess.min(axis=1)
    together = np.full_like(least, least.min())
    together[skip] = 0
    # One offset for all rows costs the kernel nothing, unless it needs another plane.
    layouts = [plain_layout(excess - offsets[:, None], offsets) for offsets in (together, least)]
    layout = min(layouts, key=lambda found: found.planes)
    return Transposed(layout, torch.from_numpy(table[skip].copy()), skip) if layout.planes <= 2 else None


def stationary_codes(rows: Tensor, groups: int, taps: int) -> Tensor:
    """Weight codes (outputs, reduction) uint8 as (groups, taps, channels, outputs padded to 64)."""
    outputs, reduction = rows.shape
    split = rows.reshape(groups, outputs // groups, reduction // taps, taps).permute(0, 3, 2, 1)
    return F.pad(split, (0, -(outputs // groups) % BLOCK)).contiguous()


def _stationary(  # noqa: PLR0917 (the operator's arguments)
    x: Tensor,
    quantiser: Tensor,
    codes: Tensor,
    table: Tensor,
    offsets: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> Tensor:
    y, numbers = result(x, constants.shape[0], scale, geometry)
    module = native.compiled()
    assert module is not None  # prepared operands exist only where the module does
    scaled, sums = (address(y), 0) if scale is not None else (0, address(y))
    finite = module.stationary_layer(
        native.level(), native.threads(), numbers, address(x), address(quantiser), 0, address(codes), address(table),
        *layout, address(offsets), wide, address(constants), address(scale), address(gain), address(bias), scaled,
        sums,
    )  # fmt: skip
    if not finite:
        raise not_finite(x, site)
    return y


@torch.library.register_fake("laxity::stationary", lib=LIBRARY)
def _stationary_fake(  # noqa: PLR0917 (the operator's arguments)
    x: Tensor,
    quantiser: Tensor,
    codes: Tensor,
    table: Tensor,
    offsets: Tensor,
    constants: Tensor,
    scale: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    geometry: list[int],
    layout: list[int],
    wide: bool,
    site: str,
) -> Tensor:
    return fake_result(x, constants, scale, geometry)


LIBRARY.impl("stationary", _stationary, "CPU")
