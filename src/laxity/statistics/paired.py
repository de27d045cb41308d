"""Differences and ratios of two designs that were struck by the same faults on the same images.

Common random numbers make the difference of two designs far less noisy than either: only trials in which exactly one of
the two fails count.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincinv, gammainccinv

from laxity.core.errors import DataError
from laxity.statistics.betting import BettingSequence
from laxity.statistics.combination import Curve, largest
from laxity.statistics.fixed import clopper_pearson
from laxity.statistics.interval import Interval, Values, check_confidence, fractions

POINTS = 600


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided exact probability of so uneven a split of the trials in which only one design fails, if both are alike.

    Raises:
        DataError: negative counts.

    Source: Q. McNemar, Psychometrika 12 (1947) 153; the exact form is the sign test on discordant pairs.
    """
    if min(only_first, only_second) < 0:
        raise DataError(f"counts are at least 0, not {only_first} and {only_second}")
    total, fewer = only_first + only_second, min(only_first, only_second)
    if total == 0 or 2 * fewer == total:
        return 1.0
    return min(1.0, 2 * float(betainc(total - fewer, fewer + 1, 0.5)))


def paired_difference(only_first: int, only_second: int, trials: int, confidence: float = 0.99) -> Interval:
    """Exact interval of the difference of two failure probabilities, first minus second, from paired 0/1 outcomes.

    The difference is the probability that only the first fails minus the probability that only the second does. Each is
    binomial in the number of trials. The two counts are dependent, but negatively: a multinomial count that is large
    leaves less for the other. For the upper end one count must be small and the other large, so that the two tails are
    dependent in the same way; therefore the tails share the error probability (Bonferroni) and are not multiplied.

    For numbers of trials fixed before; `paired_betting` holds at any time.

    Args:
        only_first: trials in which the first design fails and the second does not.
        only_second: the other way round.
        trials: all trials, those in which both or neither fail included.
        confidence: fraction.

    Raises:
        DataError: counts that do not fit.
        ConfigError: the confidence cannot be.
    """
    check_confidence(confidence)
    if min(only_first, only_second) < 0 or trials < 1 or only_first + only_second > trials:
        raise DataError(f"{only_first} and {only_second} trials cannot be parts of {trials}")
    # An interval at 1 - alpha / 2 each: every one of its ends is wrong with probability alpha / 4.
    each = (1 + confidence) / 2
    first, second = clopper_pearson(only_first, trials, each), clopper_pearson(only_second, trials, each)
    difference = (only_first - only_second) / trials
    low, high = first.low - second.high, first.high - second.low
    return Interval(difference, low, high, confidence, trials, "paired difference, exact")


def paired_betting(
    first: ArrayLike, second: ArrayLike, confidence: float = 0.99, *, horizon: int | None = None
) -> Interval:
    """Anytime-valid interval of the mean difference, first minus second, from paired fractions.

    Args:
        first: outcomes of the first design, in the order drawn; (n,).
        second: outcomes of the second design in the same trials; (n,).
        confidence: fraction.
        horizon: number of trials at which the interval should be narrowest.

    Raises:
        DataError: lengths differ, or values are no fractions.
    """
    a, b = fractions(first), fractions(second)
    if a.shape != b.shape:
        raise DataError(f"paired outcomes have the same number of trials, not {a.size} and {b.size}")
    # Differences lie in [-1, 1]; bets are for values in [0, 1].
    state = BettingSequence(confidence, horizon=horizon, caution=0.95).update((a - b + 1) / 2)
    mean = float((a - b).mean()) if a.size else 0.0
    low, high = 2 * state.low - 1, 2 * state.high - 1
    return Interval(min(max(mean, low), high), low, high, confidence, a.size, "paired difference, betting, any time")


def rate_ratio(
    first: tuple[int, int], second: tuple[int, int], confidence: float = 0.99, *, paired: bool = False
) -> Interval:
    """Interval of the ratio of two failure probabilities, first over second, for numbers of trials fixed before.

    Logarithms of the two exact tails are put together: by Fisher's method where the designs were measured in
    independent trials, by Bonferroni's inequality where in the same ones. A second design without failures leaves the
    ratio without an
    upper limit: infinity.

    Args:
        first: (failures, trials) of the first design.
        second: (failures, trials) of the second design.
        confidence: fraction.
        paired: whether the trials were the same.

    Raises:
        DataError: counts that do not fit.
        ConfigError: the confidence cannot be.
    """
    check_confidence(confidence)
    a, b = (clopper_pearson(s, n, (1 + confidence) / 2) for s, n in (first, second))
    low, high = a.low / b.high, a.high / b.low if b.low > 0 else math.inf
    if not paired:
        low, high = _ratio_by_fisher(first, second, confidence)
    ratio = a.estimate / b.estimate if b.estimate > 0 else math.inf
    how = "ratio, paired, exact" if paired else "ratio, exact"
    return Interval(ratio if a.estimate > 0 else 0.0, low, high, confidence, min(first[1], second[1]), how)


def _ratio_by_fisher(first: tuple[int, int], second: tuple[int, int], confidence: float) -> tuple[float, float]:
    budget = float(gammainccinv(2, (1 - confidence) / 2))
    low = math.exp(-largest(_log_curves(second, first, budget), budget)) if first[0] else 0.0
    return low, math.exp(largest(_log_curves(first, second, budget), budget)) if second[0] else math.inf


def _log_curves(above: tuple[int, int], below: tuple[int, int], budget: float) -> list[Curve]:
    """Evidence against log p from few failures of one design, and against minus log p from many of the other."""
    up, down = _log_tail(*above, budget, few=True), _log_tail(*below, budget, few=False)
    return [Curve(np.log(up[0]), up[1]), Curve(-np.log(down[0][::-1]), down[1][::-1])]


def _log_tail(failures: int, trials: int, budget: float, *, few: bool) -> tuple[Values, Values]:
    """Probabilities on a logarithmic grid, and minus the log of the chance of so few or so many failures."""
    rare = math.exp(-1.001 * budget)
    if few:
        end = 1.0 if failures == trials else float(betaincinv(failures + 1, trials - failures, 1 - rare))
        grid = np.geomspace(min(end, max(failures, 0.01) / trials / 50), end, POINTS)
        tail = np.ones(POINTS) if failures == trials else betainc(trials - failures, failures + 1, 1 - grid)
    else:
        start = float(betaincinv(failures, trials - failures + 1, rare))
        grid = np.geomspace(start, 1.0, POINTS)
        tail = betainc(failures, trials - failures + 1, grid)
    return grid, -np.log(np.maximum(tail, np.finfo(float).tiny))
