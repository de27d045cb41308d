"""Accuracy at every bit error rate from one campaign: a Poisson mixture over the number of faults.

With many bits and a small rate, the number of faults is Poisson distributed, and which bits they strike does not depend
on the rate. The mean accuracy with exactly k faults therefore serves all rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln, pdtrc, xlogy

from laxity.core.errors import ConfigError
from laxity.statistics.interval import Interval, Values


def expected_faults(bit_error_rate: float, bits: int) -> float:
    """Mean number of faults in a memory.

    Raises:
        ConfigError: a rate or size that cannot be.
    """
    if not 0 <= bit_error_rate <= 1 or bits < 0:
        raise ConfigError(f"{bits} bits cannot have a bit error rate of {bit_error_rate}")
    return bit_error_rate * bits


def poisson_weights(mean: float, most: int) -> Values:
    """Probabilities of 0 to `most` faults, float64 (most + 1,).

    Raises:
        ConfigError: a mean or count that cannot be.
    """
    if not (mean >= 0 and math.isfinite(mean)) or most < 0:
        raise ConfigError(f"no Poisson weights for mean {mean} and at most {most} faults")
    k = np.arange(most + 1)
    return np.asarray(np.exp(xlogy(k, mean) - mean - gammaln(k + 1)), dtype=np.float64)


def poisson_error(bit_error_rate: float, bits: int) -> float:
    """Largest possible error of taking the number of faults as Poisson instead of binomial, for any accuracy.

    Raises:
        ConfigError: a rate or size that cannot be.

    Source: A. D. Barbour, P. Hall, Math. Proc. Camb. Phil. Soc. 95 (1984) 473, theorem 1: total variation at most
    ``p (1 - exp(-n p))``.
    """
    return bit_error_rate * -math.expm1(-expected_faults(bit_error_rate, bits))


def accuracy_at_rate(by_faults: Sequence[Interval], bit_error_rate: float, bits: int) -> Interval:
    """Mean accuracy at a bit error rate, from the mean accuracies with exactly 0, 1, 2, ... faults.

    Ends are sums of weighted ends; they hold together if all intervals do, so that each needs its share of the error
    probability. Counts beyond the last one contribute between 0 and their whole probability, and the end are widened by
    the error of the Poisson distribution, so that nothing is extrapolated.

    Args:
        by_faults: interval for every number of faults, from 0 on; fractions.
        bit_error_rate: probability of each bit.
        bits: stored.

    Returns:
        The interval; its confidence is that of all intervals together by Bonferroni's inequality. The estimate takes
        larger numbers of faults to be as good as the last one.

    Raises:
        ConfigError: no intervals, or a rate or size that cannot be.
    """
    if not by_faults:
        raise ConfigError("accuracies with 0, 1, 2, ... faults are needed; there are none")
    mean, last = expected_faults(bit_error_rate, bits), len(by_faults) - 1
    weights, beyond = poisson_weights(mean, last), float(pdtrc(last, mean)) if mean > 0 else 0.0
    slack = poisson_error(bit_error_rate, bits)
    low = math.fsum(w * x.low for w, x in zip(weights, by_faults, strict=True)) - slack
    high = math.fsum(w * x.high for w, x in zip(weights, by_faults, strict=True)) + beyond + slack
    middle = math.fsum(w * x.estimate for w, x in zip(weights, by_faults, strict=True))
    middle += beyond * by_faults[-1].estimate
    confidence = max(0.0, 1 - math.fsum(1 - x.confidence for x in by_faults))
    samples = sum(x.samples for x in by_faults)
    return Interval(middle, max(0.0, low), min(1.0, high), confidence, samples, "Poisson mixture")
