"""The sentences of the report."""

from __future__ import annotations

from laxity.artifacts.page.numbers import THIN, number, percent, points, signed_points
from laxity.artifacts.report.load import LevelBest, RunView

LEVELS = ("data", "software", "hardware", "cross")
LEVEL_NAMES = {"data": "data", "software": "software", "hardware": "hardware", "cross": "cross-layer"}


def saving(ratio: float) -> str:
    """An energy ratio as a phrase: ``61 % less energy``."""
    change = round((1 - ratio) * 100)
    if change == 0:
        return "the same energy"
    return f"{abs(change)}{THIN}% {'less' if change > 0 else 'more'} energy"


def verdict(view: RunView) -> str:
    """The result in one sentence, met or not."""
    metrics, metric = view.metrics, view.front.baseline.quality.metric
    drop = metrics.drop
    if round(abs(drop) * 100, 2) == 0:
        change = f"unchanged {metric}"
    else:
        change = f"{points(drop)} {'lower' if drop > 0 else 'higher'} {metric}"
    sentence = f"{saving(metrics.energy_pj.ratio)} at {change}"
    met = budget_met(view)
    budget = f"the budget of {points(view.manifest.max_drop)} is {'met' if met else 'not met'}"
    if met and not metrics.met:
        budget += ", but the limit to faults is not kept"
    return f"{sentence}; {budget}."[:1].upper() + f"{sentence}; {budget}."[1:]


def budget_met(view: RunView) -> bool:
    """Whether accuracy keeps its budget; a run with a limit to faults may miss that alone."""
    hardened = view.hardening is not None and bool(view.hardening.plans)
    return view.metrics.met or (hardened and view.metrics.drop <= view.manifest.max_drop)


def caution(view: RunView) -> str:
    """How sure the verdict is: where the interval of the drop lies relative to the budget."""
    budget, drop = view.manifest.max_drop, view.metrics.drop_interval
    span = f"{signed_points(drop.low)} to {signed_points(drop.high)} points"
    level = f"{view.front.baseline.quality.confidence * 100:g}{THIN}%"
    start = (
        f"The {level} interval of the drop on {number(view.metrics.samples, 9)} {view.metrics.split} samples is {span}"
    )
    if drop.high <= budget:
        return f"{start}, wholly inside the budget."
    if drop.low > budget:
        return f"{start}, wholly outside the budget."
    return f"{start}; it crosses the budget, so more test samples would be needed to be sure."


def comparison(view: RunView) -> str:
    """What crossing levels gained over the best single level, honestly."""
    single = [(name, best) for name in LEVELS[:3] if (best := _met(view, name)) is not None]
    cross = _met(view, "cross")
    if cross is None and not single:
        return "No plan of any level met the budget."
    if cross is None:
        name, best = min(single, key=lambda pair: pair[1].energy_ratio)
        return f"No cross-layer plan met the budget; the best single level is {name} with {saving(best.energy_ratio)}."
    if not single:
        return f"Only crossing levels met the budget: {saving(cross.energy_ratio)} than exact INT8."
    name, best = min(single, key=lambda pair: pair[1].energy_ratio)
    start = (
        f"The best cross-layer plan takes {saving(cross.energy_ratio)} than exact INT8, "
        f"the best single-level plan ({name}) {saving(best.energy_ratio)}."
    )
    relative = cross.energy_ratio / best.energy_ratio if best.energy_ratio > 0 else 1.0
    if round((1 - relative) * 100) > 0:
        return f"{start} Crossing levels thus takes {saving(relative)} than staying on one."
    return f"{start} Crossing levels gained nothing here."


def recovered(view: RunView) -> str:
    """What repair did for the selected plan, in one sentence; empty where the run does not say."""
    if view.recovery is None or len(view.recovery.stages) < 3:
        return ""
    stages = view.recovery.stages
    untreated, last = stages[2], stages[-1]
    start = f"With exact circuits and 8 bits {percent(stages[1].value)}, approximated {percent(untreated.value)}"
    if last is untreated:
        return f"{start}; the plan needs no repair."
    return f"{start}, after its recovery {percent(last.value)}."


def _met(view: RunView, level: str) -> LevelBest | None:
    best = view.front.levels.get(level)
    return best if best is not None and best.met else None
