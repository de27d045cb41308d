"""Put a comparison of circuits into one HTML text that works without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from markupsafe import Markup

from laxity.artifacts.circuits import wording
from laxity.artifacts.circuits.charts import bins_chart, energy_charts, map_charts
from laxity.artifacts.circuits.drawing import dots_chart, gates_chart, path_runs
from laxity.artifacts.page import render_document
from laxity.artifacts.page.chart import Chart
from laxity.artifacts.page.inline import script_json
from laxity.artifacts.page.numbers import number
from laxity.circuits.assess import SAMPLING, Sampling
from laxity.circuits.comparison import Comparison, Row, dots, energy_by_operand, error_bins, error_map, structure
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.core.errors import CircuitError
from laxity.core.serial import write_atomic

_USUAL_COSTS = ("energy", "pe-energy", "area", "delay")

DETAILED = 8
"""Circuits of the front that get a section of their own, unless named otherwise."""


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown of one circuit.

    Attributes:
        row: the circuit.
        anchor: identifier in the page.
        facts: costs as (name, value, meaning).
        errors: metrics as (name, value, meaning).
        path: slowest path as runs of equal cells: cell, how many, settled after.
        cells: instances by cell, most first, with their part of the largest number.
        charts: drawn ones by kind.
        bins_note: what the histogram does not show.
        map_note: what an entry of the maps is.
    """

    row: Row
    anchor: str
    facts: list[tuple[str, str, str]]
    errors: list[tuple[str, str, str]]
    path: list[tuple[str, int, str]]
    cells: list[tuple[str, int, float]]
    charts: dict[str, tuple[Chart, Markup | None]]
    bins_note: str
    map_note: str


