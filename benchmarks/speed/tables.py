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


@cache
def arbitrary(bits: int) -> Multiplier:
    """Products of an unsigned number of `bits` bits (7 or 8) and a signed one of 8, each with an error of its own.

    Errors are uniform, too large for a residual of one byte, and independent of each other, also where an operand is 0;
    what exceeds a row's range of 14 bits (7-bit activations) or 16 bits is clipped. Row: all products of one weight.
    """
    activations, codes = np.arange(2**bits), np.arange(256)
    exact = np.multiply.outer(activations, np.where(codes < 128, codes, codes - 256))
    most = _LARGEST_ERROR[bits]
    noisy = exact + stream(SEED, "table", bits).integers(-most, most + 1, exact.shape)
    low, high = exact.min(0), exact.max(0)
    margin = (2 ** _ROW_BITS[bits] - 1 - (high - low)) // 2
    table = np.clip(noisy, low - margin, high + margin)
    return Multiplier.from_table(table, a_signed=False, b_signed=True, name=f"arbitrary {bits}-bit")


@TECHNIQUES.register("arbitrary_table")
@dataclass(frozen=True)
class ArbitraryTable(Approximation):
    """Every product is looked up in `arbitrary`; the sign of an activation is applied outside.

    Attributes:
        bits: of the activations.
    """

    kind: ClassVar[str] = "arbitrary_table"
    slot: ClassVar[Slot] = Slot.MULTIPLIER
    bits: int = 8

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the multiplier."""
        for layer in layers:
            layer.multiplier = arbitrary(self.bits)
