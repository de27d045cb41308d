"""Look-up with activations at rest: all weights of one activation at once, zeros left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.call import NativeCall, address
from laxity.kernels.layout import Layout, plain_layout
from laxity.kernels.operators import layer_operator

BLOCK = 64
NONE = -1
"""No code is left out."""
REACH = 1 << 32
"""Weights of one group, padded to blocks, that the kernel can address."""


@dataclass(frozen=True, slots=True, eq=False)
class Transposed:
    """A table with a row per activation code, from which the row of the code of zero is taken off where that pays.

    Attributes:
        layout: of the rows; what was taken off each beside, so that no entry is negative, is its `least`.
        zero_row: int64 (weight codes,), what was taken off every row: the products of the code of zero, or nothing.
        skip: index of the code of zero, or `NONE`.
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
    """Lay out products (activation codes, weight codes) by activations, or None where they need over 16 bits.

    Where only the difference from the products of zero needs more, nothing is taken off and no code is left out.
    """
    skip = zero - left[0]
    for first, taken in ((skip, table[skip]), (NONE, np.zeros_like(table[skip]))):
        excess = table - taken
        least = excess.min(axis=1)
        together = np.full_like(least, least.min())
        if first != NONE:
            together[first] = 0
        # One offset for all rows costs the kernel nothing, unless it needs another plane.
        layouts = [plain_layout(excess - offsets[:, None], offsets) for offsets in (together, least)]
        layout = min(layouts, key=lambda found: found.planes)
        if layout.planes <= 2:
            return Transposed(layout, torch.from_numpy(taken.copy()), first)
    return None


def stationary_codes(rows: Tensor, groups: int, taps: int) -> Tensor:
    """Weight codes (outputs, reduction) uint8 as (groups, taps, channels, outputs padded to 64)."""
    outputs, reduction = rows.shape
    split = rows.reshape(groups, outputs // groups, reduction // taps, taps).permute(0, 3, 2, 1)
    return F.pad(split, (0, -(outputs // groups) % BLOCK)).contiguous()


def stationary_call(  # noqa: PLR0917 (the operator's arguments)
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
) -> NativeCall:
    """The compiled function with everything but the input."""
    kept = (quantiser, codes, table, offsets, constants, scale, gain, bias)
    q, codes_at, table_at, offsets_at, *rest = (address(t) for t in kept)
    middle = [q, 0, codes_at, table_at, *layout, offsets_at, wide, *rest]
    return NativeCall("stationary_layer", middle, len(constants), geometry, site, scaled=scale is not None, kept=kept)


stationary_layer = layer_operator("stationary", "Tensor codes, Tensor table, Tensor offsets", stationary_call)
