"""Rank sites and techniques by what they save and what they harm, and thin out the space accordingly."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from laxity.core.approximation import Approximation
from laxity.core.demand import Demand
from laxity.core.errors import TargetError
from laxity.core.op import Site
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.core.slots import Slot
from laxity.core.space import Space, Variable
from laxity.search.pareto import front
from laxity.search.pool import Pool
from laxity.targets import Target


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


def priced(space: Space, sites: Iterable[Site], target: Target) -> Space:
    """Leave out multipliers and accumulators for which the target has no circuit, and therefore no price."""
    by_name = {site.name: site for site in sites}
    return _without(space, {c for c, places in _places(space).items() if not _has_price(c, places, by_name, target)})


def _has_price(choice: Approximation, places: Sequence[Variable], sites: Mapping[str, Site], target: Target) -> bool:
    if choice.slot not in (Slot.MULTIPLIER, Slot.ACCUMULATOR):
        return True
    try:
        target.check_arithmetic([choice.demand(Demand.of(sites[n]), {}) for place in places for n in place.sites])
    except TargetError:
        return False
    return True


def unbeaten(space: Space, pool: Pool) -> Space:
    """Price circuits in the network, without running it, and drop those that another beats.

    Only candidates that know their own `errors` are judged. One stays if it saves energy when used everywhere and no
    other of its kind is nowhere worse in price and errors; of equals the first stays.
    """
    kinds: dict[str, dict[Approximation, list[Variable]]] = {}
    for choice, places in _places(space).items():
        if choice.errors() is not None:
            kinds.setdefault(choice.kind, {})[choice] = places
    dropped: set[Approximation] = set()
    for kind, found in kinds.items():
        plans = [_everywhere(space.base, choice, places) for choice, places in found.items()]
        prices = pool.prices(plans, f"prices of {kind}s")
        saving = [(price, choice) for price, choice in zip(prices, found, strict=True) if price < 1]
        kept = front(saving, lambda pair: (pair[0], *(pair[1].errors() or ())))
        dropped |= set(found) - {choice for _, choice in kept}
    return _without(space, dropped)


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
    choices = _places(space)
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
    return _without(space, set(choices) - kept), results


def _places(space: Space) -> dict[Approximation, list[Variable]]:
    """Every candidate, with the decisions that it is one of."""
    found: dict[Approximation, list[Variable]] = {}
    for variable in space.variables:
        for candidate in variable.candidates:
            if candidate is not None:
                found.setdefault(candidate, []).append(variable)
    return found


def _without(space: Space, dropped: Container[Approximation]) -> Space:
    """The space without some candidates, and without decisions that have none left."""
    variables = []
    for variable in space.variables:
        left = tuple(c for c in variable.candidates if c is None or c not in dropped)
        if len(left) > 1:
            variables.append(replace(variable, candidates=left))
    return Space(tuple(variables), space.base)


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
