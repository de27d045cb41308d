"""Bursts: neighbouring bits of one word, as one particle or one bad line strikes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.core.errors import ConfigError
from laxity.faults.fault import FAULTS, FaultModel, Random
from laxity.faults.layout import IntArray, Layout
from laxity.faults.masks import full_word
from laxity.faults.words import Words

PATTERNS = ("all", "random")


@FAULTS.register("burst")
@dataclass(frozen=True)
class Burst(FaultModel):
    """Neighbouring bits are inverted, the struck one being the least significant of them.

    What would lie beyond the word is cut off, so that each bit of a word is equally likely to be the first of a burst.

    Attributes:
        length: of the burst in bits, 2 to 64.
        pattern: ``all`` bits of the burst are inverted, or the first, the last and each between them with probability
            1/2 (``random``), which is what coding theory calls a burst of that length.

    Source: S. Lin and D. J. Costello, Error Control Coding, second edition, Pearson, 2004, for bursts of errors.
    """

    kind: ClassVar[str] = "burst"
    draws: ClassVar[int] = 1

    length: int = 2
    pattern: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.length) is not int or not 2 <= self.length <= 64:
            raise ConfigError(f"length of 'burst' is 2 to 64 bits, not {self.length!r}")
        if self.pattern not in PATTERNS:
            raise ConfigError(f"pattern of 'burst' is {' or '.join(PATTERNS)}, not {self.pattern!r}")

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        ends = np.uint64(1 | 1 << (self.length - 1))
        inverted = random[:, 0] | ends if self.pattern == "random" else ~np.zeros(len(words), np.uint64)
        flipped: Words = words ^ self._placed(inverted, layout, bits).astype(words.dtype)
        return flipped

    def reach(self, layout: Layout, bits: IntArray) -> Random:
        """See `FaultModel.reach`; all bits of the burst."""
        return self._placed(~np.zeros(len(bits), np.uint64), layout, bits)

    def _placed(self, inverted: Random, layout: Layout, bits: IntArray) -> Random:
        within = np.uint64(full_word(layout.width_bits))
        shifted: Random = np.left_shift(inverted & np.uint64(full_word(self.length)), bits.astype(np.uint64)) & within
        return shifted
