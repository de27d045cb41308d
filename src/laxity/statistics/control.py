"""Prediction-powered estimates: a cheap proxy over all faults, corrected by the exact outcomes of a sample.

The mean over the population is the mean of the proxy over all faults, which is exact, plus the mean of outcome minus
proxy, which is sampled. A good proxy leaves little to sample; a bad one costs width, never validity.

Source: A. N. Angelopoulos et al., Science 382 (2023) 669; the classical difference estimator, Cochran, Sampling
Techniques, 3rd ed., chapter 7; tuned coefficient: A. N. Angelopoulos, J. C. Duchi, T. Zrnic (2023), PPI++.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from laxity.core.errors import ConfigError, DataError
from laxity.statistics.betting import BettingSequence
from laxity.statistics.interval import Interval, Values, check_confidence, fractions


def prediction_powered_interval(
    outcomes: ArrayLike,
    sampled_proxy: ArrayLike,
    population_proxy: float,
    confidence: float = 0.99,
    *,
    coefficient: float = 1.0,
    horizon: int | None = None,
) -> Interval:
    """Anytime-valid interval of the mean over all faults.

    Args:
        outcomes: fractions of a uniform sample with replacement, in the order drawn; (n,).
        sampled_proxy: the proxy of the same faults, fractions; (n,).
        population_proxy: mean of the proxy over all faults, exact.
        confidence: fraction.
        coefficient: of the proxy, from 0 (unused) to 1, chosen before sampling or from a pilot (`best_coefficient`).
        horizon: number of outcomes at which the interval should be narrowest.

    Raises:
        ConfigError: the coefficient is out of range.
        DataError: lengths differ, or values are no fractions.
    """
    y, g = _pairs(outcomes, sampled_proxy, coefficient)
    # Residuals lie in [-coefficient, 1]; bets are for values in [0, 1].
    scale = 1 + coefficient
    residuals = (y - coefficient * g + coefficient) / scale
    sequence = BettingSequence(confidence, horizon=horizon, caution=0.9).update(residuals)
    offset = coefficient * population_proxy - coefficient
    low, high = (max(0.0, min(1.0, scale * x + offset)) for x in (sequence.low, sequence.high))
    mean = min(max(scale * float(residuals.mean()) + offset, low), high)
    return Interval(mean, low, high, confidence, y.size, "prediction-powered, betting, any time")


def prediction_powered_asymptotic(
    outcomes: ArrayLike,
    sampled_proxy: ArrayLike,
    population_proxy: float,
    confidence: float = 0.99,
    *,
    coefficient: float = 1.0,
) -> Interval:
    """The normal interval of the same estimate, a named alternative for large samples of a fixed size.

    Raises:
        ConfigError: coefficient or confidence out of range.
        DataError: fewer than 2 outcomes, lengths that differ, or values that are no fractions.
    """
    check_confidence(confidence)
    y, g = _pairs(outcomes, sampled_proxy, coefficient)
    if y.size < 2:
        raise DataError(f"an interval of a mean needs at least two outcomes, not {y.size}")
    residuals = y - coefficient * g
    mean = coefficient * population_proxy + float(residuals.mean())
    half = float(ndtri((1 + confidence) / 2)) * float(residuals.std(ddof=1)) / float(np.sqrt(y.size))
    return Interval(mean, mean - half, mean + half, confidence, y.size, "prediction-powered, asymptotic")


def best_coefficient(pilot_outcomes: ArrayLike, pilot_proxy: ArrayLike) -> float:
    """The coefficient that leaves the least variance: covariance over variance of the proxy, within [0, 1].

    Take it from a pilot whose outcomes are not counted again.

    Raises:
        DataError: fewer than 2 outcomes, lengths that differ, or values that are no fractions.

    Source: the regression coefficient of the outcome on the proxy; A. B. Owen, Monte Carlo theory, methods and
    examples, chapter 8.
    """
    y, g = _pairs(pilot_outcomes, pilot_proxy, 1.0)
    if y.size < 2:
        raise DataError(f"a coefficient needs at least two outcomes, not {y.size}")
    variance = float(g.var())
    covariance = float(((y - y.mean()) * (g - g.mean())).mean())
    return min(1.0, max(0.0, covariance / variance)) if variance > 0 else 0.0


def _pairs(outcomes: ArrayLike, proxy: ArrayLike, coefficient: float) -> tuple[Values, Values]:
    if not 0 <= coefficient <= 1:
        raise ConfigError(f"the coefficient of a proxy is a fraction, not {coefficient}")
    y, g = fractions(outcomes), fractions(proxy, "proxies")
    if y.shape != g.shape or y.size == 0:
        raise DataError(f"{y.size} outcomes need as many proxies, at least one, not {g.size}")
    return y, g
