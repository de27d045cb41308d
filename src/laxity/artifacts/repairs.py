"""How the accuracy of plans was repaired: recipes tried, every repaired plan, the stages of the chosen one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from laxity.artifacts.details import summary
from laxity.core.intervals import clopper_pearson
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation, Quality
from laxity.core.serial import to_json
from laxity.recovery import quantised_plan
from laxity.search.driver import Budget, Outcome
from laxity.search.pool import Pool
from laxity.search.recipes import Trial


def repairs(outcome: Outcome, pool: Pool, budget: Budget) -> dict[str, Any]:
    """What ``recovery.json`` holds.

    Plans whose state before the repair is not in the journal are evaluated, and the chosen plan is judged on the test
    split after each stage of its recovery.

    Args:
        outcome: what the search found.
        pool: of the search.
        budget: of the search.

    Raises:
        LaxityError: an evaluation failed.
    """
    tried = [(name, e) for name, found in outcome.tried.items() for e in found if _epochs(e)]
    repaired = {e.plan_key: (name, e) for name, e in tried}
    trials = [e for trial in outcome.recipes.trials for _, e in trial.found]
    before = _before([*(e for _, e in repaired.values()), *trials], pool, budget.quick)
    base = Plan.from_json(outcome.base.plan)
    ordered = sorted(repaired.values(), key=lambda pair: (pair[1].energy_ratio, pair[1].plan_key))
    return {
        "max_drop": budget.max_drop,
        "quick": to_json(budget.quick),
        "original": outcome.base.quality.value + outcome.base.drop,
        "usual": to_json(outcome.recipes.usual),
        "circuits": to_json(outcome.recipes.circuits),
        "trials": [_trial(trial, before, base) for trial in outcome.recipes.trials],
        "repaired": [
            _repair(e, before, base) | {"level": name, "met": e.within(budget.max_drop, budget.guard)}
            for name, e in ordered
        ],
        "selected": outcome.selected.plan_key,
        "stages": _stages(Plan.from_json(outcome.selected.plan), base, pool),
    }


def _epochs(evaluation: Evaluation) -> int:
    recovery = Plan.from_json(evaluation.plan).recovery
    return 0 if recovery is None else recovery.epochs


def _before(repaired: Sequence[Evaluation], pool: Pool, quick: Recovery) -> dict[str, Evaluation]:
    """Repaired plans, by key, as they were before: after the brief repair of every plan of the search."""
    plans = [Plan.from_json(e.plan).with_recovery(quick) for e in repaired]
    found = pool.run(plans, "search", "repaired plans, before")
    return {e.plan_key: b for e, b in zip(repaired, found, strict=True)}


def _trial(trial: Trial, before: Mapping[str, Evaluation], base: Plan) -> dict[str, Any]:
    rows = [_repair(e, before, base) | {"chosen": recovery == trial.chosen} for recovery, e in trial.found]
    return {"question": trial.question, "rows": rows}


def _repair(evaluation: Evaluation, before: Mapping[str, Evaluation], base: Plan) -> dict[str, Any]:
    plan, untrained = Plan.from_json(evaluation.plan), before[evaluation.plan_key]
    return {
        "plan_key": evaluation.plan_key,
        "label": summary(plan.with_recovery(None), base),
        "recovery": to_json(plan.recovery),
        "energy_ratio": evaluation.energy_ratio,
        "before": untrained.quality.value,
        "after": evaluation.quality.value,
        "divergence_before": untrained.divergence,
        "divergence": evaluation.divergence,
        "drop": evaluation.drop,
        "curve": [dict(epoch) for epoch in evaluation.curve],
    }


def _stages(plan: Plan, base: Plan, pool: Pool) -> list[dict[str, Any]]:
    """Accuracy on the test split from the original network to the repaired plan."""
    steps = [("exact INT8", base), ("approximated, untreated", plan.with_recovery(None))]
    recovery = plan.recovery
    if recovery is not None:
        still = replace(Recovery(), reestimate=recovery.reestimate, compensate=recovery.compensate)
        if still.reestimate or still.compensate:
            steps.append((_words(still), plan.with_recovery(still)))
        first = quantised_plan(plan)
        if first is not None:
            steps.append(("exact circuits, trained", first))
        if recovery.trains:
            steps.append(("trained", plan))
    found = pool.run([p for _, p in steps], "test", "stages of the recovery")
    exact = found[0]
    original, total = exact.quality.value + exact.drop, exact.quality.samples
    low, high = clopper_pearson(round(original * total), total)
    rows = [_stage(name, e.quality) | {"drop": e.drop} for (name, _), e in zip(steps, found, strict=True)]
    return [{"name": "original", "value": original, "low": low, "high": high, "drop": 0.0}, *rows]


def _words(still: Recovery) -> str:
    parts = ["bias compensated"] if still.compensate else []
    return ", ".join([*parts, *(["statistics re-estimated"] if still.reestimate else [])])


def _stage(name: str, quality: Quality) -> dict[str, Any]:
    return {"name": name, "value": quality.value, "low": quality.low, "high": quality.high}
