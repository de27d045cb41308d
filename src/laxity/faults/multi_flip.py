"""Several flipped bits in one word: upsets of cells that lie apart, as of interleaved or folded words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.core.errors import ConfigError
from laxity.faults.fault import FAULTS, FaultModel, Random
from laxity.faults.layout import IntArray, Layout
from laxity.faults.masks import full_word, one_bit
from laxity.faults.words import Words

_MOST = 8


@FAULTS.register("multi_flip")
@dataclass(frozen=True)
class MultiFlip(FaultModel):
    """The struck bit and others of its word are inverted, all sets of others being equally likely.

    Attributes:
        count: distinct bits that are inverted, 2 to 8; all bits of words that have fewer.
    """

    kind: ClassVar[str] = "multi_flip"
    draws: ClassVar[int] = 1

    count: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.count) is not int or not 2 <= self.count <= _MOST:
            raise ConfigError(f"count of 'multi_flip' is 2 to {_MOST} bits, not {self.count!r}")

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        width, rows = layout.width_bits, np.arange(len(words))
        # The first places of a shuffled list of distances from the struck bit. The choices are digits of one random
        # number; they number 63!/56! at most, so that none is more likely than another by more than 2^-22.
        distances = np.tile(np.arange(width), (len(words), 1))
        mask, left = one_bit(bits, words.dtype), random[:, 0]
        for place in range(1, min(self.count, width)):
            chosen = place + (left % np.uint64(width - place)).astype(np.int64)
            left = left // np.uint64(width - place)
            distance = distances[rows, chosen]
            distances[rows, chosen] = distances[:, place]
            mask |= one_bit((bits + distance) % width, words.dtype)
        flipped: Words = words ^ mask
        return flipped

    def reach(self, layout: Layout, bits: IntArray) -> Random:
        """See `FaultModel.reach`; any bit of the word."""
        return np.full(len(bits), full_word(layout.width_bits), np.uint64)
