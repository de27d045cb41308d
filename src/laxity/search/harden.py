"""The cheapest protections with which silent corruption stays below a limit, for certain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from laxity.campaign import Aim, Campaign, Source, Subject, run_campaign
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.errors import ConfigError, PlanError, TargetError
from laxity.core.op import Site
from laxity.core.plan import Plan
from laxity.core.records import Cost
from laxity.emulate.protect import PROTECTING
from laxity.search.greedy import hull
from laxity.statistics import Interval

PROBED, PROVED = 12, 12
"""Faults of a campaign that ranks, and of one that decides, times 1 / limit: with so many, no failure at all leaves an
upper limit of less than half the limit."""

LEAST, MOST = 4000, 60_000

Build = Callable[[Plan], Source]
Price = Callable[[Plan], Cost]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a hardened network must keep.

    Attributes:
        share: upper confidence limit of the share of faults that are critical, of those that strike the unprotected
            network in the same time: faults in check bits count too.
        metric: property of `Outcomes` that counts, ``sdc`` or ``critical``.
        confidence: of the upper limit, fraction.
    """

    share: float
    metric: str = "sdc"
    confidence: float = 0.99

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"the limit is a fraction between 0 and 1, not {self.share}")
        if self.metric not in ("sdc", "critical"):
            raise ConfigError(f"a limit is set to 'sdc' or 'critical' faults, not to {self.metric!r}")
        if not 0 < self.confidence < 1:
            raise ConfigError(f"confidence is a fraction between 0 and 1, not {self.confidence}")

    @property
    def faults(self) -> int:
        """Of a campaign that decides."""
        return min(MOST, max(LEAST, math.ceil(PROVED / self.share)))


