"""The result files of studies of recovery, as plain values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from laxity.circuits import comparison as circuits
from laxity.core.plan import Plan
from laxity.core.records import Evaluation
from laxity.core.serial import to_json
from laxity.core.slots import Slot
from laxity.evaluation.evaluator import Evaluator, versions
from laxity.recovery import RankedMultiplier
from laxity.search.treat import UNTREATED, Comparison, Treated
from laxity.search.uniform import Ladder, Rung

if TYPE_CHECKING:
    from laxity.artifacts.recovery.session import Subject


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with plain JSON values."""
    data: dict[str, Any] = to_json(dict(value))
    return data


def subject(evaluator: Evaluator) -> dict[str, Any]:
    """What all results in one folder have in common."""
    task, target = evaluator.task, evaluator.target
    return {"task": task.name, "fingerprint": task.fingerprint, "target": target.name, "key": target.key}


def head(evaluator: Evaluator, study: Subject, created: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Where figures come from: command, versions, seeds, data, target and operands."""
    task, target, used = evaluator.task, evaluator.target, versions()
    return {
        "laxity": used.pop("laxity"),
        "command": study.command,
        "created": created,
        "seeds": list(seeds),
        "versions": used,
        "task": {
            "name": task.name,
            "fingerprint": task.fingerprint,
            "notes": task.notes,
            "samples": {name: len(split) for name, split in task.splits().items()},
        },
        "target": {"name": target.name, "description": target.description, "key": target.key},
        "operands": study.operands.label(),
    }


def comparison(found: Comparison) -> dict[str, Any]:
    """Treatments with their accuracies on both splits, drops on the test split, energy and curves."""
    rows = [row for row in found.after if row.name != UNTREATED]
    best = max(rows, key=lambda row: row.mean, default=found.before)
    return {
        "plan": found.plan.to_json(),
        "original": {
            "validation": _original(found.exact.evaluations[0]),
            "test": _original(found.exact.tested[0]),
        },
        "exact": _treated(found.exact, found.exact),
        "before": _treated(found.before, found.exact),
        "after": [_treated(row, found.exact) for row in rows],
        "best": best.name,
        "seconds": math.fsum(e.seconds for row in (found.exact, found.before, *rows) for e in _all(row)),
    }


def _all(row: Treated) -> tuple[Evaluation, ...]:
    return (*row.evaluations, *row.tested)


def _original(evaluation: Evaluation) -> float:
    """Accuracy of the user's network on the samples of an evaluation."""
    return evaluation.quality.value + evaluation.drop


def _treated(row: Treated, exact: Treated) -> dict[str, Any]:
    plan = Plan.from_json(row.evaluations[0].plan)
    return {
        "name": row.name,
        "recovery": to_json(row.recovery),
        "circuits": sorted({c.label() for _, slot, c in plan if slot is Slot.MULTIPLIER}),
        "validation": _score(e.quality.value for e in row.evaluations),
        "test": _score(e.quality.value for e in row.tested),
        "drop": _score(e.drop for e in row.tested),
        "drop_from_exact": _score(e.drop - x.drop for e, x in zip(row.tested, exact.tested, strict=True)),
        "energy_ratio": row.energy_ratio,
        "seconds": statistics.fmean(e.seconds for e in row.evaluations),
        "curves": [[dict(epoch) for epoch in e.curve] for e in row.evaluations],
    }


def _score(values: Iterable[float]) -> dict[str, Any]:
    """Mean, standard deviation (null for a single value) and the values, one per seed."""
    every = list(values)
    spread = statistics.stdev(every) if len(every) > 1 else None
    return {"mean": statistics.fmean(every), "spread": spread, "values": every}


def ladder(found: Ladder) -> dict[str, Any]:
    """Rungs from the mildest multiplier on, and the chosen one with its figures on the test split."""
    evaluations = [found.quantised, *(e for r in found.rungs for e in (r.before, r.after) if e), *found.tested]
    return {
        "original": {
            "validation": _original(found.quantised),
            "test": _original(found.tested[0]),
        },
        "quantised": _judged(found.quantised) | {"trained": Plan.from_json(found.quantised.plan).recovery is not None},
        "quantised_test": _judged(found.tested[0]),
        "rungs": [_rung(rung) for rung in found.rungs],
        "chosen": None if found.chosen is None else found.chosen.name,
        "chosen_test": _judged(found.tested[1]) if len(found.tested) > 1 else None,
        "seconds": math.fsum(e.seconds for e in evaluations),
    }


def _rung(rung: Rung) -> dict[str, Any]:
    return {
        "name": rung.name,
        "energy_ratio": rung.energy_ratio,
        "before": _judged(rung.before),
        "after": None if rung.after is None else _judged(rung.after),
        "accepted": rung.accepted,
    }


def _judged(evaluation: Evaluation) -> dict[str, Any]:
    quality = evaluation.quality
    return {
        "accuracy": quality.value,
        "low": quality.low,
        "high": quality.high,
        "samples": quality.samples,
        "split": quality.split,
        "drop": evaluation.drop,
        "drop_error": evaluation.drop_error,
        "energy_ratio": evaluation.energy_ratio,
        "seconds": evaluation.seconds,
        "curve": [dict(epoch) for epoch in evaluation.curve],
    }


def ranking(found: Sequence[RankedMultiplier]) -> dict[str, Any]:
    """Predicted harm of each multiplier, with what its circuit costs at uniform operands."""
    names = [row.name for row in found]
    measured = circuits.compare(circuits.find_candidates(names), "mred", "energy")
    costs = {row.candidate.name: row for row in measured.rows}
    return {"basis": measured.basis, "rows": [_ranked(row, costs[row.name]) for row in found]}


def _ranked(row: RankedMultiplier, cost: circuits.Row) -> dict[str, Any]:
    figures = cost.figures
    return {
        "name": row.name,
        "divergence": row.harm.divergence,
        "accuracy_drop": row.harm.accuracy_drop,
        "loss_increase": row.harm.loss_increase,
        "basis": row.basis,
        "slope": row.slope,
        "mred": cost.metrics.mred,
        "energy_pj": None if figures is None else figures.energy_pj,
        "area_um2": None if figures is None else figures.area_um2,
        "delay_ns": None if figures is None else figures.delay_ns,
    }
