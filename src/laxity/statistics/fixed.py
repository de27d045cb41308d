"""Intervals of a probability for a number of trials that was fixed before sampling."""

from __future__ import annotations

import math

from scipy.special import ndtri

from laxity.core import intervals
from laxity.core.errors import DataError
from laxity.statistics.interval import Interval, check_confidence, check_counts


def clopper_pearson(successes: int, trials: int, confidence: float = 0.99) -> Interval:
    """The exact interval: never covers less than it says, at any probability and any number of trials.

    Raises:
        DataError: no trials, or more successes than trials.
        ConfigError: the confidence cannot be.

    Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404; beta-quantile form.
    """
    check_confidence(confidence)
    low, high = intervals.clopper_pearson(successes, trials, confidence)
    return Interval(successes / trials, low, high, confidence, trials, "Clopper-Pearson")


def zero_failure_bound(trials: int, confidence: float = 0.99) -> float:
    """Upper limit of a probability after `trials` trials without a single success: ``1 - alpha ** (1 / trials)``.

    One-sided: all of the error probability is spent on the upper side.

    Raises:
        DataError: no trials.
        ConfigError: the confidence cannot be.

    Source: the solution of ``(1 - p) ** n = alpha``; about ``-ln(alpha) / n``.
    """
    check_confidence(confidence)
    if trials < 1:
        raise DataError(f"a bound needs at least one trial, not {trials}")
    return -math.expm1(math.log1p(-confidence) / trials)


def wilson(successes: float, trials: int, confidence: float = 0.99) -> Interval:
    """Wilson's score interval, for comparison: right on average over probabilities, too narrow at some of them.

    Raises:
        DataError: no trials, or more successes than trials.
        ConfigError: the confidence cannot be.

    Source: E. B. Wilson, J. Am. Statist. Assoc. 22 (1927) 209.
    """
    check_confidence(confidence)
    check_counts(successes, trials)
    if trials < 1:
        raise DataError(f"an interval needs at least one trial, not {trials}")
    z = float(ndtri((1 + confidence) / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    # Rounding must not push the ends past the estimate where it is 0 or 1.
    low, high = min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))
    return Interval(share, low, high, confidence, trials, "Wilson, approximate")


def wald(successes: float, trials: int, confidence: float = 0.99) -> Interval:
    """The normal interval that most fault-injection tools print, for comparison only: it covers less than it says.

    Raises:
        DataError: no trials, or more successes than trials.
        ConfigError: the confidence cannot be.

    Source: the normal approximation with the estimated variance; criticised by L. D. Brown, T. T. Cai, A. DasGupta,
    Statistical Science 16 (2001) 101.
    """
    check_confidence(confidence)
    check_counts(successes, trials)
    if trials < 1:
        raise DataError(f"an interval needs at least one trial, not {trials}")
    share = successes / trials
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(share * (1 - share) / trials)
    return Interval(share, max(0.0, share - half), min(1.0, share + half), confidence, trials, "Wald, approximate")
