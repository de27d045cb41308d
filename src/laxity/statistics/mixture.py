"""Anytime-valid intervals of a probability: the beta-binomial mixture of Robbins.

For outcomes that are 1 with probability p, whatever was seen before, the ratio of the mean likelihood under a Beta(a,
b) prior to the likelihood under p is a martingale with mean 1. By Ville's inequality it ever reaches 1 / alpha with
probability at most alpha. The p for which it has not are therefore an interval that holds at all times together: one
may look after every outcome and stop when one likes.

Source: H. Robbins, Annals of Mathematical Statistics 41 (1970) 1397, section 3, the binomial case; J. Ville (1939).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlog1py, xlogy

from laxity.core.errors import ConfigError
from laxity.statistics.interval import Interval, Values, check_confidence, check_counts

HALVINGS = 55
"""Of an interval within [0, 1]: ends are then exact to double precision, and rounded outwards."""


def log_evidence(p: ArrayLike, successes: ArrayLike, trials: ArrayLike, a: float = 0.5, b: float = 10.0) -> Values:
    """Natural logarithm of the martingale against p, float64, all arguments broadcast; convex in p and in successes."""
    p, s, n = np.asarray(p, np.float64), np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    likelihood = xlogy(s, p) + xlog1py(n - s, -p)
    return np.asarray(betaln(s + a, n - s + b) - betaln(a, b) - likelihood, dtype=np.float64)


def mixture_bounds(
    successes: ArrayLike, trials: ArrayLike, confidence: float = 0.99, a: float = 0.5, b: float = 10.0
) -> tuple[Values, Values]:
    """Ends of the mixture's interval at these counts, without the intersection over earlier times.

    Args:
        successes: counts, broadcast.
        trials: counts, broadcast; may be 0.
        confidence: of the whole sequence.
        a: of the prior; Beta(0.5, 10) is sharp for rare events. Any prior chosen before sampling is valid.
        b: of the prior.

    Returns:
        Lower and upper ends, float64, rounded outwards.

    Raises:
        ConfigError: confidence or prior cannot be.
    """
    check_confidence(confidence)
    return evidence_bounds(successes, trials, -math.log1p(-confidence), a, b)


def evidence_bounds(
    successes: ArrayLike, trials: ArrayLike, limit: float, a: float = 0.5, b: float = 10.0
) -> tuple[Values, Values]:
    """Ends of the values against which there is less evidence than `limit`, in natural logarithms; as `mixture_bounds`.

    Raises:
        ConfigError: the prior cannot be.
    """
    if not (a > 0 and b > 0):
        raise ConfigError(f"a beta prior needs positive parameters, not ({a}, {b})")
    s, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    peak = np.where(n > 0, s / np.maximum(n, 1), 0.5)
    mixed = betaln(s + a, n - s + b) - betaln(a, b)
    outer = np.stack([np.zeros_like(peak), np.ones_like(peak)])

    def kept(p: Values) -> NDArray[np.bool_]:
        return np.asarray(mixed - xlogy(s, p) - xlog1py(n - s, -p) < limit)

    inside, outside = np.stack([peak, peak]), outer
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        within = kept(middle)
        inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
    # An end that is itself possible is not the limit of a search towards it.
    low, high = np.where(kept(outer), outer, outside)
    return low, high


@dataclass(frozen=True, slots=True)
class BinomialSequence:
    """Interval of a probability that holds after every batch of 0/1 outcomes, whatever made one stop.

    Immutable: `update` returns the next state in constant time. `low` and `high` are intersected over all updates.

    Attributes:
        confidence: of the whole sequence, fraction.
        a, b: beta prior of the mixture, chosen before sampling.
        successes, trials: counts so far.
        low, high: the interval so far.
    """

    confidence: float = 0.99
    a: float = 0.5
    b: float = 10.0
    successes: int = 0
    trials: int = 0
    low: float = 0.0
    high: float = 1.0

    def update(self, successes: int, trials: int = 1) -> BinomialSequence:
        """The state after `trials` more outcomes of which `successes` were 1.

        Raises:
            DataError: more successes than trials, or a negative count.
            ConfigError: confidence or prior cannot be.
        """
        check_counts(successes, trials)
        s, n = self.successes + int(successes), self.trials + int(trials)
        low, high = (float(x) for x in mixture_bounds(s, n, self.confidence, self.a, self.b))
        low, high = max(self.low, low), min(self.high, high)
        if low > high:  # all values are excluded, which happens with probability 1 - confidence at most
            low = high = min(max(s / n, self.low), self.high)
        return replace(self, successes=s, trials=n, low=low, high=high)

    def interval(self) -> Interval:
        """The interval at this moment. The estimate is the share of successes, moved into the interval."""
        share = self.successes / self.trials if self.trials else 0.5
        estimate = min(max(share, self.low), self.high)
        return Interval(estimate, self.low, self.high, self.confidence, self.trials, "beta-binomial mixture, any time")
