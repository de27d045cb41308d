"""Rank sites and techniques by what they save and what they harm, and thin out the space accordingly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from laxity.core.approximation import Approximation
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.core.slots import Slot
from laxity.core.space import Space, Variable
from laxity.search.pareto import front
from laxity.search.pool import Pool


@dataclass(frozen=True, slots=True)
class Probe:
    """One choice at one place, everything else exact.

    Attributes:
        variable: name of the decision, ``site/slot``.
        slot: its slot.
        choice: the candidate.
        saving: energy saved, as a fraction of the exact network's.
        harm: divergence of the predictions from the baseline's, in nats, above that of the exact 8-bit network.
        drop: accuracy lost on the probe samples.
    """

    variable: str
    slot: Slot
    choice: Approximation
    saving: float
    harm: float
    drop: float


def thin(space: Space, pool: Pool, most: int) -> tuple[Space, list[Evaluation]]:
    """Try every candidate everywhere at once and keep those that no other beats in saving and harm.

    Candidates that save nothing when used everywhere are dropped: no evaluation is spent on them site by site.

    Args:
        space: all decisions with all candidates.
        pool: runs the probes.
        most: candidates to keep per slot, besides exact.

    Returns:
        The space that is left, and the evaluations spent.
    """
    choices: dict[Approximation, list[Variable]] = {}
    for variable in space.variables:
        for candidate in variable.candidates:
            if candidate is not None:
                choices.setdefault(candidate, []).append(variable)
    plans = [_everywhere(space.base, choice, places) for choice, places in choices.items()]
    results = pool.run(plans, "sensitivity", "candidates, everywhere")
    useful: dict[Slot, list[tuple[Approximation, Evaluation]]] = {}
    for choice, result in zip(choices, results, strict=True):
        if result.energy_ratio < 1:
            useful.setdefault(choice.slot, []).append((choice, result))
    kept: set[Approximation] = set()
    for found in useful.values():
        best = front(found, lambda pair: (pair[1].energy_ratio, pair[1].divergence))
        kept.update(choice for choice, _ in _spread(best, most))
    variables = []
    for variable in space.variables:
        left = tuple(c for c in variable.candidates if c is None or c in kept)
        if len(left) > 1:
            variables.append(replace(variable, candidates=left))
    return Space(tuple(variables), space.base), results


def _everywhere(base: Plan, choice: Approximation, places: Sequence[Variable]) -> Plan:
    base = base.with_recovery(Recovery())
    for variable in places:
        for site in variable.sites:
            base = base.with_(site, choice)
    return base


def _spread(items: Sequence[tuple[Approximation, Evaluation]], most: int) -> list[tuple[Approximation, Evaluation]]:
    """At most `most` items, evenly spread and with both ends."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def rank(space: Space, pool: Pool) -> list[Probe]:
    """Try every candidate of every decision alone, with the rest exact."""
    base = pool.run([space.base], "sensitivity", "exact 8-bit network")[0]
    places = [(v, c) for v in space.variables for c in v.candidates if c is not None]
    plans = [_everywhere(space.base, choice, [variable]) for variable, choice in places]
    results = pool.run(plans, "sensitivity", "candidates, place by place")
    return [
        Probe(
            variable.name,
            variable.slot,
            choice,
            1 - result.energy_ratio,
            max(0.0, result.divergence - base.divergence),
            result.drop,
        )
        for (variable, choice), result in zip(places, results, strict=True)
    ]
