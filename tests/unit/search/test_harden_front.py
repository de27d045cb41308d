"""The front is hardened cheapest first, and only as long as a plan can still become the cheapest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from laxity.core.plan import Plan
from laxity.search.harden_front import harden_front
from laxity.techniques import Integer


@dataclass(frozen=True)
class Tried:
    """Stands for an evaluation."""

    energy_pj: float
    bits: int
    plan: dict[str, Any] = field(default_factory=dict)
    plan_key: str = ""

    def filled(self) -> Tried:
        plan = Plan().with_("conv", Integer(self.bits, 8))
        return replace(self, plan=plan.to_json(), plan_key=plan.key)


def front(extra: dict[int, float | None], refused: set[int] = frozenset(), plans: int = 10) -> Any:  # type: ignore[assignment]
    """Plans that cost as much as they have bits; `extra` is what protections of each add, None where none helps."""
    asked: list[int] = []
    found = [Tried(float(bits), bits).filled() for bits in sorted(extra, reverse=True)]

    def bits_of(plan: Plan) -> int:
        return next(choice.weight_bits for _, _, choice in plan)  # type: ignore[attr-defined]

    def harden(plan: Plan) -> Any:
        bits = bits_of(plan)
        asked.append(bits)
        added = extra[bits]
        cost = None if added is None else SimpleNamespace(energy_pj=SimpleNamespace(value=bits + added))
        return SimpleNamespace(chosen=None if cost is None else SimpleNamespace(plan=plan, cost=cost))

    tried = harden_front(found, harden, lambda plan: bits_of(plan) not in refused, plans=plans)  # type: ignore[arg-type]
    return asked, [None if t.kept is None else t.kept.cost.energy_pj.value for t in tried]


def test_the_cheapest_ends_it_where_protections_cost_little() -> None:
    assert front({4: 0.5, 5: 0.0, 6: 0.0}) == ([4], [4.5])


def test_dearer_plans_are_tried_while_they_can_win() -> None:
    assert front({4: 3.0, 5: 0.5, 6: 0.0, 8: 0.0}) == ([4, 5], [7.0, 5.5])


def test_plans_without_protections_or_accuracy_do_not_count() -> None:
    assert front({4: None, 5: 0.1, 6: 0.1}, refused={5}) == ([4, 5, 6], [None, None, 6.1])


def test_so_many_plans_at_most() -> None:
    assert front({4: None, 5: None, 6: 0.1}, plans=2) == ([4, 5], [None, None])
