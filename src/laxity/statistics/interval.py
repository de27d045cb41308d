"""An interval with its estimate, and the checks that all intervals share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laxity.core.errors import ConfigError, DataError

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of one number.

    Attributes:
        estimate: the point estimate; fraction unless scaled.
        low, high: ends, in the unit of `estimate`.
        confidence: probability with which the method covers the true value, fraction.
        samples: outcomes it rests on.
        method: how it was made, in words.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    samples: int
    method: str

    @property
    def half_width(self) -> float:
        """Half the distance of the ends."""
        return (self.high - self.low) / 2

    def contains(self, value: float) -> bool:
        """Whether the value lies between the ends, ends included."""
        return self.low <= value <= self.high

    def scaled(self, factor: float) -> Interval:
        """Estimate and ends times a factor that is known exactly and not negative.

        Raises:
            ConfigError: the factor is negative or not finite.
        """
        if not (np.isfinite(factor) and factor >= 0):
            raise ConfigError(f"an interval is scaled by a finite factor of at least 0, not {factor}")
        return replace(self, estimate=self.estimate * factor, low=self.low * factor, high=self.high * factor)


def check_confidence(confidence: float) -> None:
    """Accept fractions between 0 and 1, both excluded.

    Raises:
        ConfigError: anything else.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is a fraction between 0 and 1, not {confidence}")


def check_counts(successes: float, trials: float) -> None:
    """Accept 0 <= successes <= trials.

    Raises:
        DataError: anything else.
    """
    if not 0 <= successes <= trials:
        raise DataError(f"a count needs 0 <= successes <= trials, not {successes} of {trials}")


def fractions(values: ArrayLike, what: str = "outcomes") -> Values:
    """The values as float64 (n,), if they are finite and within [0, 1].

    Raises:
        DataError: there is a value outside, NaN, or more than one dimension.
    """
    data = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if data.ndim != 1 or not np.all((data >= 0) & (data <= 1)):
        raise DataError(f"{what} are one row of fractions from 0 to 1; divide counts by their number of images")
    return data
