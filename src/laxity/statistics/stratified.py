"""Guaranteed intervals of a stratified share, for fixed numbers of trials and for any time.

| method | any time | how the strata are put together |
|---|---|---|
| `bonferroni` | yes | an interval per stratum, each at ``alpha / strata``, weighted and added |
| `product` | yes | product of the strata's martingales, union over allocations |
| `exact_bonferroni` | no | as the first, with Clopper-Pearson |
| `fisher` | no | product of the strata's exact p-values, union over allocations |

A method is chosen before sampling. Taking the narrowest of several afterwards would cover less than it says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betainc, betaincinv, gammainccinv

from laxity.core.errors import ConfigError
from laxity.core.registry import did_you_mean
from laxity.statistics.combination import Curve, largest, smallest_sum
from laxity.statistics.fixed import clopper_pearson
from laxity.statistics.interval import Interval, Values, check_confidence
from laxity.statistics.mixture import evidence_bounds, log_evidence, mixture_bounds
from laxity.statistics.strata import Stratum, check_strata, estimate

POINTS = 400
Ends = tuple[float, float]


def bonferroni_ends(strata: Sequence[Stratum], confidence: float = 0.99) -> Ends:
    """Ends from one mixture per stratum; hold at any time, for any choice of the next stratum from the past."""
    each = 1 - (1 - confidence) / max(1, len(strata))
    ends = [mixture_bounds(s.successes, s.trials, each, *s.prior) for s in strata]
    low, high = (math.fsum(s.weight * float(e[k]) for s, e in zip(strata, ends, strict=True)) for k in (0, 1))
    return low, high


def product_ends(strata: Sequence[Stratum], confidence: float = 0.99) -> Ends:
    """Ends from the product of the strata's mixtures; hold at any time, and for adaptive rounds.

    The product of martingales that move one at a time is a martingale, so that Ville's inequality holds for the true
    values of all strata together; the interval is what these values may add up to.

    Source: Ville's inequality; union over allocations as in J. V. Spertus, P. B. Stark, E-Vote-ID 2022.
    """
    least = [float(log_evidence(_peak(s), s.successes, s.trials, *s.prior)) for s in strata]
    budget, total = -math.log1p(-confidence), math.fsum(least)
    lower, upper = [], []
    for s, own in zip(strata, least, strict=True):
        # What the others leave at most: their evidence is negative where they speak for their values.
        ends = evidence_bounds(s.successes, s.trials, budget - (total - own), *s.prior)
        low, high = (float(x) for x in ends)
        lower.append(_mixture_curve(s, np.linspace(low, _peak(s), POINTS)))
        upper.append(_mixture_curve(s, np.linspace(_peak(s), high, POINTS)))
    return smallest_sum(lower, budget), largest(upper, budget)


def exact_bonferroni_ends(strata: Sequence[Stratum], confidence: float = 0.99) -> Ends:
    """Ends from one Clopper-Pearson interval per stratum; for numbers of trials that were fixed before."""
    each = 1 - (1 - confidence) / max(1, len(strata))
    parts = [clopper_pearson(s.successes, s.trials, each).scaled(s.weight) for s in strata]
    return math.fsum(p.low for p in parts), math.fsum(p.high for p in parts)


def fisher_ends(strata: Sequence[Stratum], confidence: float = 0.99) -> Ends:
    """Ends from the product of exact one-sided p-values; for numbers of trials that were fixed before.

    The p-values of binomial tails are independent and never too small, so that minus twice the logarithm of their
    product is at most chi-square distributed with two degrees of freedom per stratum. Narrower than Bonferroni where
    several strata matter, because they are unlikely to err all in one direction.

    Source: R. A. Fisher, Statistical Methods for Research Workers, 4th ed. (1932), section 21.1.
    """
    # Half of a chi-square variable with 2 k degrees of freedom is a gamma variable of shape k.
    budget = float(gammainccinv(len(strata), (1 - confidence) / 2))
    lower = [_tail_curve(s, budget, upper=False) for s in strata]
    return smallest_sum(lower, budget), largest([_tail_curve(s, budget, upper=True) for s in strata], budget)


METHODS: Mapping[str, tuple[Callable[[Sequence[Stratum], float], Ends], bool]] = {
    "bonferroni": (bonferroni_ends, True),
    "product": (product_ends, True),
    "exact_bonferroni": (exact_bonferroni_ends, False),
    "fisher": (fisher_ends, False),
}
"""By name: the function, and whether it holds at any time."""


def stratified_interval(strata: Sequence[Stratum], confidence: float = 0.99, method: str = "fisher") -> Interval:
    """The interval of the population's share at these counts.

    Args:
        strata: all strata; certified ones count as 0 with their weight.
        confidence: fraction.
        method: a name of `METHODS`.

    Raises:
        ConfigError: unknown method, confidence or strata that cannot be.
        DataError: a stratum without trials that is not certified.
    """
    check_confidence(confidence)
    ends = _method(method)[0]
    open_strata, share = check_strata(strata), estimate(strata)
    low, high = ends(open_strata, confidence) if open_strata else (0.0, 0.0)
    samples = sum(s.trials for s in open_strata)
    return Interval(share, min(low, share), max(high, share), confidence, samples, f"stratified, {method}")


def _method(name: str) -> tuple[Callable[[Sequence[Stratum], float], Ends], bool]:
    if name not in METHODS:
        raise ConfigError(f"unknown method of strata {name!r}{did_you_mean(name, METHODS)}")
    return METHODS[name]


@dataclass(frozen=True, slots=True)
class StratifiedSequence:
    """Interval of a stratified share that holds after every round, whatever the rounds looked at.

    Attributes:
        strata: with their counts so far.
        confidence: of the whole sequence, fraction.
        method: ``product`` or ``bonferroni``.
        low, high: intersected over all rounds.
    """

    strata: tuple[Stratum, ...]
    confidence: float = 0.99
    method: str = "product"
    low: float = 0.0
    high: float = 1.0

    def update(self, outcomes: Mapping[str, tuple[int, int]]) -> StratifiedSequence:
        """The state after a round.

        Args:
            outcomes: stratum name to (successes, trials) of this round.

        Raises:
            ConfigError: unknown stratum or method, a method that does not hold at any time, wrong weights.
            DataError: counts that cannot be, or trials in a stratum that is certified.
        """
        ends, anytime = _method(self.method)
        if not anytime:
            raise ConfigError(f"method {self.method!r} needs numbers fixed before; take 'product' or 'bonferroni'")
        unknown = outcomes.keys() - {s.name for s in self.strata}
        if unknown:
            raise ConfigError(f"there is no stratum {sorted(unknown)[0]!r}")
        strata = tuple(_with(s, *outcomes.get(s.name, (0, 0))) for s in self.strata)
        check_confidence(self.confidence)
        open_strata = check_strata(strata, sampled=False)
        low, high = ends(open_strata, self.confidence) if open_strata else (0.0, 0.0)
        low, high = max(self.low, low), min(self.high, high)
        if low > high:  # all values are excluded, which happens with probability 1 - confidence at most
            share = math.fsum(s.weight * s.share for s in strata)
            low = high = min(max(share, self.low), self.high)
        return replace(self, strata=strata, low=low, high=high)

    def interval(self) -> Interval:
        """The interval at this moment; the estimate is moved into it."""
        share = math.fsum(s.weight * s.share for s in self.strata)
        trials = sum(s.trials for s in self.strata)
        how = f"stratified, {self.method}, any time"
        return Interval(min(max(share, self.low), self.high), self.low, self.high, self.confidence, trials, how)


def _with(stratum: Stratum, successes: int, trials: int) -> Stratum:
    return replace(stratum, successes=stratum.successes + successes, trials=stratum.trials + trials)


def _peak(stratum: Stratum) -> float:
    return stratum.successes / stratum.trials if stratum.trials else 0.5


def _mixture_curve(stratum: Stratum, values: Values) -> Curve:
    evidence = log_evidence(values, stratum.successes, stratum.trials, *stratum.prior)
    return Curve(stratum.weight * values, evidence)


def _tail_curve(stratum: Stratum, budget: float, *, upper: bool) -> Curve:
    """Minus the logarithm of the exact tail probability, over values from the harmless end to beyond the budget."""
    s, n = (stratum.successes, stratum.trials) if upper else (stratum.trials - stratum.successes, stratum.trials)
    end = 1.0 if s == n else float(betaincinv(s + 1, n - s, -math.expm1(-1.001 * budget)))
    inner = np.linspace(0, s / n, POINTS // 2)
    values = np.concatenate([inner, np.linspace(s / n, end, POINTS)[1:]])
    tail = np.ones_like(values) if s == n else betainc(n - s, s + 1, 1 - values)
    evidence = -np.log(np.maximum(tail, np.finfo(float).tiny))
    if upper:
        return Curve(stratum.weight * values, evidence)
    return Curve(stratum.weight * (1 - values[::-1]), evidence[::-1])
