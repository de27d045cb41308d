"""Importance sampling of faults that stays unbiased and bounded.

Faults are drawn with probability q instead of uniformly, where q prefers those that look harmful, and every outcome is
weighted by u / q. A share `defensive` of the draws stays uniform, so that no weight exceeds ``1 / defensive``: weighted
outcomes are then bounded, and betting gives a valid interval however wrong the scores are.

Source: T. Hesterberg, Technometrics 37 (1995) 185 (defensive mixtures); A. B. Owen, Monte Carlo theory, methods and
examples, chapter 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from laxity.core.errors import ConfigError, DataError
from laxity.statistics.betting import BettingSequence
from laxity.statistics.interval import Interval, Values, fractions


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """Probabilities with which the faults of a population are drawn.

    Attributes:
        probabilities: of each fault, float64 (faults,), adding up to 1.
        defensive: share of the draws that is uniform.
    """

    probabilities: Values
    defensive: float

    def draw(self, random: np.random.Generator, trials: int) -> NDArray[np.int64]:
        """Indices of faults, int64 (trials,), with replacement."""
        edges = np.cumsum(self.probabilities)
        drawn = np.searchsorted(edges / edges[-1], random.random(trials), side="right")
        return np.minimum(drawn, self.probabilities.size - 1).astype(np.int64)

    def weights(self, indices: ArrayLike) -> Values:
        """Uniform probability over that of the proposal, float64, at most ``1 / defensive``."""
        chosen = self.probabilities[np.asarray(indices, dtype=np.int64)]
        return np.asarray(1 / (self.probabilities.size * chosen), dtype=np.float64)


def defensive_proposal(scores: ArrayLike, defensive: float = 0.1) -> Proposal:
    """Mixture of uniform sampling with sampling in proportion to scores.

    Args:
        scores: of each fault, at least 0, for example an estimated probability of silent corruption; (faults,).
        defensive: uniform share, above 0 and at most 1. The variance is at most ``1 / defensive`` times the uniform
            one.

    Raises:
        ConfigError: the share is out of range.
        DataError: scores are negative, not finite, or none at all.
    """
    if not 0 < defensive <= 1:
        raise ConfigError(f"the defensive share lies above 0 and is at most 1, not {defensive}")
    values = np.asarray(scores, np.float64).ravel()
    if values.size == 0 or not np.all(np.isfinite(values) & (values >= 0)):
        raise DataError("scores of faults are finite numbers of at least 0, one for each fault")
    total = values.sum()
    preferred = values / total if total > 0 else np.full(values.size, 1 / values.size)
    return Proposal((1 - defensive) * preferred + defensive / values.size, defensive)


def weighted_interval(
    outcomes: ArrayLike, weights: ArrayLike, defensive: float, confidence: float = 0.99, *, horizon: int | None = None
) -> Interval:
    """Anytime-valid interval of the population's mean from weighted outcomes.

    Args:
        outcomes: fractions, in the order drawn; (n,).
        weights: of these draws, each at most ``1 / defensive``; (n,).
        defensive: uniform share of the proposal.
        confidence: fraction.
        horizon: number of draws at which the interval should be narrowest.

    Raises:
        DataError: lengths differ, an outcome is no fraction, or a weight exceeds its bound.
    """
    y, w = fractions(outcomes), np.asarray(weights, np.float64)
    bound = 1 / defensive
    if y.shape != w.shape or not np.all((w >= 0) & (w <= bound * (1 + 1e-9))):
        raise DataError(f"every outcome needs a weight from 0 to {bound:g} = 1 / defensive share")
    sequence = BettingSequence(confidence, horizon=horizon, caution=0.95).update(np.minimum(y * w / bound, 1.0))
    found = sequence.interval().scaled(bound)
    mean = float((y * w).mean()) if y.size else found.estimate
    high = min(1.0, found.high)
    estimate = min(max(mean, found.low), high)
    return Interval(estimate, found.low, high, confidence, y.size, "importance sampling, betting, any time")
