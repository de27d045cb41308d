"""One multiplier for the whole network: the strongest that stays within the budget, and the ladder up to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from laxity.core.approximation import Approximation
from laxity.core.errors import ConfigError
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.recovery import approximate_names
from laxity.search.journaled import journaled
from laxity.search.pool import Pool, Progress
from laxity.techniques import CircuitMultiplier, Integer


@dataclass(frozen=True, slots=True)
class Rung:
    """One multiplier, at every site.

    Attributes:
        name: in the catalogue.
        before: evaluation without treatment.
        after: with treatment, None where the climb ended before.
        accepted: whether the treated network is within the budget.
    """

    name: str
    before: Evaluation
    after: Evaluation | None
    accepted: bool

    @property
    def energy_ratio(self) -> float:
        """Energy over that of the exact 8-bit network on the target."""
        return (self.after or self.before).energy_ratio


@dataclass(frozen=True, slots=True)
class Ladder:
    """What the methodology found.

    Attributes:
        quantised: the network with exact circuits, trained where quantisation alone is over the budget.
        rungs: from the multiplier that costs most energy to the one that costs least; those that save nothing are
            left out.
        chosen: the last rung that was accepted, None if there is none.
        tested: the quantised network and, where there is one, the chosen one on the test split; empty where that was
            not asked for.
    """

    quantised: Evaluation
    rungs: tuple[Rung, ...]
    chosen: Rung | None
    tested: tuple[Evaluation, ...] = ()


def uniform(
    setup: Setup,
    names: Iterable[str] | None = None,
    *,
    max_drop: float = 0.01,
    guard: float = 0.0,
    recipe: Recovery | None = None,
    operands: Approximation | None = None,
    whole: bool = False,
    test: bool = False,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Ladder:
    """Approximate all sites, first and last included, by ever stronger multipliers, and treat each network.

    The network is quantised, and trained where that alone costs more than the budget. Multipliers are ordered by the
    energy of the whole network on the target. From the mildest on, each network is treated and judged; the climb ends
    at the first that is over the budget, or goes on to the end to report all.

    Args:
        setup: task, target, seed and device; its folder is not used.
        names: multipliers of the catalogue; all of 8 bits that are not exact if None.
        max_drop: accuracy that may be lost against the original network, a fraction.
        guard: standard errors that are added to a drop before it is compared.
        recipe: how every network is treated; distillation with the gradient of the error model if None.
        operands: choice for all sites, 8-bit integers if None.
        whole: treat all multipliers; `chosen` is then the cheapest that is accepted, whatever lies before it.
        test: judge what is reported on the test split too, after the choice.
        folder: for the journal, trained weights and unfinished trainings; the same call again goes on from there.
        workers: processes; with more than one, only `whole` treats multipliers side by side.
        progress: called with (what, done, total, latest result).

    Raises:
        ConfigError: no multipliers are named.
        LaxityError: a multiplier does not fit, or an evaluation failed; finished ones are kept.

    Source: reconstructed from C. De la Parra's thesis abstract (TU Dresden, 2024) and "Full approximation of deep
    neural networks through efficient optimization", ISCAS 2020, whose algorithm is not public.
    """
    wanted = _wanted(names)
    recovery = Recovery(epochs=8, gradient="error_slope") if recipe is None else recipe
    sites = [s for s in Evaluator(replace(setup, folder=None)).prepared.sites if s.slots]
    base = Plan.assign(sites, [operands or Integer()])
    plans = {m.name: Plan.assign(sites, [operands or Integer(), m]) for m in wanted}

    def fits(evaluation: Evaluation) -> bool:
        return evaluation.within(max_drop, guard)

    with journaled(setup, setup.seed, folder, workers, progress) as pool:
        quantised = _quantised(pool, base, recovery, fits)
        before = pool.run(plans.values(), "search", "uniform: untreated")
        ordered = sorted(zip(plans, before, strict=True), key=lambda pair: (-pair[1].energy_ratio, pair[0]))
        saving = [(name, e) for name, e in ordered if e.energy_ratio < quantised.energy_ratio]
        treated = {name: plans[name].with_recovery(recovery) for name, _ in saving}
        after = _climb(pool, treated, fits, whole)
        accepted = [name for name, e in after.items() if fits(e)]
        tested = _test(pool, [quantised, *(after[name] for name in accepted[-1:])]) if test else ()
    rungs = {name: Rung(name, e, after.get(name), name in accepted) for name, e in saving}
    return Ladder(quantised, tuple(rungs.values()), rungs[accepted[-1]] if accepted else None, tested)


def _wanted(names: Iterable[str] | None) -> list[CircuitMultiplier]:
    found = [CircuitMultiplier(n) for n in dict.fromkeys(approximate_names() if names is None else names)]
    if not found:
        raise ConfigError("the uniform methodology needs at least one multiplier; name some, or leave names out")
    return found


def _test(pool: Pool, chosen: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
    return tuple(pool.run([Plan.from_json(e.plan) for e in chosen], "test", "test split"))


def _quantised(pool: Pool, base: Plan, recovery: Recovery, fits: Callable[[Evaluation], bool]) -> Evaluation:
    """The network with exact circuits, trained where it is over the budget."""
    found = pool.run([base], "recovery", "quantised network")[0]
    if fits(found) or recovery.epochs == 0:
        return found
    exact = replace(recovery, gradient="straight_through", modelled=False, regularise=0.0, compensate=False)
    return pool.run([base.with_recovery(exact)], "recovery", "quantised network: training")[0]


def _climb(
    pool: Pool, treated: Mapping[str, Plan], fits: Callable[[Evaluation], bool], whole: bool
) -> dict[str, Evaluation]:
    """Evaluations of treated plans, in their order up to the first that does not fit, or of all."""
    if whole:
        return dict(zip(treated, pool.run(treated.values(), "recovery", "uniform: treated"), strict=True))
    found: dict[str, Evaluation] = {}
    for name, plan in treated.items():
        found[name] = pool.run([plan], "recovery", f"uniform: {name}")[0]
        if not fits(found[name]):
            break
    return found
