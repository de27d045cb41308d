"""Anytime-valid intervals of a mean of fractions: betting against every candidate mean.

A gambler bets on outcomes in [0, 1] being above, another on their being below a candidate mean m. If m is the true
mean, both capitals are martingales; the mean of the two capitals ever reaches 1 / alpha with probability at most
alpha. Means with which no gambler became rich are the interval. It uses the variance seen, so that it is far narrower
than an interval for 0/1 outcomes where the outcomes (for example the share of images that a fault changes) vary
little.

Source: I. Waudby-Smith, A. Ramdas, J. R. Statist. Soc. B 86 (2024) 1: the hedged capital process with predictable
plug-in bets (Theorem 3), sampling without replacement (section 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from laxity.core.errors import ConfigError, DataError
from laxity.statistics.interval import Interval, Values, check_confidence, fractions

CELLS = 256
"""Cells of the grid of candidate means. Ends are rounded outwards to it, at most 1/128 of the width."""

CAUTION = 0.75
"""Share of its capital that a gambler risks at most; any value below 1 is valid."""

CHUNK = 512


def plug_in_bets(values: Values, confidence: float, horizon: int | None = None, start: Moments | None = None) -> Values:
    """Bets before each outcome, from the variance of those before it, before truncation; float64 (n,).

    Without a horizon the bets serve all times about equally; with one they are best at that number of outcomes, and
    valid at all others too.
    """
    start = start if start is not None else Moments()
    n = values.size
    count = start.count + np.arange(1, n + 1)
    means = (0.5 + start.total + np.cumsum(values)) / (count + 1)
    deviations = start.deviation + np.cumsum((values - means) ** 2)
    variance = (0.25 + np.concatenate([[start.deviation], deviations[:-1]])) / count
    times = count * np.log1p(count) if horizon is None else np.full(n, float(horizon))
    return np.sqrt(2 * math.log(2 / (1 - confidence)) / (variance * times))


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, total and sum of squared deviations of the outcomes so far."""

    count: int = 0
    total: float = 0.0
    deviation: float = 0.0

    def after(self, values: Values) -> Moments:
        """The moments after these outcomes too."""
        count = self.count + np.arange(1, values.size + 1)
        means = (0.5 + self.total + np.cumsum(values)) / (count + 1)
        deviation = self.deviation + float(((values - means) ** 2).sum())
        return Moments(self.count + values.size, self.total + float(values.sum()), deviation)


def conditional_means(m: Values, values: Values, population: int | None, start: Moments) -> Values:
    """Mean of what is left before each outcome if the whole population has mean m: (candidates, n)."""
    if population is None:
        return np.broadcast_to(m[:, None], (m.size, values.size))
    drawn = start.count + np.arange(values.size)
    before = start.total + np.concatenate([[0.0], np.cumsum(values[:-1])])
    return (population * m[:, None] - before) / (population - drawn)


def log_growth(values: Values, means: Values, bets: Values, caution: float = CAUTION) -> tuple[Values, Values]:
    """Logarithms by which the two capitals grow with each outcome.

    Args:
        values: outcomes, broadcast against `means`.
        means: candidate mean before each outcome; where it lies outside [0, 1] both capitals become infinite.
        bets: before truncation, positive.
        caution: share of the capital at risk at most.

    Returns:
        Growth of the gambler who bets on more than the mean, and of the one who bets on less.
    """
    tiny = 1e-12
    gain = values - means
    more = np.log1p(np.minimum(bets, caution / np.maximum(means, tiny)) * gain)
    less = np.log1p(-np.minimum(bets, caution / np.maximum(1 - means, tiny)) * gain)
    # A margin for rounding: a candidate is excluded where less would be left than nothing, or more than everything.
    return np.where(means < -tiny, np.inf, more), np.where(means > 1 + tiny, np.inf, less)


