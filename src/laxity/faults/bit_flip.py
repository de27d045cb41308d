"""Independent bit flips: the usual model of soft errors and of memories at reduced voltage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.faults.fault import FAULTS, FaultModel, Random
from laxity.faults.layout import IntArray, Layout
from laxity.faults.masks import bit_mask, one_bit
from laxity.faults.words import Words


@FAULTS.register("bit_flip")
@dataclass(frozen=True)
class BitFlip(FaultModel):
    """A struck bit is inverted."""

    kind: ClassVar[str] = "bit_flip"

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        flipped: Words = words ^ one_bit(bits, words.dtype)
        return flipped

    def corrupt(self, words: Words, layout: Layout, rng: np.random.Generator) -> Words:
        """See `FaultModel.corrupt`; all bits at once."""
        rate = self.rate_per_bit * self.activity
        flipped: Words = words ^ bit_mask(words, layout.width_bits, rate, rng)
        return flipped
