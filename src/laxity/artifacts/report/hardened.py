"""The section of the report about plans that were protected: its sentences and rows."""

from __future__ import annotations

from dataclasses import dataclass

from laxity.artifacts.page.numbers import number, quantity
from laxity.artifacts.report.hardening import (
    METRICS,
    HardenedPlan,
    Limit,
    RunHardening,
    Share,
    added,
    fraction,
    in_brief,
    interval,
    level,
)
from laxity.artifacts.report.load import RunView


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan that was hardened.

    Attributes:
        name: its label in the search.
        key: of the plan.
        energy: per sample, without protections.
        share: estimate and ends without protections.
        protections: that were kept, in words.
        energy_after, more: per sample with them, and how much that is above `energy`; a dash where none were kept.
        share_after, due_after: estimate and ends with them.
        tried: sets of protections that were tried.
        verdict: chosen, good, or why not.
        chosen: whether it is the plan of the run.
    """

    name: str
    key: str
    energy: str
    share: tuple[str, str]
    protections: str
    energy_after: str
    more: str
    share_after: tuple[str, str]
    due_after: tuple[str, str]
    tried: int
    verdict: str
    chosen: bool


def metric(view: RunView) -> str:
    """What the limit is set to; empty for runs without one."""
    limit = _limit(view.hardening)
    return "" if limit is None else METRICS[limit.metric]


def rows(view: RunView) -> list[PlanRow]:
    """Plans in the order in which they were hardened; none for runs without a limit."""
    if view.hardening is None:
        return []
    labels = {point.plan_key: point.label for point in view.front.points}
    chosen = view.hardening.chosen
    return [_row(plan, labels.get(plan.plan_key) or "plan", plan is chosen) for plan in view.hardening.plans]


def _row(plan: HardenedPlan, name: str, chosen: bool) -> PlanRow:
    before, kept = plan.unprotected, plan.kept
    none = ("–", "")
    return PlanRow(
        name=name,
        key=plan.plan_key,
        energy=quantity(before.energy_pj, "pJ"),
        share=interval(before.share),
        protections="–" if kept is None else in_brief(kept.protections),
        energy_after="–" if kept is None else quantity(kept.energy_pj, "pJ"),
        more="" if kept is None else added(kept.energy_pj, before.energy_pj),
        share_after=none if kept is None else interval(kept.share),
        due_after=none if kept is None else interval(kept.due),
        tried=len(plan.tried),
        verdict="chosen" if chosen else _verdict(plan),
        chosen=chosen,
    )


def _verdict(plan: HardenedPlan) -> str:
    if plan.kept is not None:
        return "keeps the limit, but costs more"
    if plan.chosen is not None:
        return "keeps the limit, but not the accuracy budget"
    return "no set keeps the limit"


def finding(view: RunView) -> str:
    """Which plan was kept with which protections, in one sentence; empty for runs without a limit."""
    found = view.hardening
    if found is None:
        return ""
    limit = _limit(found)
    if limit is None:
        return "No plan was within the accuracy budget, so none was protected."
    asked = f"{METRICS[limit.metric]} below {fraction(limit.share)}"
    plan = found.chosen
    if plan is None or plan.kept is None:
        count = len(found.plans)
        return f"None of the {count} plans that were tried keeps {asked} and the accuracy budget with any protections."
    if not plan.kept.protections:
        return f"The cheapest plan keeps {asked} without protections."
    energy = f"{quantity(plan.kept.energy_pj, 'pJ')} instead of {quantity(plan.unprotected.energy_pj, 'pJ')}"
    cheapest = min(found.plans, key=lambda p: p.unprotected.energy_pj)
    less = "" if plan is cheapest else "; a plan that is cheaper without protections is dearer with those it needs"
    words, more = in_brief(plan.kept.protections), added(plan.kept.energy_pj, plan.unprotected.energy_pj)
    cost = f"{more.removeprefix('+')} more energy" if more.startswith("+") else f"{more} energy"
    return f"{words[:1].upper()}{words[1:]} keep {asked} for {cost}, {energy}{less}."


def verdict(view: RunView) -> tuple[str, str, str]:
    """Class, words and explanation of the verdict on the test split; empty where there is none."""
    found = view.hardening
    limit = _limit(found)
    if found is None or limit is None or found.test is None:
        return "", "", ""
    test = found.test
    pill = ("met", "Limit kept") if test.kept else ("unmet", "Limit missed on the test split")
    text = (
        f"On the test split {METRICS[limit.metric]} is {_span(test.share)} and DUE {_span(test.due)}, from "
        f"{number(test.share.samples, 9)} faults that played no part in the choice; the upper end of the "
        f"{level(limit.confidence)} interval counts."
    )
    return (*pill, text)


def _span(share: Share) -> str:
    value, between = interval(share)
    return f"{value} ({between})"


def _limit(found: RunHardening | None) -> Limit | None:
    return found.plans[0].limit if found is not None and found.plans else None
