"""The whole search: sensitivity, then for each single level and for all levels together greedy, evolution, repair."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from laxity.core.approximation import Approximation
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.core.slots import Level, Slot
from laxity.core.space import Space
from laxity.search.evolve import evolve
from laxity.search.greedy import Genome, path, walk
from laxity.search.pool import Pool
from laxity.search.recipes import Recipes, choose
from laxity.search.recover import recover
from laxity.search.sensitivity import Probe, rank, thin, unbeaten

CROSS = "cross"
_REPAIRABLE = 6.0
_HOPEFUL = 3.0
_POLISH = 3
_NEEDED = 1.01
_CIRCUITS = (Slot.MULTIPLIER, Slot.ACCUMULATOR)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may spend and what it must keep.

    Attributes:
        max_drop: accuracy that may be lost, as a fraction.
        guard: standard errors that are added to a measured drop before it is compared with `max_drop`; 1.64 means that
            the true drop is within the budget with 95 % confidence.
        candidates: candidates per slot that are tried place by place, besides exact.
        evaluations: plans tried per level, without repair.
        population: size of a generation of the evolutionary search.
        rounds: rounds of repair per level, two plans each.
        quick: brief repair of every plan tried.
        recoveries: thorough repair of the most promising plans; of several the one that works best is found by trial.
        gradients: gradient estimators for the repair of plans with approximate multipliers, likewise.
    """

    max_drop: float = 0.01
    guard: float = 1.64
    candidates: int = 6
    evaluations: int = 36
    population: int = 12
    rounds: int = 5
    quick: Recovery = field(default_factory=Recovery)
    recoveries: tuple[Recovery, ...] = (Recovery(epochs=8),)
    gradients: tuple[str, ...] = ("straight_through", "error_slope")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found.

    Attributes:
        base: evaluation of the exact 8-bit network.
        probes: sensitivity of every place to every candidate kept.
        tried: evaluations per level (``data|software|hardware|cross``), repaired plans included.
        best: cheapest evaluation within the budget per level, None where there is none.
        selected: the plan to hand over: the cheapest within the budget, or the least harmful if none fits.
        met: whether the selected plan fits the budget.
        recipes: how plans were repaired, and how that was found.
    """

    base: Evaluation
    probes: tuple[Probe, ...]
    tried: Mapping[str, tuple[Evaluation, ...]]
    best: Mapping[str, Evaluation | None]
    selected: Evaluation
    met: bool
    recipes: Recipes


def search(space: Space, pool: Pool, budget: Budget, *, seed: int) -> Outcome:
    """Search each level alone, then all levels together, with as many evaluations and repairs each.

    The search over all levels knows what the single levels found: the first plans that it repairs join their best ones.

    Raises:
        LaxityError: an evaluation failed; finished ones are in the journal.
    """
    base = pool.run([space.base], "baseline", "exact 8-bit network")[0]
    thinned, _ = thin(unbeaten(space, pool), pool, budget.candidates)
    probes = rank(thinned, pool)
    recipes = choose(thinned, pool, budget.recoveries, budget.gradients)
    tried: dict[str, tuple[Evaluation, ...]] = {}
    for name, levels in _LEVELS.items():
        joined = _joined(space.base, tried, budget) if name == CROSS else []
        level = thinned.restrict(levels)
        tried[name] = tuple(_search_level(level, probes, pool, budget, recipes, seed, name, joined))
    best = {name: _cheapest([base, *found], budget) for name, found in tried.items()}
    fitting = [(e, name) for name, e in best.items() if e is not None]
    if not fitting:
        least = min([base, *tried[CROSS]], key=lambda e: (e.drop, e.energy_ratio))
        return Outcome(base, tuple(probes), tried, best, least, False, recipes)
    selected, name = min(fitting, key=lambda pair: _by_energy(pair[0]))
    polished = _polish(selected, _simplified(selected, space.base, pool, budget), pool, budget, recipes)
    if polished is not selected:
        tried[name] = (*tried[name], polished)
    best[name] = polished
    return Outcome(base, tuple(probes), tried, best, polished, True, recipes)


def _joined(base: Plan, tried: Mapping[str, Sequence[Evaluation]], budget: Budget) -> list[Plan]:
    """The best plans of the single levels, joined: all of them, then every two."""
    best = [_cheapest(found, budget) for found in tried.values()]
    plans = [Plan.from_json(e.plan) for e in best if e is not None]
    joined = []
    for size in range(len(plans), 1, -1):
        for members in itertools.combinations(plans, size):
            plan = base
            for site, _, choice, _ in (change for member in members for change in member.diff(base)):
                plan = plan if choice is None else plan.with_(site, choice)
            joined.append(plan)
    return joined


def _simplified(selected: Evaluation, base: Plan, pool: Pool, budget: Budget) -> Plan:
    """The selected plan without the kinds of choices that save next to nothing in the company of the others.

    A multiplier that is cheaper than the exact one for wide codes may not be for narrow ones, nor is a register that is
    narrow for wide ones, and every distinct circuit costs area in each processing element.
    """
    plan = Plan.from_json(selected.plan)
    kinds = list(dict.fromkeys(c for _, slot, c, _ in plan.diff(base) if c is not None and slot in _CIRCUITS))
    simpler = [_without(plan, base, kind) for kind in kinds]
    tried = pool.run([p.with_recovery(budget.quick) for p in (plan, *simpler)], "search", "is every choice needed?")
    useless = [k for k, e in zip(kinds, tried[1:], strict=True) if e.energy_ratio <= _NEEDED * tried[0].energy_ratio]
    for kind in useless:
        plan = _without(plan, base, kind)
    return plan


def _without(plan: Plan, base: Plan, kind: Approximation) -> Plan:
    """The plan with the base's choice wherever it has `kind`."""
    for site, slot, choice, original in plan.diff(base):
        if choice == kind:
            plan = plan.without(site, slot) if original is None else plan.with_(site, original)
    return plan


