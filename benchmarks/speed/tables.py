"""Multipliers that nobody can factor, and the technique that puts one of them into a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from laxity.circuits import Multiplier
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.seeds import stream
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer

SEED = 0
_LARGEST_ERROR = {7: 1024, 8: 2048}
_ROW_BITS = {7: 14, 8: 16}
_HALF = 2**15


@cache
def arbitrary(bits: int, *, clears: bool = True) -> Multiplier:
    """Products of an unsigned number of `bits` bits (7 or 8) and a signed one of 8, each with an error of its own.

    Errors are uniform, independent of each other, and too large for a residual of one byte. Products have 16 bits, and
    those of one weight span at most 14 bits where activations have 7; what exceeds that is clipped.

    Args:
        bits: of the activations.
        clears: products with 0 are 0, as multipliers nearly always have it; else they have errors, too.
    """
    activations, codes = np.arange(2**bits), np.arange(256)
    weights = np.where(codes < 128, codes, codes - 256)
    exact = np.multiply.outer(activations, weights)
    most = _LARGEST_ERROR[bits]
    noisy = exact + stream(SEED, "table", bits).integers(-most, most + 1, exact.shape)
    low, high = exact.min(0), exact.max(0)
    margin = (2 ** _ROW_BITS[bits] - 1 - (high - low)) // 2
    table = np.clip(noisy, np.maximum(low - margin, -_HALF), np.minimum(high + margin, _HALF - 1))
    if clears:
        table[0], table[:, 0] = 0, 0
    return Multiplier.from_table(table, a_signed=False, b_signed=True, name=f"arbitrary {bits}-bit")


@TECHNIQUES.register("arbitrary_table")
@dataclass(frozen=True)
class ArbitraryTable(Approximation):
    """Every product is looked up in `arbitrary`; the sign of an activation is applied outside.

    Attributes:
        bits: of the activations.
        clears: products with 0 are 0.
    """

    kind: ClassVar[str] = "arbitrary_table"
    slot: ClassVar[Slot] = Slot.MULTIPLIER
    bits: int = 8
    clears: bool = True

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the multiplier."""
        for layer in layers:
            layer.multiplier = arbitrary(self.bits, clears=self.clears)
