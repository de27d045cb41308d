"""Confidence intervals of proportions and means."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from laxity.core.errors import DataError


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a binomial proportion.

    Raises:
        DataError: no trials, or more successes than trials.

    Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934); beta-quantile form.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise DataError(
            f"an interval needs 0 <= successes <= trials and at least one trial, not {successes} of {trials}"
        )
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(stats.beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of independent trials with a Student-t interval: (mean, low, high).

    Raises:
        DataError: fewer than two values.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size < 2:
        raise DataError(f"an interval of a mean needs at least two trials, not {data.size}")
    mean = float(data.mean())
    half = float(stats.t.ppf((1 + confidence) / 2, data.size - 1)) * float(data.std(ddof=1)) / math.sqrt(data.size)
    return mean, mean - half, mean + half


def paired_drop_error(lost: int, gained: int, samples: int) -> float:
    """Standard error of an accuracy drop measured on the same samples.

    Args:
        lost: samples right before and wrong after.
        gained: samples wrong before and right after.
        samples: all samples.

    Source: variance of the difference of two paired proportions (the statistic of McNemar's test).
    """
    if samples < 1:
        raise DataError("a paired comparison needs at least one sample")
    drop = (lost - gained) / samples
    return math.sqrt(max(0.0, (lost + gained) / samples - drop * drop) / samples)