@dataclass(frozen=True, slots=True, eq=False)
class BettingSequence:
    """Interval of a mean of outcomes in [0, 1] that holds after every outcome, whatever made one stop.

    Immutable: `update` returns the next state. Outcomes must be drawn independently, or without replacement from a
    finite population in random order. An update costs time proportional to its batch; the outcomes are kept, because
    the grid of candidate means is refined a few times in a campaign.

    Attributes:
        confidence: of the whole sequence, fraction.
        population: size of the finite population that is sampled without replacement; None with replacement.
        horizon: number of outcomes at which the interval should be narrowest; None for no particular one.
        caution: share of the capital that is at risk at most.
        values: outcomes so far, float64 (n,).
        low, high: the interval so far.
    """

    confidence: float = 0.99
    population: int | None = None
    horizon: int | None = None
    caution: float = CAUTION
    values: Values = field(default_factory=lambda: np.empty(0))
    low: float = 0.0
    high: float = 1.0
    _grid: _Grid | None = None

    def update(self, values: ArrayLike) -> BettingSequence:
        """The state after these further outcomes, in the order in which they were drawn.

        Raises:
            DataError: a value outside [0, 1], or more outcomes than the population has members.
            ConfigError: confidence, caution or horizon cannot be.
        """
        new = fractions(values)
        self._check(new.size)
        grid = self._grid if self._grid is not None else _Grid.between(0.0, 1.0)
        grid = grid.play(new, self)
        every = np.concatenate([self.values, new])
        low, high = self._intersect(grid, every)
        while 0 < high - low < grid.span / 2:
            grid = _Grid.between(low, high).play(every, self)
            low, high = self._intersect(grid, every)
        return replace(self, values=every, low=low, high=high, _grid=grid)

    def interval(self) -> Interval:
        """The interval at this moment. The estimate is the mean, moved into the interval."""
        mean = float(self.values.mean()) if self.values.size else 0.5
        estimate = min(max(mean, self.low), self.high)
        how = "betting, any time" + (", without replacement" if self.population is not None else "")
        return Interval(estimate, self.low, self.high, self.confidence, self.values.size, how)

    def _intersect(self, grid: _Grid, every: Values) -> tuple[float, float]:
        low, high = grid.ends(math.log(2 / (1 - self.confidence)))
        low, high = max(self.low, low), min(self.high, high)
        if self.population is not None:  # what is left lies between all 0 and all 1
            seen, left = float(every.sum()), self.population - every.size
            low, high = max(low, seen / self.population), min(high, (seen + left) / self.population)
        if low > high:  # all values are excluded, which happens with probability 1 - confidence at most
            low = high = min(max(float(every.mean()), self.low), self.high)
        return low, high

    def _check(self, size: int) -> None:
        check_confidence(self.confidence)
        if not 0 < self.caution < 1:
            raise ConfigError(f"caution is a share of the capital between 0 and 1, not {self.caution}")
        if self.horizon is not None and self.horizon < 1:
            raise ConfigError(f"a horizon is at least 1 outcome, not {self.horizon}")
        if self.population is not None and self.values.size + size > self.population:
            raise DataError(
                f"{self.values.size + size} outcomes cannot be drawn without replacement from {self.population}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Capitals of both gamblers against a grid of means, and the largest they ever were."""

    means: Values
    capital: Values
    peak: Values
    moments: Moments

    @staticmethod
    def between(low: float, high: float) -> _Grid:
        means = np.linspace(low, high, CELLS + 1)
        return _Grid(means, np.zeros((2, means.size)), np.zeros((2, means.size)), Moments())

    @property
    def span(self) -> float:
        return float(self.means[-1] - self.means[0])

    def play(self, values: Values, rules: BettingSequence) -> _Grid:
        capital, peak, moments = self.capital, self.peak, self.moments
        for start in range(0, values.size, CHUNK):
            part = values[start : start + CHUNK]
            bets = plug_in_bets(part, rules.confidence, rules.horizon, moments)
            means = conditional_means(self.means, part, rules.population, moments)
            path = np.stack(log_growth(part, means, bets, rules.caution)).cumsum(2) + capital[:, :, None]
            peak = np.maximum(peak, path.max(2))
            capital, moments = path[:, :, -1], moments.after(part)
        return _Grid(self.means, capital, peak, moments)

    def ends(self, limit: float) -> tuple[float, float]:
        """Both peaks are monotone in the mean, so that the outermost excluded grid points bound the interval."""
        more, less = self.peak >= limit
        below, above = self.means[more], self.means[less]
        low = float(below.max()) if below.size else float(self.means[0])
        return low, float(above.min()) if above.size else float(self.means[-1])
