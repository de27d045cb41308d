"""Dead words: synapses and neurons that say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.faults.fault import FAULTS, FaultModel, Random
from laxity.faults.layout import IntArray, Layout
from laxity.faults.words import Words


@FAULTS.register("dead")
@dataclass(frozen=True)
class Dead(FaultModel):
    """A struck word reads as the value 0; where codes have a zero-point, that is not the word of zeros."""

    kind: ClassVar[str] = "dead"
    unit: ClassVar[str] = "word"

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        return np.full(words.shape, layout.zero_word, words.dtype)
