"""Rows of the report's tables, ready to print."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from laxity.artifacts.page.numbers import duration, number, percent, quantity
from laxity.artifacts.report.charts.cost import components
from laxity.artifacts.report.load import CircuitUse, Manifest, RunView, SiteDetail
from laxity.core.estimate import Basis, Estimate
from laxity.core.slots import Slot

TOLERANCE = 1e-9
RESOURCES = {
    "lut": "Look-up tables",
    "ff": "Flip-flops",
    "dsp": "DSP blocks",
    "bram": "Memory blocks",
    "units": "Multiply-accumulate units",
}
"""Names of the parts of a device that say more than their keys."""


@dataclass(slots=True)
class Sources:
    """Numbers the distinct sources of all figures, in order of first use."""

    texts: list[str] = field(default_factory=list)

    def cite(self, source: str) -> tuple[int, ...]:
        """Numbers of the sources in a joined text; `Estimate.total` joins with semicolons."""
        found = []
        for text in (part.strip() for part in source.split("; ")):
            if text and text not in self.texts:
                self.texts.append(text)
            if text:
                found.append(self.texts.index(text) + 1)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Figure:
    """One printed estimate.

    Attributes:
        text: value with unit.
        exact: value with all digits and unit, and the range where one is stated.
        basis: how it was obtained.
        refs: numbers of its sources.
    """

    text: str
    exact: str
    basis: str
    refs: tuple[int, ...]

    @staticmethod
    def of(estimate: Estimate, sources: Sources) -> Figure:
        """Print an estimate and register its sources."""
        exact = f"{estimate.value!r} {estimate.unit}"
        if estimate.low != estimate.high:
            exact += f", range {estimate.low!r} to {estimate.high!r}"
        basis = Basis(estimate.basis).value
        return Figure(quantity(estimate.value, estimate.unit), exact, basis, sources.cite(estimate.source))


@dataclass(frozen=True, slots=True)
class CostRow:
    """A cost before and after; either may be absent."""

    name: str
    before: Figure | None
    after: Figure | None
    ratio: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One slot's choice at a site."""

    slot: str
    level: str
    label: str


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One row of the site table; energies in pJ per sample, shares and bars are fractions."""

    name: str
    kind: str
    macs: float
    weights: int
    choices: tuple[Choice, ...]
    before_pj: float
    after_pj: float
    before: str
    after: str
    before_bar: float
    after_bar: float
    before_share: float
    after_share: float

    @property
    def saved(self) -> float | None:
        """Fraction of this site's energy that is saved."""
        return 1 - self.after_pj / self.before_pj if self.before_pj > 0 else None


@dataclass(frozen=True, slots=True)
class SumCheck:
    """Whether the parts add up to the recorded total."""

    network: str
    parts: int
    summed: str
    recorded: str
    agrees: bool


def site_rows(view: RunView) -> list[SiteRow]:
    """The sites in network order with energy before and after."""
    sites = view.details.sites
    before = [math.fsum(e.value for e in s.int8_exact.values()) for s in sites]
    after = [math.fsum(e.value for e in s.approximated.values()) for s in sites]
    largest = max([*before, *after], default=0.0) or 1.0
    all_before, all_after = math.fsum(before) or 1.0, math.fsum(after) or 1.0
    return [
        SiteRow(
            name=site.name,
            kind=site.kind,
            macs=site.macs,
            weights=site.weights,
            choices=_choices(site),
            before_pj=b,
            after_pj=a,
            before=quantity(b, "pJ"),
            after=quantity(a, "pJ"),
            before_bar=b / largest,
            after_bar=a / largest,
            before_share=b / all_before,
            after_share=a / all_after,
        )
        for site, b, a in zip(sites, before, after, strict=True)
    ]


def _choices(site: SiteDetail) -> tuple[Choice, ...]:
    order = {slot.value: slot for slot in Slot}
    named = sorted(site.choices.items(), key=lambda item: order[item[0]].order if item[0] in order else len(order))
    return tuple(Choice(s, order[s].level.value if s in order else "other", label) for s, label in named)


