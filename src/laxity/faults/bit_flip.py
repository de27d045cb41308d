"""Independent bit flips: the usual model of soft errors and of memories at reduced voltage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.faults.fault import FAULTS, FaultModel, Words
from laxity.faults.masks import bit_mask


@FAULTS.register("bit_flip")
@dataclass(frozen=True)
class BitFlip(FaultModel):
    """Every stored bit is inverted with probability `rate_per_bit`, independently of all others."""

    kind: ClassVar[str] = "bit_flip"

    def corrupt(self, words: Words, width_bits: int, rng: np.random.Generator) -> Words:
        """Return the words with the drawn bits inverted.

        Raises:
            ConfigError: the words do not fit the array's type.
        """
        flipped: Words = words ^ bit_mask(words, width_bits, self.rate_per_bit, rng)
        return flipped
