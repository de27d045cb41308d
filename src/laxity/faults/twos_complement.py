"""Words in two's complement, as registers of sums hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from laxity.core.errors import ConfigError, DataError
from laxity.faults.layout import FloatArray, Layout
from laxity.faults.words import Words

WIDEST = 48
"""Bits whose sums float64 holds exactly, with room to spare."""


@dataclass(frozen=True, slots=True)
class TwosComplement(Layout):
    """Whole numbers in two's complement; rounding goes to the nearest, ties to even.

    Attributes:
        bits: per word, 2 to 48.

    Raises:
        ConfigError: the width cannot be.
    """

    bits: int

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= WIDEST:
            raise ConfigError(f"words in two's complement have 2 to {WIDEST} bits, not {self.bits}")

    @property
    def form(self) -> str:
        """See `Layout.form`."""
        return "twos_complement"

    @property
    def width_bits(self) -> int:
        """See `Layout.width_bits`."""
        return self.bits

    def values(self, words: Words) -> FloatArray:
        """See `Layout.values`."""
        if words.size and int(words.max()) >> self.bits:
            raise DataError(f"word {int(words.max())} has more than {self.bits} bits")
        plain, half = words.astype(np.int64), 1 << (self.bits - 1)
        return ((plain ^ half) - half).astype(np.float64)

    def words(self, values: ArrayLike, dtype: DTypeLike = np.uint64) -> Words:
        """See `Layout.words`."""
        numbers, half = np.asarray(values, np.float64), 1 << (self.bits - 1)
        if np.isnan(numbers).any():
            raise DataError("NaN has no word in two's complement")
        codes = np.clip(np.rint(numbers), -half, half - 1).astype(np.int64)
        found: Words = (codes & ((1 << self.bits) - 1)).astype(dtype)
        return found

    def spacing(self, words: Words) -> FloatArray:
        """See `Layout.spacing`."""
        return np.ones(words.shape)
