"""Saturated words: synapses and neurons that always say the most they can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.core.errors import ConfigError
from laxity.faults.fault import FAULTS, FaultModel, Random
from laxity.faults.layout import IntArray, Layout
from laxity.faults.words import Words

SIGNS = ("own", "positive", "negative")


@FAULTS.register("saturated")
@dataclass(frozen=True)
class Saturated(FaultModel):
    """A struck word reads as the largest finite value of a sign.

    Attributes:
        sign: ``own``, that of the stored value, and the positive one for 0 and NaN; ``positive``; ``negative``, the
            smallest value where a format has none below 0.
    """

    kind: ClassVar[str] = "saturated"
    unit: ClassVar[str] = "word"

    sign: str = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sign not in SIGNS:
            raise ConfigError(f"sign of 'saturated' is {', '.join(SIGNS[:-1])} or {SIGNS[-1]}, not {self.sign!r}")

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        down = layout.values(words) < 0 if self.sign == "own" else self.sign == "negative"
        return np.full(words.shape, np.where(down, layout.lowest_word, layout.largest_word), words.dtype)
