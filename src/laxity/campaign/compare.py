"""Two networks struck by the same faults on the same images."""

from __future__ import annotations

import numpy as np

from laxity.campaign.run import Campaign
from laxity.statistics import Interval, Stratum
from laxity.statistics.stratified import stratified_interval


def same_faults(first: Campaign, second: Campaign) -> bool:
    """Whether fault i of one is fault i of the other: same population, fault model, samples, seed and plan."""
    return (
        first.identity["population"] == second.identity["population"]
        and first.identity["subject"] == second.identity["subject"]
        and first.identity["data"] == second.identity["data"]
        and first.plan == second.plan
    )


def difference(first: Campaign, second: Campaign, property_name: str = "critical") -> Interval:
    """Interval of the difference of two shares, first minus second, from common faults.

    Only faults that harm exactly one of the two count, which makes the interval narrower than those of both. The faults
    are those of the last look that both have seen. Both shares have half of that look's error probability.

    Args:
        first: a campaign.
        second: another one with `same_faults`.
        property_name: of `Outcomes`.
    """
    look = min(first.look, second.look)
    one, other = (_paired(a, b, look, property_name) for a, b in ((first, second), (second, first)))
    error = first.plan.errors[look]
    up, down = (stratified_interval(strata, 1 - error / 2) for strata in (one, other))
    return Interval(
        up.estimate - down.estimate,
        up.low - down.high,
        up.high - down.low,
        first.aim.confidence,
        up.samples,
        "difference of paired stratified shares, Bonferroni",
    )


def _paired(first: Campaign, second: Campaign, look: int, name: str) -> list[Stratum]:
    """Faults that harm the first and not the second."""
    trials = dict(zip(first.plan.names, first.plan.trials[look], strict=True))
    found = []
    for k, (part, weight) in enumerate(zip(first.parts, first.weights, strict=True)):
        if part.certified:
            found.append(Stratum(part.name, weight, certified=True))
            continue
        rows = [c.outcomes[k].first(trials[part.name]) for c in (first, second)]
        only = np.asarray(getattr(rows[0], name)) & ~np.asarray(getattr(rows[1], name))
        found.append(Stratum(part.name, weight, int(only.sum()), len(only)))
    return found
