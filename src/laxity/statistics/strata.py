"""Strata of a fault population, their estimate, and how faults are shared out among them.

Strata are declared before sampling and partition the population: for example bit 30 of fp32 weights and all other bits.
A stratum whose faults are proved to be masked needs no samples: its share of silent corruption is exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from laxity.core.errors import ConfigError, DataError
from laxity.statistics.interval import Interval, Values, check_confidence

NOTHING_SEEN = 0.5
"""Pseudo-successes and pseudo-failures of a pilot when deviations are planned with: no stratum looks certain."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """One part of the population and what was seen in it.

    Attributes:
        name: of the part.
        weight: its share of the population, fraction; weights of all strata add up to 1.
        successes: outcomes that were 1, for example silent corruptions.
        trials: outcomes.
        certified: all its faults are proved to be masked; it then has no trials.
        cost: of one trial, in any unit that all strata share.
        prior: Beta(a, b) of the mixture, chosen before sampling.
    """

    name: str
    weight: float
    successes: int = 0
    trials: int = 0
    certified: bool = False
    cost: float = 1.0
    prior: tuple[float, float] = (0.5, 10.0)

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ConfigError(
                f"stratum {self.name!r} has weight {self.weight}; weights are fractions of the population"
            )
        if not 0 <= self.successes <= self.trials:
            raise DataError(f"stratum {self.name!r} has {self.successes} successes in {self.trials} trials")
        if self.certified and self.trials:
            raise DataError(f"stratum {self.name!r} is certified as masked and needs no trials; it has {self.trials}")
        if self.cost <= 0:
            raise ConfigError(f"stratum {self.name!r} costs {self.cost} per trial; costs are positive")

    @property
    def share(self) -> float:
        """Share of successes; 0 where certified or where nothing was seen."""
        return self.successes / self.trials if self.trials else 0.0


def check_strata(strata: Sequence[Stratum], *, sampled: bool = True) -> tuple[Stratum, ...]:
    """The strata that are sampled, if all together are a partition.

    Args:
        strata: all of them.
        sampled: whether every stratum that is not certified must have trials.

    Raises:
        ConfigError: weights do not add up to 1, or names occur twice.
        DataError: a stratum has no trials although it must.
    """
    total = math.fsum(s.weight for s in strata)
    if abs(total - 1) > 1e-9:
        raise ConfigError(f"weights of strata add up to {total}, not to 1; strata must partition the population")
    if len({s.name for s in strata}) != len(strata):
        raise ConfigError("two strata have the same name")
    open_strata = tuple(s for s in strata if not s.certified)
    empty = [s.name for s in open_strata if s.trials == 0]
    if sampled and empty:
        raise DataError(f"stratum {empty[0]!r} has no trials; sample every stratum that is not certified as masked")
    return open_strata


def estimate(strata: Sequence[Stratum]) -> float:
    """The unbiased estimate: shares weighted by population, certified strata counting as 0.

    Raises:
        ConfigError, DataError: the strata cannot be.
    """
    return math.fsum(s.weight * s.share for s in check_strata(strata))


def asymptotic_interval(strata: Sequence[Stratum], confidence: float = 0.99) -> Interval:
    """The normal interval of the stratified estimate, a named alternative: true for many successes in every stratum
    only.

    Variances use ``(s + 1/2) / (n + 1)``, so that strata without successes count too.

    Raises:
        ConfigError, DataError: strata or confidence cannot be.

    Source: W. G. Cochran, Sampling Techniques, 3rd ed., chapter 5, without finite population correction.
    """
    check_confidence(confidence)
    open_strata = check_strata(strata)
    share = estimate(strata)
    variance = math.fsum(s.weight**2 * planned_deviation(s) ** 2 / s.trials for s in open_strata)
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(variance)
    samples = sum(s.trials for s in open_strata)
    return Interval(
        share, max(0.0, share - half), min(1.0, share + half), confidence, samples, "stratified, asymptotic"
    )


def planned_deviation(stratum: Stratum) -> float:
    """Standard deviation of an outcome as a plan should take it: half a success and half a failure are added."""
    share = (stratum.successes + NOTHING_SEEN) / (stratum.trials + 2 * NOTHING_SEEN)
    return math.sqrt(share * (1 - share))


def neyman_shares(weights: ArrayLike, deviations: ArrayLike, costs: ArrayLike | None = None) -> Values:
    """Shares of the trials that give the least variance for the money: proportional to ``W S / sqrt(c)``.

    Raises:
        ConfigError: negative arguments, or nothing to share out.

    Source: J. Neyman, J. R. Statist. Soc. 97 (1934) 558; with costs: Cochran, chapter 5.
    """
    w, s = np.asarray(weights, np.float64), np.asarray(deviations, np.float64)
    c = np.ones_like(w) if costs is None else np.asarray(costs, np.float64)
    pull = w * s / np.sqrt(c)
    if not (np.all(w >= 0) and np.all(s >= 0) and np.all(c > 0) and pull.sum() > 0):
        raise ConfigError("an allocation needs weights and deviations of at least 0, not all 0, and positive costs")
    return np.asarray(pull / pull.sum(), dtype=np.float64)


def whole_numbers(shares: ArrayLike, total: int) -> NDArray[np.int64]:
    """Shares of `total` as whole numbers that add up to it, by largest remainders."""
    exact = np.asarray(shares, np.float64) * total
    counts = np.floor(exact).astype(np.int64)
    behind = np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]
    counts[behind] += 1
    return counts


def next_round(strata: Sequence[Stratum], trials: int, *, least: int = 0) -> dict[str, int]:
    """Trials of the next round by stratum, so that all rounds together approach the Neyman allocation.

    Pilot and later rounds are the same: deviations are those seen so far. Sequences stay valid, because the choice
    looks at the past only.

    Args:
        strata: with what was seen so far; certified strata get nothing.
        trials: of the round.
        least: that every open stratum gets in this round.

    Raises:
        ConfigError: the strata cannot be, or the round is too small.
    """
    open_strata = check_strata(strata, sampled=False)
    if trials < max(1, least * len(open_strata)) or not open_strata:
        raise ConfigError(f"a round of {trials} trials cannot give {least} to each of {len(open_strata)} strata")
    shares = neyman_shares(
        [s.weight for s in open_strata], [planned_deviation(s) for s in open_strata], [s.cost for s in open_strata]
    )
    done = np.array([s.trials for s in open_strata], np.float64)
    wanted = np.maximum(shares * (done.sum() + trials) - done, 0)
    free = trials - least * len(open_strata)
    counts = whole_numbers(wanted / wanted.sum(), free) + least
    return {s.name: int(n) for s, n in zip(open_strata, counts, strict=True)}