def _polish(selected: Evaluation, plan: Plan, pool: Pool, budget: Budget, recipes: Recipes) -> Evaluation:
    """Train the selected plan, simplified, longer; keep that if it fits the budget and is no worse.

    No worse means simpler at no more energy, or nearer to the original network by divergence, which a few hundred
    samples tell more surely than a drop of accuracy.
    """
    chosen = Plan.from_json(selected.plan)
    simpler = bool(plan.diff(chosen))
    recovery = recipes.of(plan)
    if recovery.epochs == 0 or (chosen.recovery is None and not simpler):
        return selected
    epochs = 0 if chosen.recovery is None else chosen.recovery.epochs
    longer = replace(recovery, epochs=_POLISH * max(recovery.epochs, epochs))
    result = pool.run([plan.with_recovery(longer)], "recovery", "selected plan: long repair")[0]
    better = simpler or result.divergence < selected.divergence
    cheap = result.energy_ratio <= _NEEDED * selected.energy_ratio
    return result if better and cheap and result.within(budget.max_drop, budget.guard) else selected


_LEVELS: dict[str, tuple[Level, ...]] = {**{level.value: (level,) for level in Level}, CROSS: tuple(Level)}


def _by_energy(evaluation: Evaluation) -> tuple[float, str]:
    return evaluation.energy_ratio, evaluation.plan_key


def _cheapest(found: Sequence[Evaluation], budget: Budget) -> Evaluation | None:
    fitting = [e for e in found if e.within(budget.max_drop, budget.guard) and e.stage != "sensitivity"]
    return min(fitting, key=_by_energy, default=None)


def _search_level(
    space: Space,
    probes: Sequence[Probe],
    pool: Pool,
    budget: Budget,
    recipes: Recipes,
    seed: int,
    name: str,
    favourites: Sequence[Plan],
) -> list[Evaluation]:
    """Greedy path, evolution from it, repair of favourites and of what was found."""
    results: dict[Genome, Evaluation] = {}

    def run(genomes: Sequence[Genome]) -> list[Evaluation]:
        plans = [space.plan(g).with_recovery(budget.quick) for g in genomes]
        found = pool.run(plans, "search", f"{name}: search")
        results.update(zip(genomes, found, strict=True))
        return found

    mine = {v.name for v in space.variables}
    limits = (
        lambda e: e.within(budget.max_drop, budget.guard),
        lambda e: e.drop <= _REPAIRABLE * budget.max_drop,
    )
    genomes = path(space, [p for p in probes if p.variable in mine])
    starts = walk(genomes, run, limits, count=budget.evaluations // 2)
    left = budget.evaluations - len(starts)
    evolve(space, starts, run, count=left, population=budget.population, seed=seed, label=name)
    repaired = recover(
        list(results.values()),
        pool,
        recipes,
        rounds=budget.rounds,
        fits=limits[0],
        hopeful=lambda e: e.drop <= _HOPEFUL * budget.max_drop,
        what=name,
        favourites=favourites,
    )
    return [*results.values(), *repaired]
