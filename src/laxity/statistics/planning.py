"""How many trials a campaign needs, before it starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from laxity.core.errors import ConfigError
from laxity.core.seeds import stream
from laxity.statistics.fixed import clopper_pearson
from laxity.statistics.interval import check_confidence
from laxity.statistics.mixture import mixture_bounds


def _check(half_width: float, confidence: float) -> None:
    check_confidence(confidence)
    if not 0 < half_width < 0.5:
        raise ConfigError(f"a half-width is a fraction between 0 and 0.5, not {half_width}")


def normal_trials(
    half_width: float, confidence: float = 0.99, *, population: int | None = None, expected: float = 0.5
) -> int:
    """Trials for a Wald interval of this half-width, the formula of the field: it promises less than it says.

    Args:
        half_width: wanted, fraction (Leveugle's error margin e).
        confidence: fraction.
        population: number of possible faults; None for infinitely many.
        expected: share expected; 0.5 is the worst case.

    Raises:
        ConfigError: a value out of range.

    Source: R. Leveugle, A. Calvez, P. Maistri, P. Vanhauwaert, DATE 2009, equation 1:
    ``N / (1 + e^2 (N - 1) / (t^2 p (1 - p)))``.
    """
    _check(half_width, confidence)
    if not 0 < expected < 1:
        raise ConfigError(f"an expected share lies between 0 and 1, both excluded, not {expected}")
    variance = float(ndtri((1 + confidence) / 2)) ** 2 * expected * (1 - expected)
    if population is None:
        return math.ceil(variance / half_width**2)
    if population < 1:
        raise ConfigError(f"a population has at least 1 member, not {population}")
    return math.ceil(population / (1 + half_width**2 * (population - 1) / variance))


def exact_trials(half_width: float, confidence: float = 0.99, expected: float = 0.5) -> int:
    """Fewest trials from which on a Clopper-Pearson interval at the expected share is at most this wide.

    The count of successes is the expected one, rounded up; found by search, because the width has no closed form and is
    not monotone: all larger numbers within the same count also meet it.

    Raises:
        ConfigError: a value out of range.
    """
    _check(half_width, confidence)
    if not 0 <= expected <= 1:
        raise ConfigError(f"an expected share is a fraction, not {expected}")

    def wide(n: int) -> bool:
        return clopper_pearson(min(n, math.ceil(n * expected)), n, confidence).half_width > half_width

    low, high = 0, 1
    while wide(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    while wide(high):
        high += 1
    return high


def zero_failure_trials(bound: float, confidence: float = 0.99) -> int:
    """Trials without a success that prove that a probability is at most `bound`.

    Raises:
        ConfigError: a value out of range.

    Source: the smallest n with ``(1 - bound) ** n <= 1 - confidence``.
    """
    check_confidence(confidence)
    if not 0 < bound < 1:
        raise ConfigError(f"a bound lies between 0 and 1, both excluded, not {bound}")
    return math.ceil(math.log1p(-confidence) / math.log1p(-bound) - 1e-12)


@dataclass(frozen=True, slots=True)
class StoppingTime:
    """When a sequential campaign ends, by simulation.

    Attributes:
        mean, median, high: trials; `high` is reached by one campaign of ten.
        campaigns: simulated.
        unfinished: share of campaigns that the limit ended.
    """

    mean: float
    median: float
    high: float
    campaigns: int
    unfinished: float


def sequential_trials(
    half_width: float,
    confidence: float = 0.99,
    *,
    expected: float,
    batch: int = 100,
    limit: int = 200_000,
    campaigns: int = 200,
    seed: int = 0,
    prior: Sequence[float] = (0.5, 10.0),
) -> StoppingTime:
    """Trials after which a beta-binomial mixture sequence is at most this wide, at an expected share.

    Raises:
        ConfigError: a value out of range.
    """
    _check(half_width, confidence)
    if not 0 <= expected <= 1:
        raise ConfigError(f"an expected share is a fraction, not {expected}")
    random = stream(seed, "sequential_trials")
    successes = np.zeros(campaigns)
    low, high, stopped = np.zeros(campaigns), np.ones(campaigns), np.full(campaigns, float(limit))
    running = np.ones(campaigns, bool)
    for trials in range(batch, limit + 1, batch):
        successes += random.binomial(batch, expected, campaigns)
        ends = mixture_bounds(successes[running], np.full(int(running.sum()), trials), confidence, *prior)
        low[running], high[running] = np.maximum(low[running], ends[0]), np.minimum(high[running], ends[1])
        done = running & (high - low <= 2 * half_width)
        stopped[done] = trials
        running &= ~done
        if not running.any():
            break
    median, tenth = (float(x) for x in np.quantile(stopped, (0.5, 0.9)))
    return StoppingTime(float(stopped.mean()), median, tenth, campaigns, float(running.mean()))


def smallest(meets: Callable[[float], bool], start: float, *, most: float = 1e9) -> float:
    """Smallest scale, to 1 %, at which a condition that stays met once it is met holds.

    Raises:
        ConfigError: the condition does not hold even at `most`.
    """
    low, high = 0.0, start
    while not meets(high):
        low, high = high, 2 * high
        if high > most:
            raise ConfigError(f"no number of trials up to {most:g} meets the wanted half-width; ask for a wider one")
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if meets(middle) else (middle, high)
    return high