@dataclass(frozen=True, slots=True)
class Protected:
    """One set of protections and what it was seen to do.

    Attributes:
        name: in words.
        plan: with the protections.
        cost: of the plan on the target.
        share: interval of the limit's metric, times `exposure`.
        due: interval of detected unrecoverable errors, times `exposure`.
        exposure: sites that can be struck, over those of the unprotected network.
        accepted: the upper end of `share` is within the limit.
    """

    name: str
    plan: Plan
    cost: Cost
    share: Interval
    due: Interval
    exposure: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One protection at one site, as it was ranked.

    Attributes:
        site: its name.
        choice: the protection.
        saving: share of critical faults that it takes away, of all faults in the unprotected network.
        harm: what it costs, in the unit of the objective.
    """

    site: str
    choice: Approximation
    saving: float
    harm: float


@dataclass(frozen=True, slots=True)
class Hardening:
    """What was found.

    Attributes:
        limit: that was asked for.
        unprotected: the network as it was.
        everywhere: every protection at all sites that can have it.
        steps: protections of single sites by rising cost per fault taken away.
        tried: sets of protections, in the order in which they were tried.
        chosen: the cheapest set that was accepted, None if there is none; the unprotected network where it is good
            enough.
    """

    limit: Limit
    unprotected: Protected
    everywhere: tuple[Protected, ...]
    steps: tuple[Step, ...]
    tried: tuple[Protected, ...]
    chosen: Protected | None


@dataclass(frozen=True, slots=True)
class Means:
    """How a hardening works.

    Attributes:
        build: from a plan to what gives its network and task.
        price: from a plan to its cost.
        objective: field of `Cost` that is to stay small.
        folder: keeps campaigns, by plan; None keeps nothing.
        executor: where faults are tried; this process if None.
        tell: called with (what, done, total).
    """

    build: Build
    price: Price
    objective: str = "energy_pj"
    folder: Path | None = None
    executor: Executor | None = None
    tell: Tell | None = None

    def value(self, cost: Cost) -> float:
        """The objective of a cost."""
        return float(getattr(cost, self.objective).value)


def candidates(sites: Sequence[Site], kinds: Sequence[str] | None = None) -> dict[Approximation, list[str]]:
    """Protections that can be tried, each with the sites that can have it.

    Args:
        sites: of the network.
        kinds: of techniques; all that protect if None.

    Raises:
        RegistryError: an unknown technique.
        ConfigError: a technique that protects nothing.
    """
    names = TECHNIQUES.names() if kinds is None else list(kinds)
    found: dict[Approximation, list[str]] = {}
    for name in names:
        technique = TECHNIQUES[name]
        if technique.slot not in PROTECTING:
            if kinds is not None:
                raise ConfigError(f"technique {name!r} protects nothing; name one of slot memory or guard")
            continue
        for site in sites:
            for choice in technique.protections(site) if technique.slot in site.slots else ():
                found.setdefault(choice, []).append(site.name)
    return found


def harden(
    plan: Plan, choices: Mapping[Approximation, Sequence[str]], subject: Subject, limit: Limit, means: Means
) -> Hardening:
    """Find the cheapest set of protections.

    Every protection is tried at all its sites at once: as long as faults strike one layer, what it does at one site
    depends little on the others. From the faults that stay critical, layer by layer, protections of single sites are
    ranked by cost per critical fault taken away; sets are prefixes of that order, and every protection everywhere. The
    cheapest set is searched by halving, and accepted by a campaign of its own.

    Args:
        plan: the unprotected network.
        choices: as `candidates` gives them.
        subject: what strikes; its samples should not be those on which the result is judged in the end.
        limit: to be kept.
        means: how to build and to price.

    Raises:
        ConfigError: no protection can be tried.
        LaxityError: as `run_campaign`.
    """
    bench = _Bench(subject, limit, means)
    start = bench.judge("unprotected", plan)
    if start.accepted:
        return Hardening(limit, start, (), (), (), start)
    if not choices:
        raise ConfigError("no protection can be tried at any site; give the network OPERAND choices")
    everywhere, steps = [], []
    for choice, sites in choices.items():
        whole = plan
        for site in sites:
            whole = whole.with_(site, choice)
        try:
            found = bench.judge(f"{choice.label()} everywhere", whole)
        except (PlanError, TargetError):  # not for this network, or without a price on this target
            continue
        everywhere.append(found)
        steps += bench.steps(plan, choice, sites, whole)
    ordered = _path(steps)
    tried = _halved(plan, ordered, bench)
    good = [p for p in (*everywhere, *tried) if p.accepted]
    best = min(good, key=lambda p: means.value(p.cost), default=None)
    return Hardening(limit, start, tuple(everywhere), tuple(ordered), tuple(tried), best)


def _path(steps: Sequence[Step]) -> list[Step]:
    """Steps of all sites by cost per fault taken away; of one site, later steps take the place of earlier ones."""
    found: list[tuple[float, Step]] = []
    for site in dict.fromkeys(s.site for s in steps):
        before: Step | None = None
        for step in hull([s for s in steps if s.site == site]):
            saving, cost = (0.0, 0.0) if before is None else (before.saving, before.harm)
            found.append(((step.harm - cost) / (step.saving - saving), step))
            before = step
    return [step for _, step in sorted(found, key=lambda pair: (pair[0], pair[1].site))]


def _with(plan: Plan, steps: Sequence[Step]) -> Plan:
    for step in steps:
        for slot in PROTECTING:
            plan = plan.without(step.site, slot)
        plan = plan.with_(step.site, step.choice)
    return plan


def _halved(plan: Plan, steps: Sequence[Step], bench: _Bench) -> list[Protected]:
    """Prefixes of the path that were tried: all of it, and if that is accepted, by halving the shortest that is."""

    def judged(count: int) -> Protected:
        sites = len({step.site for step in steps[:count]})
        return bench.judge(f"{count} steps at {sites} sites", _with(plan, steps[:count]))

    if not steps:
        return []
    low, high = 0, len(steps)
    tried = [judged(high)]
    while tried[0].accepted and high - low > 1:
        middle = (low + high) // 2
        tried.append(judged(middle))
        low, high = (low, middle) if tried[-1].accepted else (middle, high)
    return tried


class _Bench:
    """Runs campaigns on plans, each once."""

    def __init__(self, subject: Subject, limit: Limit, means: Means) -> None:
        self._subject, self._limit, self._means = subject, limit, means
        self._known: dict[str, tuple[Protected, Campaign]] = {}
        self._base: Campaign | None = None

    def judge(self, name: str, plan: Plan) -> Protected:
        """A plan with its cost and its share of critical faults."""
        if plan.key in self._known:
            return replace(self._known[plan.key][0], name=name)
        means, limit = self._means, self._limit
        cost = means.price(plan)

        def told(what: str, done: int, total: int) -> None:
            if means.tell is not None:
                means.tell(f"{what}, {name}", done, total)

        folder = None if means.folder is None else means.folder / plan.key
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        campaign = run_campaign(
            means.build(plan),
            self._subject,
            Aim(limit.confidence, faults=limit.faults),
            folder=folder,
            executor=means.executor,
            progress=told,
        )
        self._base = self._base or campaign
        exposure = campaign.cells.size / self._base.cells.size
        share, due = (campaign.interval(m).scaled(exposure) for m in (limit.metric, "due"))
        found = Protected(name, plan, cost, share, due, exposure, share.high <= limit.share)
        self._known[plan.key] = found, campaign
        return found

    def steps(self, plan: Plan, choice: Approximation, sites: Sequence[str], whole: Plan) -> list[Step]:
        """What the choice does at every site, from the campaign with it at all sites."""
        before, after = self._known[plan.key], self._known[whole.key]
        harms = [_by_place(c, self._limit.metric) for c in (before[1], after[1])]
        base = self._means.value(before[0].cost)
        found = []
        for site in sites:
            saving = harms[0].get(site, 0.0) - after[0].exposure * harms[1].get(site, 0.0)
            if saving > 0:
                cost = self._means.value(self._means.price(plan.with_(site, choice))) - base
                found.append(Step(site, choice, saving, max(cost, 0.0)))
        return found


def _by_place(campaign: Campaign, metric: str) -> dict[str, float]:
    """Share of all faults that strike a place and are critical, by place; they add up to the network's estimate."""
    found: dict[str, float] = {}
    for weight, rows in zip(campaign.weights, campaign.outcomes, strict=True):
        if not len(rows):
            continue
        hits = np.asarray(getattr(rows, metric))
        places = campaign.cells.place[rows.cell[hits]]
        for place, count in zip(*np.unique(places, return_counts=True), strict=True):
            name = campaign.cells.places[int(place)]
            found[name] = found.get(name, 0.0) + weight * int(count) / len(rows)
    return found
