"""Gaussian noise on values: analogue memories and computation, timing errors, quantities that drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.core.errors import ConfigError
from laxity.faults.fault import FAULTS, FaultModel, Random, is_number, uniform
from laxity.faults.layout import FloatArray, IntArray, Layout
from laxity.faults.words import Words

RELATIVE_TO = ("value", "step")


@FAULTS.register("noise")
@dataclass(frozen=True)
class Noise(FaultModel):
    """Gaussian noise is added to the value of a struck word, which is then rounded to its format and saturates.

    Both scales are free of units, so that one number means the same for all layers and formats. Words that are NaN or
    infinite stay.

    Attributes:
        sigma: standard deviation, above 0.
        relative_to: what sigma counts: ``value``, the magnitude of the stored value, so that 0 stays 0; ``step``, the
            worth of the least significant bit, which is one code for integers and the distance to the next larger
            magnitude for floating point.
    """

    kind: ClassVar[str] = "noise"
    unit: ClassVar[str] = "word"
    draws: ClassVar[int] = 2

    sigma: float = 0.1
    relative_to: str = "value"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_number(self.sigma) or self.sigma <= 0:
            raise ConfigError(f"sigma of 'noise' is a finite number above 0, not {self.sigma!r}")
        if self.relative_to not in RELATIVE_TO:
            raise ConfigError(f"relative_to of 'noise' is {' or '.join(RELATIVE_TO)}, not {self.relative_to!r}")

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        values = layout.values(words)
        finite = np.isfinite(values)
        unit = np.abs(values) if self.relative_to == "value" else layout.spacing(words)
        with np.errstate(over="ignore"):  # beyond float64 is beyond any format, and saturates
            noisy = np.where(finite, values, 0.0) + self.sigma * np.where(finite, unit, 0.0) * gaussian(random)
        return np.where(finite, layout.words(noisy, words.dtype), words)


def gaussian(random: Random) -> FloatArray:
    """Standard normal numbers, float64 (n,), from two random words each, uint64 (n, 2).

    Source: G. E. P. Box and M. E. Muller, A note on the generation of random normal deviates, Annals of Mathematical
    Statistics, 1958.
    """
    radius = np.sqrt(-2.0 * np.log1p(-uniform(random[:, 0])))
    normal: FloatArray = radius * np.cos(2 * np.pi * uniform(random[:, 1]))
    return normal
