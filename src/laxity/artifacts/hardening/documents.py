"""What hardenings found, as plain values for files."""

from __future__ import annotations

from typing import Any

from torch import nn

from laxity.core.plan import Plan
from laxity.core.records import Cost
from laxity.evaluation.cost import observe
from laxity.evaluation.evaluator import Evaluator
from laxity.search.harden import Hardening, Means, Price, Protected, Step


def estimator(evaluator: Evaluator, model: nn.Module) -> Price:
    """Prices plans that differ from one in protections, by the operands that its network sees."""
    observed = observe(model, evaluator.inputs[0], seed=evaluator.setup.seed)

    def price(other: Plan) -> Cost:
        found = observed.demands(other)
        evaluator.target.check_arithmetic(found)
        return evaluator.target.cost(found)

    return price


def document_of(found: Hardening, means: Means) -> dict[str, Any]:
    """Everything that a hardening found."""
    return {
        "limit": found.limit,
        "unprotected": point_of(found.unprotected, found.unprotected, means),
        "left": dict(found.left),
        "steps": [_step(s) for s in found.steps],
        "tried": [point_of(p, found.unprotected, means) for p in found.tried],
        "chosen": None if found.chosen is None else point_of(found.chosen, found.unprotected, means),
    }


def point_of(point: Protected, base: Protected, means: Means) -> dict[str, Any]:
    """One set of protections, beside the unprotected network."""
    cost, before = point.cost, base.cost
    return {
        "name": point.name,
        "protections": [
            {"site": site, "slot": slot.value, **choice.to_json()}
            for site, slot, choice, _ in point.plan.diff(base.plan)
            if choice is not None
        ],
        "energy_pj": cost.energy_pj.value,
        "area_um2": cost.area_um2.value,
        "memory_bits": cost.memory_bits.value,
        "latency_cycles": cost.latency_cycles.value,
        "cost_ratio": means.value(cost) / means.value(before),
        "share": point.share,
        "due": point.due,
        "exposure": point.exposure,
        "accepted": point.accepted,
    }


def _step(step: Step) -> dict[str, Any]:
    return {"site": step.site, "choice": step.choice.to_json(), "saving": step.saving, "cost": step.harm}
