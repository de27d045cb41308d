"""The plan that is cheapest with the protections it needs, which may not be the one that is cheapest without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from laxity.core.plan import Plan
from laxity.core.records import Evaluation
from laxity.search.harden import Hardening, Protected


@dataclass(frozen=True, slots=True)
class HardenedPlan:
    """A plan of a search, and what hardening made of it.

    Attributes:
        evaluation: without protections.
        hardening: what was found.
        kept: its chosen set of protections, None where none keeps the limit, or where it costs too much accuracy.
    """

    evaluation: Evaluation
    hardening: Hardening
    kept: Protected | None


def harden_front(
    found: Sequence[Evaluation],
    harden: Callable[[Plan], Hardening],
    fits: Callable[[Plan], bool],
    *,
    plans: int,
) -> list[HardenedPlan]:
    """Harden plans, cheapest first, as long as another one can still be the cheapest with its protections.

    Protections only add energy, so that a plan that costs more without them than another with them is out.

    Args:
        found: plans within the accuracy budget.
        harden: finds protections of a plan.
        fits: whether a hardened plan still keeps the accuracy budget.
        plans: hardened at most.

    Returns:
        What was tried, in that order.
    """
    tried: list[HardenedPlan] = []
    best = float("inf")
    for evaluation in sorted({e.plan_key: e for e in found}.values(), key=lambda e: (e.energy_pj, e.plan_key)):
        if len(tried) == plans or evaluation.energy_pj >= best:
            break
        hardening = harden(Plan.from_json(evaluation.plan))
        chosen = hardening.chosen
        kept = chosen if chosen is not None and fits(chosen.plan) else None
        tried.append(HardenedPlan(evaluation, hardening, kept))
        if kept is not None:
            best = min(best, kept.cost.energy_pj.value)
    return tried
