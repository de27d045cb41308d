"""Put a hardened network into a single HTML text that works without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from laxity.artifacts.hardening import wording
from laxity.artifacts.hardening.charts import judged_chart, left_chart, path_chart, prefixes, tradeoff_chart
from laxity.artifacts.hardening.load import HardeningFile, load_hardening
from laxity.artifacts.page import render_document
from laxity.artifacts.page.numbers import number, percent, quantity, signed_points
from laxity.artifacts.report.hardening import OBJECTIVES, Point, added, fraction, interval, label, verdict
from laxity.core.serial import write_atomic

REPORT_NAME = "report.html"
_UNITS = {"energy_pj": "pJ", "area_um2": "um2", "memory_bits": "bit", "latency_cycles": "cycles"}


@dataclass(frozen=True, slots=True)
class SetRow:
    """One set of protections as a row.

    Attributes:
        point: the set.
        name: its protections in words.
        called: how the search called it.
        share, due: estimate and ends.
        costs: value and what it adds, for each of `columns`.
        verdict: accepted or not, and why.
        chosen: whether it is the chosen set.
    """

    point: Point
    name: str
    called: str
    share: tuple[str, str]
    due: tuple[str, str]
    costs: list[tuple[str, str]]
    verdict: str
    chosen: bool


def render_hardening(folder: Path) -> str:
    """Render the page of a hardened network's folder; equal folders give equal text.

    Raises:
        RunError: the file of the folder is missing or malformed; names it.
    """
    view = load_hardening(folder)
    file = view.file
    tradeoff = tradeoff_chart(file)
    values = {
        "view": view,
        "file": file,
        "version": file.versions.get("laxity") or "unknown",
        "wording": wording,
        "title": wording.title(file),
        "pill": wording.pill(file),
        "caution": wording.caution(file),
        "metric": wording.METRICS[file.limit.metric],
        "objectives": OBJECTIVES,
        "costs": [] if tradeoff.figure is None else list(tradeoff.figure["costs"]),
        "tradeoff": tradeoff.drawn(),
        "left": left_chart(file).drawn(),
        "path": path_chart(file).drawn(),
        "judged": judged_chart(file).drawn(),
        "set_rows": set_rows(file),
        "columns": columns(file),
        "step_rows": step_rows(file),
        "judged_rows": judged_rows(file),
        "lanes": lanes(file),
    }
    package = "laxity.artifacts.hardening"
    return render_document(package, "template.html", values, styles=["hardening.css"], scripts=["hardening.js"])


def write_hardening(folder: Path) -> Path:
    """Render the page of a hardened network's folder and write it there, whole or not at all.

    Returns:
        Path of the file.

    Raises:
        RunError: the file of the folder is missing or malformed, or the page cannot be written.
    """
    path = folder / REPORT_NAME
    write_atomic(path, render_hardening(folder))
    return path


def set_rows(file: HardeningFile) -> list[SetRow]:
    """The unprotected network, then every set in the order in which they were tried."""
    base = file.unprotected
    return [
        SetRow(
            point,
            wording.in_brief(point.protections) if point.protections else point.name,
            point.name if point.protections else "",
            interval(point.share),
            interval(point.due),
            [
                (quantity(getattr(point, key), _UNITS[key]), added(getattr(point, key), getattr(base, key)))
                for key in columns(file)
            ],
            verdict(point, file.limit),
            file.chosen is not None and point.protections == file.chosen.protections,
        )
        for point in _distinct([base, *file.tried])
    ]


def columns(file: HardeningFile) -> list[str]:
    """Costs that the table of sets has: energy and memory, and those in which sets differ."""
    points = [file.unprotected, *file.tried]
    usual = {"energy_pj", "memory_bits", file.objective}
    return [key for key in OBJECTIVES if key in usual or len({getattr(p, key) for p in points}) > 1]


def _distinct(points: list[Point]) -> list[Point]:
    """Every set once: a prefix of the ranking may be the same as one protection everywhere."""
    found: list[Point] = []
    for point in points:
        if all(point.protections != other.protections for other in found):
            found.append(point)
    return found


def step_rows(file: HardeningFile) -> list[tuple[str, ...]]:
    """Number, site, protection, its own saving and cost, then both together with the steps before it."""
    base = file.base
    return [
        (
            str(row.count),
            step.site,
            label(step.choice),
            fraction(step.saving),
            added(base + step.cost, base),
            fraction(row.removed),
            added(base + row.cost, base),
        )
        for step, row in zip(file.steps, prefixes(file)[1:], strict=True)
    ]


def judged_rows(file: HardeningFile) -> list[tuple[str, tuple[str, str], tuple[str, str], str]]:
    """Metric, value and ends before and after, and the difference, on the test split."""
    if file.test is None:
        return []
    one, two = file.test.unprotected, file.test.hardened
    gap = file.test.difference
    rows = [
        (wording.METRICS[file.limit.metric], interval(one.share), interval(two.share), _gap_words(gap)),
        ("DUE", interval(one.due), interval(two.due), ""),
    ]
    quality = [
        (percent(q.value, 2), f"{percent(q.low, 2)} to {percent(q.high, 2)}") for q in (one.quality, two.quality)
    ]
    change = signed_points(two.quality.value - one.quality.value)
    return [*rows, (two.quality.metric, quality[0], quality[1], f"{change} points")]


def _gap_words(gap: wording.Gap | None) -> str:
    if gap is None:
        return ""
    value, between = wording.gap(gap)
    return f"{value} points ({between}), before less after, from {number(gap.samples, 9)} common faults"


def lanes(file: HardeningFile) -> list[tuple[str, str, float, str]]:
    """Name, style, width in percent and value of the bars that compare the objective."""
    if file.chosen is None or not file.chosen.protections:
        return []
    pair = [("Unprotected", "exact", file.base), ("Hardened", "approx", file.objective_of(file.chosen))]
    widest = max(value for *_, value in pair) or 1.0
    return [(name, style, 100 * value / widest, quantity(value, _UNITS[file.objective])) for name, style, value in pair]
