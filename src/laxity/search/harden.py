"""The cheapest protections with which silent corruption stays below a limit, for certain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from laxity.campaign import Aim, Bench, Campaign, Source, Subject, run_campaign
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.errors import CircuitError, ConfigError, PlanError, TargetError
from laxity.core.op import Site
from laxity.core.plan import Plan
from laxity.core.records import Cost
from laxity.emulate.protect import PROTECTING
from laxity.search.greedy import hull
from laxity.statistics import Interval

PROVED = 12
"""Faults of a campaign, times the limit: with so many, no failure at all leaves an upper end below half of it."""

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
        alarms: protections may give the alarm where they do not correct; otherwise detected unrecoverable errors may
            not become more than they are, or than `share`.
    """

    share: float
    metric: str = "sdc"
    confidence: float = 0.99
    alarms: bool = False

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
        accepted: the upper end of `share` is within the limit, and there are not more alarms than it allows.
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
        left: share of the critical faults of the unprotected network that stay critical with a protection at all sites
            that can have it, by its name; these faults were tried again, nothing else.
        steps: protections of single sites by rising cost per fault taken away.
        tried: sets of protections, in the order in which they were tried.
        chosen: the cheapest set that was accepted, None if there is none; the unprotected network where it is good
            enough.
    """

    limit: Limit
    unprotected: Protected
    left: Mapping[str, float]
    steps: tuple[Step, ...]
    tried: tuple[Protected, ...]
    chosen: Protected | None


@dataclass(frozen=True, slots=True)
class Means:
    """How a hardening works.

    Attributes:
        build: from a plan to what gives its network and task.
        price: from a plan to its cost.
        estimate: the same without building the network, for plans that differ from the unprotected one in protections.
        objective: field of `Cost` that is to stay small.
        folder: keeps campaigns, by plan; None keeps nothing.
        executor: where faults are tried; this process if None.
        tell: called with (what, done, total).
    """

    build: Build
    price: Price
    estimate: Price
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

    The faults that are critical in the unprotected network are tried again with every protection at all its sites. As
    long as faults strike one layer, what a protection does at one site depends little on the others: layer by layer,
    protections of single sites are ranked by cost per critical fault taken away. Sets of protections are prefixes of
    that order, and the single protections everywhere. The cheapest is searched, and accepted by a campaign of its own.

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
        return Hardening(limit, start, {}, (), (), start)
    if not choices:
        raise ConfigError("no protection can be tried at any site; give the network OPERAND choices")
    left: dict[str, float] = {}
    whole: list[tuple[float, str, Plan]] = []
    steps: list[Step] = []
    for choice, named in choices.items():
        sites = _fitting(plan, choice, named, means)
        if not sites:
            continue
        everywhere = _at(plan, choice, sites)
        cost = means.value(means.estimate(everywhere))
        stays, found = bench.steps(plan, choice, sites, everywhere)
        left[choice.label()] = stays
        whole.append((cost, f"{choice.label()} everywhere", everywhere))
        steps += found
    ordered = _path(steps)
    tried = _halved(plan, ordered, bench)
    tried += _whole(sorted(whole, key=lambda w: w[:2]), left, tried, bench)
    best = min((p for p in tried if p.accepted), key=lambda p: means.value(p.cost), default=None)
    return Hardening(limit, start, left, tuple(ordered), tuple(tried), best)


def _at(plan: Plan, choice: Approximation, sites: Sequence[str]) -> Plan:
    for site in sites:
        plan = plan.with_(site, choice)
    return plan


def _fitting(plan: Plan, choice: Approximation, sites: Sequence[str], means: Means) -> list[str]:
    """Sites at which the choice can be made under this plan and has a price on the target."""

    def fits(*some: str) -> bool:
        other = _at(plan, choice, some)
        try:
            means.estimate(other)
            means.build(other)()
        except (PlanError, TargetError, CircuitError):
            return False
        return True

    return list(sites) if fits(*sites) else [site for site in sites if fits(site)]


def _whole(
    sets: Sequence[tuple[float, str, Plan]], left: Mapping[str, float], tried: Sequence[Protected], bench: _Bench
) -> list[Protected]:
    """Single protections everywhere, cheapest first, until one is accepted or no cheaper one is left."""
    best = min((bench.value(p) for p in tried if p.accepted), default=math.inf)
    found: list[Protected] = []
    for cost, name, plan in sets:
        if cost >= best:
            break
        if left[name.removesuffix(" everywhere")] < 1:
            found.append(bench.judge(name, plan))
            if found[-1].accepted:
                break
    return found


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
        few = limit.alarms or due.low <= max(limit.share, self._base.interval("due").high)
        found = Protected(name, plan, cost, share, due, exposure, few and share.high <= limit.share)
        self._known[plan.key] = found, campaign
        return found

    def value(self, found: Protected) -> float:
        """The objective."""
        return self._means.value(found.cost)

    def steps(
        self, plan: Plan, choice: Approximation, sites: Sequence[str], everywhere: Plan
    ) -> tuple[float, list[Step]]:
        """What the choice does at every site: critical faults of the unprotected network once more, with it everywhere.

        Returns:
            Share of them that stay critical, and the steps.
        """
        means, metric = self._means, self._limit.metric
        stays = metric if self._limit.alarms else "critical"
        campaign = self._known[plan.key][1]
        bench = Bench(means.build(everywhere), self._subject)
        base = means.value(means.estimate(plan))
        saved: dict[str, float] = dict.fromkeys(sites, 0.0)
        before = after = 0.0
        for part, (weight, rows) in enumerate(zip(campaign.weights, campaign.outcomes, strict=True)):
            hit = rows.where(getattr(rows, metric))
            if not len(hit):
                continue
            again = getattr(bench.repeated(hit, campaign.parts[part], campaign.cells), stays)
            each = weight / len(rows)
            before, after = before + each * len(hit), after + each * float(again.sum())
            for cell in hit.cell[~again].tolist():
                name = campaign.cells.places[int(campaign.cells.place[cell])]
                if name in saved:
                    saved[name] += each
        found = [
            Step(site, choice, saving, max(0.0, means.value(means.estimate(plan.with_(site, choice))) - base))
            for site, saving in saved.items()
            if saving > 0
        ]
        return (after / before if before else 1.0), found
