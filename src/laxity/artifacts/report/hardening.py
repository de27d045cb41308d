"""What hardenings found, typed and in words: parts that the run report and the page of hardened networks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from laxity.artifacts.page.numbers import MINUS, THIN, number
from laxity.artifacts.report.files import Amount, Count, Part
from laxity.core.approximation import Approximation
from laxity.core.errors import LaxityError

Fraction = Annotated[float, Field(ge=0, le=1)]

METRICS = {"sdc": "SDC", "critical": "critical faults"}
"""Metrics that a limit is set to, as the page calls them."""

OBJECTIVES = {"energy_pj": "energy", "area_um2": "area", "memory_bits": "memory", "latency_cycles": "latency"}
"""Costs of a set of protections: field and name."""


class Share(Part):
    """An interval of a share of faults; multiplied by the exposure it may end above 1."""

    estimate: Amount
    low: Amount
    high: Amount
    confidence: Annotated[float, Field(gt=0, lt=1)]
    samples: Count

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the interval ends at {self.high} before it begins at {self.low}")
        return self


class Protection(Part):
    """One protection at one site; fields of the technique are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    site: str
    slot: str
    kind: str

    @property
    def choice(self) -> dict[str, Any]:
        """The technique and its options, without the place."""
        return {"kind": self.kind, **(self.model_extra or {})}


class Point(Part):
    """One set of protections, on the split that decides."""

    name: str
    protections: list[Protection]
    energy_pj: Amount
    area_um2: Amount
    memory_bits: Amount
    latency_cycles: Amount
    share: Share
    due: Share
    exposure: Amount
    accepted: bool


class Step(Part):
    """One protection at one site as it was ranked: share of all faults taken away, and cost in the objective's unit."""

    site: str
    choice: dict[str, Any]
    saving: Fraction
    cost: Amount


class Limit(Part):
    """What was asked for."""

    share: Annotated[float, Field(gt=0, lt=1)]
    metric: Literal["sdc", "critical"]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    alarms: bool = False


class Struck(Part):
    """What was struck, and by what."""

    fault: dict[str, Any]
    population: str
    options: dict[str, Any]
    split: str
    images: Count
    skip: Count = 0
    seed: Count


class Found(Part):
    """One hardening."""

    limit: Limit
    unprotected: Point
    left: dict[str, Fraction]
    steps: list[Step]
    tried: list[Point]
    chosen: Point | None

    @model_validator(mode="after")
    def _decided(self) -> Self:
        if self.chosen is not None and not self.chosen.accepted:
            raise ValueError(f"the chosen set {self.chosen.name!r} is not within the limit")
        return self


class HardenedPlan(Found):
    """A plan of a run and what hardening made of it; `kept` has protections that also keep the accuracy budget."""

    plan_key: str
    energy_pj: Amount
    kept: Point | None


class Judged(Part):
    """Faults on the test split."""

    share: Share
    due: Share
    kept: bool


class RunHardening(Part):
    """``hardening.json`` of a run."""

    subject: Struck
    plans: list[HardenedPlan]
    test: Judged | None = None

    @property
    def chosen(self) -> HardenedPlan | None:
        """The plan that is cheapest with its protections, None if no plan keeps limit and budget."""
        good = [plan for plan in self.plans if plan.kept is not None]
        return min(good, key=lambda plan: plan.kept.energy_pj if plan.kept else 0.0, default=None)


def label(choice: Mapping[str, Any]) -> str:
    """A protection in a few words; one that is not known here by its kind and options."""
    try:
        return Approximation.from_json(choice).label()
    except LaxityError:
        options = [f"{k}={v}" for k, v in choice.items() if k != "kind"]
        return " ".join([str(choice.get("kind", "unknown")), *options])


def grouped(protections: Sequence[Protection]) -> dict[str, list[str]]:
    """Sites of every protection, by its label."""
    found: dict[str, list[str]] = {}
    for one in protections:
        found.setdefault(label(one.choice), []).append(one.site)
    return found


def in_brief(protections: Sequence[Protection]) -> str:
    """A set of protections as ``SEC-DED 64 at 2 sites and TMR top 1 at 1 site``."""
    words = [
        f"{name} at {len(sites)} {'site' if len(sites) == 1 else 'sites'}"
        for name, sites in sorted(grouped(protections).items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    if not words:
        return "no protections"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def fraction(value: float) -> str:
    """A fraction as percent with three significant digits."""
    return f"{number(100 * value, 3)}{THIN}%"


def interval(share: Share) -> tuple[str, str]:
    """Estimate and ends of a share in percent."""
    return fraction(share.estimate), f"{fraction(share.low)} to {fraction(share.high)}"


def level(confidence: float) -> str:
    """A confidence in percent."""
    return f"{100 * confidence:g}{THIN}%"


def added(after: float, before: float) -> str:
    """How much more a cost is than before, in percent with sign."""
    if before <= 0:
        return "–"
    change = after / before - 1
    if abs(change) < 5e-6:
        return f"0{THIN}%"
    return f"{'+' if change > 0 else MINUS}{number(100 * abs(change), 3)}{THIN}%"


def verdict(point: Point, limit: Limit) -> str:
    """Why a set of protections was accepted or not."""
    if point.accepted:
        return "within the limit"
    return "above the limit" if point.share.high > limit.share else "too many alarms"
