"""Hardening as the last step of an optimisation: energy, accuracy and reliability decide together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from laxity.artifacts.config import RunConfig
from laxity.artifacts.hardening.documents import document_of, estimator, point_of
from laxity.campaign import Aim, Subject, run_campaign
from laxity.core.named import plain_value, split_named
from laxity.core.plan import Plan
from laxity.core.records import Evaluation
from laxity.core.seeds import derive
from laxity.core.serial import to_json
from laxity.emulate.protect import PROTECTING, protect
from laxity.evaluation.evaluator import Evaluator
from laxity.evaluation.quality import compare, predict
from laxity.faults.named import fault_named
from laxity.search.harden import Hardening, Limit, Means, Tell, candidates, harden
from laxity.search.harden_front import HardenedPlan, harden_front


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """Hardened plans of a run.

    Attributes:
        tried: plans and what hardening made of them.
        chosen: the one that is cheapest with its protections, None if no plan keeps limit and budget.
    """

    tried: tuple[HardenedPlan, ...]
    chosen: HardenedPlan | None


class FrontHardener:
    """Hardens the plans of one run.

    Args:
        config: of the run, with a limit.
        evaluator: of the run.
        folder: keeps campaigns, None keeps nothing.
        tell: called with (what, done, total).
    """

    def __init__(self, config: RunConfig, evaluator: Evaluator, folder: Path | None, tell: Tell | None) -> None:
        assert config.max_sdc is not None  # the caller has looked
        options = config.hardening
        self.limit = Limit(config.max_sdc, options.metric, options.confidence, options.alarms)
        kind, given = split_named(options.population, "population")
        values = {k: plain_value(v) for k, v in given.items()}
        self.subject = Subject(fault_named(options.fault), kind, values, split="validation", seed=config.seed)
        self._config, self._evaluator, self._folder, self._tell = config, evaluator, folder, tell
        self._choices = candidates(evaluator.prepared.sites, options.techniques)

    def run(self, found: Sequence[Evaluation]) -> Front:
        """Harden plans within the budget, as `harden_front` does."""
        tried = harden_front(found, self._harden, self._fits, plans=self._config.hardening.plans)
        good = [t for t in tried if t.kept is not None]
        best = min(good, key=_energy, default=None)
        return Front(tuple(tried), best)

    def model(self, plan: Plan) -> nn.Module:
        """The network of a plan with protections; its weights are those of the plan without them."""
        evaluator = self._evaluator
        return protect(evaluator.model(_bare(plan)), evaluator.prepared, plan, evaluator.inputs)

    def judged(self, plan: Plan, share: float) -> dict[str, Any]:
        """Faults on the test split, with a seed of their own.

        Args:
            plan: with its protections.
            share: factor on shares, `Protected.exposure`.
        """
        fresh = replace(self.subject, split="test", seed=derive(self.subject.seed, "hardened", "test"))
        aim = Aim(self.limit.confidence, faults=self.limit.faults)
        campaign = run_campaign(lambda: (self.model(plan), self._evaluator.task), fresh, aim)
        found = {name: campaign.interval(m).scaled(share) for name, m in (("share", self.limit.metric), ("due", "due"))}
        document: dict[str, Any] = to_json({**found, "kept": found["share"].high <= self.limit.share})
        return document

    def document(self, front: Front) -> dict[str, Any]:
        """For ``hardening.json``."""
        means = self._means()
        rows = [
            {
                "plan_key": t.evaluation.plan_key,
                "energy_pj": t.evaluation.energy_pj,
                "kept": None if t.kept is None else point_of(t.kept, t.hardening.unprotected, means),
                **document_of(t.hardening, means),
            }
            for t in front.tried
        ]
        found: dict[str, Any] = to_json({"subject": self.subject, "plans": rows})
        return found

    def _means(self, plan: Plan | None = None) -> Means:
        def price(plan: Plan) -> Any:
            return self._evaluator.cost(plan, self.model(plan))

        def source(plan: Plan) -> Any:
            return lambda: (self.model(plan), self._evaluator.task)

        estimate = price if plan is None else estimator(self._evaluator, self._evaluator.model(plan))
        return Means(source, price, estimate, "energy_pj", self._folder, None, self._tell)

    def _harden(self, plan: Plan) -> Hardening:
        return harden(plan, self._choices, self.subject, self.limit, self._means(plan))

    def _fits(self, plan: Plan) -> bool:
        """Whether the protected network keeps the accuracy budget on the validation split."""
        if all(choice.slot not in PROTECTING for _, _, choice in plan):
            return True
        after = predict(self.model(plan), self._evaluator.task, "validation")
        found = compare(self._evaluator.before("validation"), after)
        return found.drop + self._config.guard * found.error <= self._config.max_drop


def _bare(plan: Plan) -> Plan:
    for site, slot, _ in plan:
        if slot in PROTECTING:
            plan = plan.without(site, slot)
    return plan


def _energy(tried: HardenedPlan) -> float:
    assert tried.kept is not None  # the caller has looked
    return tried.kept.cost.energy_pj.value
