"""The tables of a run folder: figures, front, per-site details, sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from laxity.circuits import catalogue
from laxity.core.intervals import clopper_pearson
from laxity.core.op import Site
from laxity.core.plan import Plan
from laxity.core.records import Cost, Evaluation, Quality, Reliability
from laxity.core.serial import to_json
from laxity.core.slots import Slot
from laxity.evaluation.quality import Comparison, Predictions, compare
from laxity.search.driver import CROSS, Outcome
from laxity.search.pareto import front
from laxity.search.sensitivity import Probe
from laxity.sites.prepare import Prepared
from laxity.targets import Breakdown

_NORMAL_95 = 1.959963984540054


def metrics(
    task: str, target: str, seed: int, before: Predictions, after: Predictions, exact: Cost, cost: Cost
) -> dict[str, Any]:
    """Quality and energy of a verified plan: what `laxity evaluate` prints and `best/metrics.json` begins with."""
    comparison = compare(before, after)
    exact_pj, approximated_pj = exact.energy_pj.value, cost.energy_pj.value
    found: dict[str, Any] = {
        "task": task,
        "target": target,
        "seed": seed,
        "split": after.split,
        "samples": len(after.targets),
        "baseline": _accuracy(before),
        "approximated": _accuracy(after),
        "drop": comparison.drop,
        "drop_interval": _drop_interval(comparison),
        "energy_pj": {
            "int8_exact": exact_pj,
            "approximated": approximated_pj,
            "ratio": approximated_pj / exact_pj,
        },
    }
    if cost.resources:
        costs = {"int8_exact": exact, "approximated": cost}
        found["resources"] = {key: {n: e.value for n, e in c.resources.items()} for key, c in costs.items()}
    return found


def _accuracy(predictions: Predictions) -> dict[str, float]:
    right, total = int(predictions.correct.sum()), len(predictions.targets)
    low, high = clopper_pearson(right, total)
    return {"value": right / total, "low": low, "high": high}


def _drop_interval(comparison: Comparison) -> dict[str, float]:
    """Normal interval of the paired drop at 95 %."""
    half = _NORMAL_95 * comparison.error
    return {"low": comparison.drop - half, "high": comparison.drop + half}


def front_table(outcome: Outcome, baseline: Quality, max_drop: float) -> dict[str, Any]:
    """Every plan tried, which of them are on the front, and the best of each level.

    Args:
        outcome: what the search found.
        baseline: quality of the user's network on the validation split.
        max_drop: the budget.
    """
    tried = {(e.plan_key, e.stage): e for found in outcome.tried.values() for e in found}
    everything = [outcome.base, *tried.values()]
    best = {(e.plan_key, e.stage) for e in front(everything, lambda e: (e.energy_ratio, e.drop))}
    base = Plan.from_json(outcome.base.plan)
    return {
        "baseline": {"quality": to_json(baseline), "energy_pj": outcome.base.energy_pj},
        "int8_exact": {
            "quality": to_json(outcome.base.quality),
            "energy_pj": outcome.base.energy_pj,
            "energy_ratio": outcome.base.energy_ratio,
        },
        "points": [_point(e, base, (e.plan_key, e.stage) in best) for e in everything],
        "levels": {name: _level(e, base, max_drop) for name, e in outcome.best.items()},
        "selected": outcome.selected.plan_key,
    }


def _point(evaluation: Evaluation, base: Plan, on_front: bool) -> dict[str, Any]:
    return {
        "plan_key": evaluation.plan_key,
        "level": evaluation.level,
        "stage": evaluation.stage,
        "quality": evaluation.quality.value,
        "low": evaluation.quality.low,
        "high": evaluation.quality.high,
        "energy_ratio": evaluation.energy_ratio,
        "energy_pj": evaluation.energy_pj,
        "area_um2": evaluation.area_um2,
        "latency_cycles": evaluation.latency_cycles,
        "on_front": on_front,
        "label": summary(Plan.from_json(evaluation.plan), base),
    }


def _level(evaluation: Evaluation | None, base: Plan, max_drop: float) -> dict[str, Any] | None:
    if evaluation is None:
        return None
    return {
        "plan_key": evaluation.plan_key,
        "energy_ratio": evaluation.energy_ratio,
        "quality": evaluation.quality.value,
        "drop": evaluation.drop,
        "met": evaluation.drop <= max_drop,
        "label": summary(Plan.from_json(evaluation.plan), base),
    }


def summary(plan: Plan, base: Plan) -> str:
    """One line: per slot, the distinct choices that depart from the base and how many sites carry each."""
    counts: dict[Slot, dict[str, int]] = {}
    for _, slot, choice, _ in plan.diff(base):
        if choice is not None:
            per_slot = counts.setdefault(slot, {})
            per_slot[choice.label()] = per_slot.get(choice.label(), 0) + 1
    parts = [f"{label} x{n}" for slot in Slot for label, n in counts.get(slot, {}).items()]
    repaired = plan.recovery is not None and plan.recovery.epochs > 0
    return (", ".join(parts) or "exact int8") + (" + retrained" if repaired else "")


def sensitivity_table(probes: Sequence[Probe]) -> list[dict[str, Any]]:
    """One row per probe."""
    return [
        {
            "site": probe.variable.rsplit("/", 1)[0],
            "slot": probe.slot.value,
            "level": probe.slot.level.value,
            "kind": probe.choice.kind,
            "label": probe.choice.label(),
            "loss_increase": probe.harm,
            "energy_ratio": 1 - probe.saving,
        }
        for probe in probes
    ]


def details(
    prepared: Prepared,
    plan: Plan,
    exact: Cost,
    cost: Cost,
    hardware: Mapping[str, Breakdown],
    faults: Mapping[str, Sequence[Reliability]],
) -> dict[str, Any]:
    """What `best/details.json` holds.

    Args:
        prepared: names the sites.
        plan: the selected one.
        exact: cost of the exact 8-bit network.
        cost: cost of the plan.
        hardware: what lies behind both costs, by the same names as the totals.
        faults: campaigns by network.

    Returns:
        Per-site choices and costs, totals with basis and source, the element and what each site makes the machine do,
        the circuits used, and the fault curves.
    """
    return {
        "sites": [_site_row(site, plan, exact, cost) for site in prepared.sites],
        "totals": {"int8_exact": _totals(exact), "approximated": _totals(cost)},
        "hardware": {name: to_json(found) for name, found in hardware.items()},
        "circuits": _circuits(plan),
        "faults": {name: to_json(list(found)) for name, found in faults.items()},
    }


def _site_row(site: Site, plan: Plan, exact: Cost, cost: Cost) -> dict[str, Any]:
    return {
        "name": site.name,
        "kind": site.op.kind,
        "macs": site.op.macs,
        "weights": site.op.weight_elements,
        "choices": {slot.value: choice.label() for slot, choice in plan.at(site.name).items()},
        "int8_exact": _components(exact, site.name),
        "approximated": _components(cost, site.name),
    }


def _components(cost: Cost, site: str) -> dict[str, Any]:
    return {component: to_json(e) for name, component, e in cost.energy_parts_pj if name == site}


def _totals(cost: Cost) -> dict[str, Any]:
    names = ("energy_pj", "area_um2", "latency_cycles", "memory_bits", "time_s", "resources")
    return {name: to_json(getattr(cost, name)) for name in names}


def circuits_of(plan: Plan) -> dict[str, list[str]]:
    """Circuits named by a plan, with the sites that use them."""
    found: dict[str, list[str]] = {}
    for site, _, choice in plan:
        for name in choice.circuits_used():
            found.setdefault(name, []).append(site)
    return found


def _circuits(plan: Plan) -> list[dict[str, Any]]:
    return [{**catalogue.describe(name), "sites": sites} for name, sites in sorted(circuits_of(plan).items())]


def verdict(outcome: Outcome) -> dict[str, Any]:
    """Energy ratios of the best plan of each level, as `best/metrics.json` holds them; null where none fits."""
    ratios = {name: None if e is None else e.energy_ratio for name, e in outcome.best.items()}
    cross = ratios.pop(CROSS)
    return {"single_level": ratios, "cross_level": cross}