def render_page(
    comparison: Comparison,
    *,
    operands: Operands = UNIFORM,
    sampling: Sampling = SAMPLING,
    detailed: Sequence[str] = (),
    most: int = DETAILED,
    command: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> str:
    """Render the page of a comparison; equal comparisons give equal text.

    Args:
        comparison: the circuits.
        operands: their distribution, for the histograms of errors.
        sampling: when and how operand pairs are sampled, likewise.
        detailed: names of circuits that get a section besides those of the front.
        most: circuits of the front that get a section; beyond, evenly spaced ones are chosen.
        command: that made the page, shown at its end.
        progress: told about each section.

    Raises:
        CircuitError: a circuit named in `detailed` is not in the comparison.
    """
    chosen = _chosen(comparison, detailed, most)
    sections = []
    for index, row in enumerate(chosen):
        progress(f"drawing {row.candidate.name} ({index + 1}/{len(chosen)})")
        sections.append(_section(row, index, comparison, operands, sampling))
    costs = _costs(comparison)
    values = {
        "comparison": comparison,
        "title": wording.title(comparison),
        "kind": comparison.rows[0].candidate.kind.replace(" x ", " × "),
        "pairs": wording.pairs(comparison),
        "metrics": wording.METRICS,
        "costs": costs,
        "columns": _columns(comparison, costs),
        "table": _table(comparison, costs, {s.row.candidate.name: s.anchor for s in sections}),
        "families": sorted({row.candidate.family for row in comparison.rows}),
        "points": script_json(_points(comparison, costs)),
        "sections": sections,
        "library": comparison.library,
        "command": command,
        "version": metadata.version("laxity"),
    }
    return render_document(
        "laxity.artifacts.circuits", "template.html", values, styles=["circuits.css"], scripts=["circuits.js"]
    )


def write_page(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    write_atomic(path, text)


def _chosen(comparison: Comparison, detailed: Sequence[str], most: int) -> list[Row]:
    rows = {row.candidate.name: row for row in comparison.rows}
    missing = [name for name in detailed if name not in rows]
    if missing:
        raise CircuitError(f"{missing[0]!r} is not among the circuits that are compared; name it there too")
    front = comparison.front
    count = min(max(0, most), len(front))
    picked = [front[round(i * (len(front) - 1) / max(1, count - 1))] for i in range(count)]
    wanted = {row.candidate.name for row in picked} | set(detailed)
    return [row for row in comparison.rows if row.candidate.name in wanted]


def _section(row: Row, index: int, comparison: Comparison, operands: Operands, sampling: Sampling) -> Section:
    candidate, subject = row.candidate, row.candidate.subject
    names = ("activation a", "weight b") if subject.operation == "multiply" else ("operand a", "operand b")
    anchor = f"circuit-{index}"
    found = error_map(subject)
    bins = error_bins(subject, row.metrics, operands, sampling)
    signed, relative = map_charts(anchor, found, names)
    charts = {"signed": signed, "relative": relative, "bins": bins_chart(anchor, bins)}
    if (diagram := dots(subject)) is not None:
        charts["dots"] = dots_chart(anchor, diagram)
    path: list[tuple[str, int, str]] = []
    if candidate.circuit is not None:
        held, ranges = energy_charts(
            anchor, energy_by_operand(candidate.circuit, subject, library=comparison.library), names
        )
        built = structure(candidate.circuit, comparison.library)
        charts |= {"held": held, "ranges": ranges, "gates": gates_chart(anchor, candidate.circuit, built)}
        path = path_runs(candidate.circuit, built)
    cells = dict(row.figures.cells) if row.figures else {}
    largest = max(cells.values(), default=1)
    return Section(
        row=row,
        anchor=anchor,
        facts=wording.facts(row, comparison.clock_mhz),
        errors=wording.errors(row),
        path=path,
        cells=[(cell, n, n / largest) for cell, n in sorted(cells.items(), key=lambda pair: -pair[1])],
        charts={kind: chart.drawn() for kind, chart in charts.items()},
        bins_note=f"{number(100 * bins.exact_share, 3)} % of operand pairs have no error and are not in the bars.",
        map_note=_map_note(found.block, found.drawn),
    )


def _map_note(block: int, drawn: int) -> str:
    if block == 1:
        return "One cell for every pair of operands."
    return f"Each cell is the mean over {drawn} random pairs from a block of {number(float(block), 9)}."


def _costs(comparison: Comparison) -> list[wording.Quantity]:
    """Costs that are known of at least one circuit."""
    known = wording.costs(comparison.clock_mhz)
    return [c for c in known if any(row.cost(c.key) is not None for row in comparison.rows)]


def _columns(comparison: Comparison, costs: list[wording.Quantity]) -> list[wording.Quantity]:
    """What the table shows: the metric and the cost of the comparison, and the usual ones."""
    by_key = {m.key: m for m in wording.METRICS}
    shown = dict.fromkeys([comparison.metric, "mred", "med", "wce", "ep", "bias"])
    return [by_key[key] for key in shown] + [c for c in costs if c.key in (comparison.against, *_USUAL_COSTS)]


def _value(row: Row, quantity: wording.Quantity) -> float | None:
    if quantity in wording.METRICS:
        return float(getattr(row.metrics, quantity.key))
    return row.cost(quantity.key)


def _table(comparison: Comparison, costs: list[wording.Quantity], anchors: dict[str, str]) -> list[dict[str, Any]]:
    found = []
    for row in comparison.rows:
        values = [(c, _value(row, c)) for c in _columns(comparison, costs)]
        found.append(
            {
                "name": row.candidate.name,
                "anchor": anchors.get(row.candidate.name, ""),
                "beaten_by": row.beaten_by,
                "known": row.figures is not None,
                "cells": [(c.key, 1e300 if v is None else v, wording.write(v, c)) for c, v in values],
            }
        )
    return found


def _points(comparison: Comparison, costs: list[wording.Quantity]) -> dict[str, Any]:
    """What the page draws the front from."""
    quantities = [*wording.METRICS, *costs]
    return {
        "metric": comparison.metric,
        "against": comparison.against,
        "quantities": {q.key: {"title": q.long, "short": q.short, "percent": q.percent} for q in quantities},
        "rows": [
            {
                "name": row.candidate.name,
                "family": row.candidate.family,
                "values": {q.key: None if (v := _value(row, q)) is None else abs(v) for q in quantities},
            }
            for row in comparison.rows
            if row.figures is not None
        ],
    }
