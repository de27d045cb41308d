"""Words that are replaced by random ones: faults of buses, of addresses, of whole entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.faults.fault import FAULTS, FaultModel, Random
from laxity.faults.layout import IntArray, Layout
from laxity.faults.masks import full_word
from laxity.faults.words import Words


@FAULTS.register("random_value")
@dataclass(frozen=True)
class RandomValue(FaultModel):
    """A struck word reads as any word, all being equally likely; NaN and infinities are among those of floats."""

    kind: ClassVar[str] = "random_value"
    unit: ClassVar[str] = "word"
    draws: ClassVar[int] = 1

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        return (random[:, 0] & np.uint64(full_word(layout.width_bits))).astype(words.dtype)
