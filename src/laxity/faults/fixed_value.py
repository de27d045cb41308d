"""Words that read as one value, whatever was stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.core.errors import ConfigError
from laxity.faults.fault import FAULTS, FaultModel, Random, is_number
from laxity.faults.layout import IntArray, Layout
from laxity.faults.words import Words


@FAULTS.register("fixed_value")
@dataclass(frozen=True)
class FixedValue(FaultModel):
    """A struck word reads as the word nearest to a value.

    Attributes:
        value: in units of codes, see `Layout`: steps from zero for integers, the number itself for floating point.
            What is too large reads as the largest value.
    """

    kind: ClassVar[str] = "fixed_value"
    unit: ClassVar[str] = "word"

    value: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.value):
            raise ConfigError(f"value of 'fixed_value' is a finite number, not {self.value!r}")

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        return np.full(words.shape, layout.words(self.value), words.dtype)
