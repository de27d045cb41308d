"""Put the studies of one folder into a single HTML text that works without a network."""

from __future__ import annotations

from pathlib import Path

from laxity.artifacts.page import render_document
from laxity.artifacts.page.chart import Chart
from laxity.artifacts.page.curves import Panel, curves_chart
from laxity.artifacts.page.numbers import percent, points
from laxity.artifacts.recipes import in_words
from laxity.artifacts.recovery.charts import front, ladder_chart, ranking_chart, treatments_chart
from laxity.artifacts.recovery.load import ComparisonFile, LadderFile, RankingFile, Score, StudyView, load_study
from laxity.core.serial import write_atomic

REPORT_NAME = "report.html"
_STRONGEST = 12
"""Multipliers of a ladder whose curves are drawn."""


def render_recovery(folder: Path) -> str:
    """Render the page of a folder of studies; equal folders give equal text.

    Raises:
        RunError: a file of the folder is missing or malformed; names it.
    """
    view = load_study(folder)
    _, head = view.files[0]
    values = {
        "view": view,
        "head": head,
        "version": head.laxity,
        "title": _title(view),
        "lead": _lead(view),
        "comparison": view.comparison,
        "ladder": view.ladder,
        "ranking": view.ranking,
        "charts": {chart.name: chart.drawn() for chart in _charts(view)},
        "in_words": in_words,
        "spread": _spread,
        "beaten": _beaten(view.ranking),
    }
    package = "laxity.artifacts.recovery"
    return render_document(package, "template.html", values, styles=["recovery.css"], scripts=["recovery.js"])


def write_recovery(folder: Path) -> Path:
    """Render the page of a folder of studies and write it there, whole or not at all.

    Returns:
        Path of the file.

    Raises:
        RunError: a file of the folder is missing or malformed, or the page cannot be written.
    """
    path = folder / REPORT_NAME
    write_atomic(path, render_recovery(folder))
    return path


def _charts(view: StudyView) -> list[Chart]:
    found = []
    if view.comparison is not None:
        panels = [
            Panel(r.name, r.curves, r.name == view.comparison.best) for r in view.comparison.after if any(r.curves)
        ]
        found = [
            treatments_chart(view.comparison),
            curves_chart("accuracy-curves", panels, "accuracy", shared=True),
            curves_chart("loss-curves", panels, "loss", shared=False),
        ]
    if view.ladder is not None:
        rungs = [(r.name, r.after.curve) for r in view.ladder.rungs if r.after is not None and r.after.curve]
        panels = [Panel(name, [curve], name == view.ladder.chosen) for name, curve in rungs[-_STRONGEST:]]
        found += [ladder_chart(view.ladder), curves_chart("ladder-curves", panels, "accuracy", shared=True)]
    if view.ranking is not None:
        found.append(ranking_chart(view.ranking))
    return found


def _spread(score: Score, *, signed: bool = False) -> str:
    """A mean with its spread in percent, or in points with a sign."""
    mean = f"{100 * score.mean:+.2f}".replace("-", "\u2212") if signed else percent(score.mean, 2)
    return mean if not score.spread else f"{mean} ± {100 * score.spread:.2f}"


def _beaten(file: RankingFile | None) -> set[str]:
    """Names of multipliers that another beats in energy and predicted harm, or whose energy is unknown."""
    if file is None:
        return set()
    best = {row.name for row in front([row for row in file.rows if row.energy_pj is not None])}
    return {row.name for row in file.rows} - best


def _title(view: StudyView) -> str:
    if view.comparison is not None:
        return _compared(view.comparison)
    if view.ladder is not None:
        return _climbed(view.ladder)
    rows = [] if view.ranking is None else view.ranking.rows
    return f"{len(rows)} multipliers by the harm they would do"


def _compared(file: ComparisonFile) -> str:
    best = next((row for row in file.after if row.name == file.best), None)
    start = f"{file.multiplier} everywhere: {percent(file.before.test.mean)} untreated"
    return f"{start}." if best is None else f"{start}, {percent(best.test.mean)} after {best.name}."


def _climbed(file: LadderFile) -> str:
    if file.chosen is None or file.chosen_test is None:
        return f"No multiplier everywhere keeps the drop within {points(file.max_drop)}."
    ratio = percent(file.chosen_test.energy_ratio)
    return f"{file.chosen} everywhere takes {ratio} of the energy at {points(file.max_drop)} or less on validation."


def _lead(view: StudyView) -> str:
    _, head = view.files[0]
    test = f"{head.task.samples.get('test', 0)} test samples that no treatment and no choice has seen"
    if view.comparison is not None:
        seeds = len(head.seeds)
        over = f", means over {seeds} seeds" if seeds > 1 else ""
        exact = f"Exact circuits with {head.operands}: {percent(view.comparison.exact.test.mean)}"
        return f"{exact}; the original network: {percent(view.comparison.original.test)}. On {test}{over}."
    if view.ladder is not None:
        exact = f"Exact circuits with {head.operands}: {percent(view.ladder.quantised_test.accuracy)}"
        return f"{exact}; the original network: {percent(view.ladder.original.test)}. On {test}."
    return "Predicted from the errors of single products; no network was run through a table of products."
