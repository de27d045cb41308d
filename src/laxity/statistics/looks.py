"""Early stopping with exact intervals: a few looks at numbers of trials that are fixed before sampling.

Intervals for a fixed number of trials are narrower than those for any time. A campaign that looks only at a few planned
moments may use them, if the looks share the error probability. All looks hold together, so that one may stop at any.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from laxity.core.errors import ConfigError, DataError
from laxity.statistics.interval import Interval, Values, check_confidence
from laxity.statistics.planning import smallest
from laxity.statistics.strata import Stratum, check_strata, neyman_shares, planned_deviation
from laxity.statistics.stratified import METHODS, stratified_interval

FALLING = 0.6
"""Share of the error probability left that each look but the last takes: the first look is the likely end."""


def spend(looks: int, confidence: float = 0.99) -> tuple[float, ...]:
    """Error probabilities of the looks, falling geometrically; they add up to ``1 - confidence``.

    Raises:
        ConfigError: no looks, or a confidence that cannot be.

    Source: Bonferroni's inequality; the idea of spending: K. K. G. Lan, D. L. DeMets, Biometrika 70 (1983) 659.
    """
    check_confidence(confidence)
    if looks < 1:
        raise ConfigError(f"a plan has at least 1 look, not {looks}")
    left, shares = 1 - confidence, []
    for _ in range(looks - 1):
        shares.append(left * FALLING)
        left *= 1 - FALLING
    return (*shares, left)


@dataclass(frozen=True, slots=True)
class LookPlan:
    """Trials of every stratum at every look, and the error probability of each look.

    Attributes:
        names: of the strata that are sampled.
        trials: by look, trials of each stratum in all so far.
        errors: by look; they add up to ``1 - confidence``.
        method: ``fisher`` or ``exact_bonferroni``.
    """

    names: tuple[str, ...]
    trials: tuple[tuple[int, ...], ...]
    errors: tuple[float, ...]
    method: str = "fisher"

    def __post_init__(self) -> None:
        if len(self.trials) != len(self.errors) or not self.trials:
            raise ConfigError(f"{len(self.trials)} looks need as many error probabilities, not {len(self.errors)}")
        if any(len(t) != len(self.names) for t in self.trials):
            raise ConfigError("a look names the trials of every stratum")
        if any(np.any(np.diff(np.array(self.trials), axis=0) < 0, axis=1)):
            raise ConfigError("trials of a stratum cannot fall from look to look")

    @property
    def confidence(self) -> float:
        """Of all looks together, fraction."""
        return 1 - math.fsum(self.errors)

    def interval(self, look: int, strata: Sequence[Stratum]) -> Interval:
        """The interval at a look, 0 first; its confidence is that of the whole plan.

        Raises:
            DataError: the strata do not have the planned trials: the interval would not be exact.
        """
        counts = {s.name: s.trials for s in check_strata(strata)}
        planned = dict(zip(self.names, self.trials[look], strict=True))
        if counts != planned:
            raise DataError(f"look {look} was planned with trials {planned}, not {counts}")
        found = stratified_interval(strata, 1 - self.errors[look], self.method)
        return replace(found, confidence=self.confidence, method=f"{found.method}, planned looks")


def plan_looks(
    strata: Sequence[Stratum],
    half_width: float,
    confidence: float = 0.99,
    *,
    looks: int = 3,
    growth: float = 1.35,
    assurance: float = 0.5,
    method: str = "fisher",
) -> LookPlan:
    """Looks at which a campaign is likely to reach a half-width, from a pilot or from another network's campaign.

    These outcomes serve the plan only and must not be counted again: the plan's trials are fresh ones. The first
    look is placed where the half-width is met at the share expected, others follow by `growth`.

    Args:
        strata: with these outcomes; certified strata get nothing.
        half_width: wanted, fraction.
        confidence: of all looks together.
        looks: number of looks.
        growth: of the trials from look to look.
        assurance: standard deviations by which successes may exceed the expected ones at the first look.
        method: ``fisher`` or ``exact_bonferroni``.

    Raises:
        ConfigError: a value out of range.
    """
    if growth <= 1 or half_width <= 0:
        raise ConfigError(f"a plan needs growth above 1 and a half-width above 0, not {growth} and {half_width}")
    if method not in METHODS or METHODS[method][1]:
        raise ConfigError(f"planned looks take 'fisher' or 'exact_bonferroni', not {method!r}")
    errors, open_strata = spend(looks, confidence), check_strata(strata)
    first = _first_look(open_strata, half_width, 1 - errors[0], assurance, method)
    trials = tuple(tuple(math.ceil(n * growth**k) for n in first) for k in range(looks))
    return LookPlan(tuple(s.name for s in open_strata), trials, errors, method)


def _first_look(
    strata: Sequence[Stratum], half_width: float, confidence: float, assurance: float, method: str
) -> Values:
    """Cheapest trials by stratum: Neyman shares, then shifted between strata as long as that saves anything."""
    rates = np.array([s.share for s in strata])
    costs = np.array([s.cost for s in strata])
    shares = neyman_shares([s.weight for s in strata], [planned_deviation(s) for s in strata], costs)

    def needed(shares: Values) -> Values:
        def met(total: float) -> bool:
            return _expected_half_width(strata, rates, shares * total, confidence, assurance, method) <= half_width

        return np.asarray(shares * smallest(met, 64.0 * len(strata)), np.float64)

    best = needed(shares)
    for factor in (2.0, 1.5, 1.2):
        improved = True
        while improved:
            improved = False
            for h in range(len(strata) if len(strata) > 1 else 0):
                shifted = best.copy()
                shifted[h] *= factor
                other = needed(shifted / shifted.sum())
                if float(other @ costs) < 0.99 * float(best @ costs):
                    best, improved = other, True
    return best


def _expected_half_width(
    strata: Sequence[Stratum], rates: Values, trials: ArrayLike, confidence: float, assurance: float, method: str
) -> float:
    """Half-width if every stratum has its expected successes and `assurance` standard deviations more."""
    counts = np.maximum(1, np.ceil(np.asarray(trials))).astype(int)
    expected = counts * rates + assurance * np.sqrt(counts * rates * (1 - rates))
    weight = math.fsum(s.weight for s in strata)
    seen = [
        replace(s, weight=s.weight / weight, successes=min(int(n), round(float(e))), trials=int(n))
        for s, n, e in zip(strata, counts, expected, strict=True)
    ]
    return weight * stratified_interval(seen, confidence, method).half_width