def total_rows(view: RunView, sources: Sources) -> list[CostRow]:
    """Energy, area, latency, memory, time and resources of the whole network; an area of 0 is none."""
    before, after = view.details.totals.int8_exact, view.details.totals.approximated
    names = {
        "energy_pj": "Energy per sample",
        "area_um2": "Area",
        "latency_cycles": "Latency per sample",
        "time_s": "Time per sample",
        "memory_bits": "Model memory",
    }
    pairs = [(text, getattr(before, key), getattr(after, key)) for key, text in names.items()]
    resources = dict.fromkeys([*before.resources, *after.resources])
    pairs += [(RESOURCES.get(n, n), before.resources.get(n), after.resources.get(n)) for n in resources]
    absent = {"Area"} if before.area_um2.value == after.area_um2.value == 0 else set()
    return [cost_row(n, b, a, sources) for n, b, a in pairs if n not in absent and (b is not None or a is not None)]


def component_rows(view: RunView, sources: Sources) -> list[CostRow]:
    """Energy per component, summed over the sites."""
    rows = []
    for name in components(view):
        before = [s.int8_exact[name] for s in view.details.sites if name in s.int8_exact]
        after = [s.approximated[name] for s in view.details.sites if name in s.approximated]
        rows.append(cost_row(name, _total(before), _total(after), sources))
    return rows


def part_rows(view: RunView, sources: Sources) -> list[tuple[str, CostRow]]:
    """Every single energy figure: (site, component before and after)."""
    rows = []
    for site in view.details.sites:
        for name in [*site.int8_exact, *(n for n in site.approximated if n not in site.int8_exact)]:
            row = cost_row(name, site.int8_exact.get(name), site.approximated.get(name), sources)
            rows.append((site.name, row))
    return rows


def cost_row(name: str, before: Estimate | None, after: Estimate | None, sources: Sources) -> CostRow:
    """Print one cost before and after with their ratio."""
    ratio = "–"
    if before is not None and after is not None and before.value > 0:
        ratio = percent(after.value / before.value)
    return CostRow(
        name,
        Figure.of(before, sources) if before is not None else None,
        Figure.of(after, sources) if after is not None else None,
        ratio,
    )


def sum_checks(view: RunView) -> list[SumCheck]:
    """Add up all parts of both networks and compare with the recorded totals."""
    checks = []
    for key, word in (("int8_exact", "exact INT8"), ("approximated", "approximated")):
        parts = [e.value for s in view.details.sites for e in getattr(s, key).values()]
        recorded = getattr(view.details.totals, key).energy_pj.value
        summed = math.fsum(parts)
        agrees = math.isclose(summed, recorded, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        checks.append(SumCheck(word, len(parts), number(summed, 9), number(recorded, 9), agrees))
    return checks


def circuit_facts(use: CircuitUse) -> list[tuple[str, str, str]]:
    """Metrics of a circuit as (name, value, what it means)."""
    return [
        ("Area", "–" if use.area_um2 is None else quantity(use.area_um2, "um2"), "cell area"),
        ("Delay", "–" if use.delay_ns is None else quantity(use.delay_ns, "ns"), "longest path"),
        ("Gates", number(use.gates, 6), "in the netlist"),
        ("Error probability", _percent(use.ep), "share of operand pairs with a wrong product"),
        ("Mean error distance", number(use.med), "mean of the absolute error"),
        ("Worst error", number(use.wce, 6), "largest absolute error"),
        ("Mean relative error", _percent(use.mred, 2), "over pairs with a non-zero product"),
        ("Normalised mean error", _percent(use.nmed, 3), "mean error over the largest product"),
        ("Bias", number(use.bias), "mean of the signed error"),
    ]


def stage_rows(view: RunView) -> list[tuple[str, str, int, str]]:
    """Journal lines by stage and level with their time."""
    counts: Counter[tuple[str, str]] = Counter()
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for record in view.evaluations:
        counts[record.stage, record.level] += 1
        seconds[record.stage, record.level] += record.seconds
    return [(stage, level or "–", n, duration(seconds[stage, level])) for (stage, level), n in counts.items()]


def options_text(manifest: Manifest) -> str:
    """The options of the run as readable JSON."""
    return json.dumps(manifest.options, indent=2, ensure_ascii=False, sort_keys=True)


def _total(parts: list[Estimate]) -> Estimate | None:
    return Estimate.total(parts, parts[0].unit) if parts else None


def _percent(value: float | None, places: int = 1) -> str:
    return "–" if value is None else percent(value, places)
