"""Put charts, tables and words of one run into a single HTML text that works without a network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from laxity.artifacts.page import render_document
from laxity.artifacts.page.chart import Chart
from laxity.artifacts.recipes import in_words
from laxity.artifacts.report import hardened, machine, tables, wording
from laxity.artifacts.report.charts.circuit import circuit_chart
from laxity.artifacts.report.charts.cost import component_chart, site_chart
from laxity.artifacts.report.charts.faults import fault_chart
from laxity.artifacts.report.charts.front import front_chart, hidden, levels_present, stages_present
from laxity.artifacts.report.charts.hardening import hardening_chart
from laxity.artifacts.report.charts.levels import levels_chart, quality_chart
from laxity.artifacts.report.charts.machine import (
    area_chart,
    cycles_chart,
    product_chart,
    split_chart,
    timing_chart,
    traffic_chart,
)
from laxity.artifacts.report.charts.recovery import recipe_charts, repair_curves, repairs_chart, stages_chart
from laxity.artifacts.report.charts.sensitivity import sensitivity_chart
from laxity.artifacts.report.charts.silicon import silicon_area_chart, silicon_energy_chart, steps_chart
from laxity.artifacts.report.load import RunView, load_run
from laxity.core.serial import write_atomic

REPORT_NAME = "report.html"

_CHARTS = (
    front_chart,
    levels_chart,
    component_chart,
    site_chart,
    sensitivity_chart,
    quality_chart,
    stages_chart,
    repairs_chart,
    partial(repair_curves, key="accuracy"),
    partial(repair_curves, key="loss"),
    fault_chart,
    hardening_chart,
    area_chart,
    timing_chart,
    split_chart,
    product_chart,
    cycles_chart,
    traffic_chart,
    steps_chart,
    silicon_area_chart,
    silicon_energy_chart,
)


def render_report(run: Path) -> str:
    """Render the report of a run folder.

    The result depends on the folder's content only: equal folders give equal text.

    Args:
        run: folder written by an optimize or demo run.

    Returns:
        One HTML document with style, scripts and data inline.

    Raises:
        RunError: a file of the folder is missing or malformed; names it.
    """
    view = load_run(run)
    values = {
        **_words(view),
        **_tables(view),
        **_hardware(view),
        "charts": _charts(view),
        "circuits": [
            (use, tables.circuit_facts(use), circuit_chart(use, index).drawn())
            for index, use in enumerate(view.details.circuits)
        ],
    }
    return render_document("laxity.artifacts.report", "template.html", values, scripts=["report.js"])


def write_report(run: Path) -> Path:
    """Render the report of a run folder and write it there as ``report.html``, whole or not at all.

    Returns:
        Path of the file.

    Raises:
        RunError: a file of the folder is missing or malformed, or the report cannot be written.
    """
    path = run / REPORT_NAME
    write_atomic(path, render_report(run))
    return path


def _charts(view: RunView) -> dict[str, tuple[Chart, Markup | None]]:
    return {chart.name: chart.drawn() for chart in (make(view) for make in _CHARTS)}


def _words(view: RunView) -> dict[str, Any]:
    recorded = view.front.baseline.energy_ratio
    exact_pj = view.front.int8_exact.energy_pj
    if recorded is None and exact_pj > 0:
        recorded = view.front.baseline.energy_pj / exact_pj
    return {
        "view": view,
        "manifest": view.manifest,
        "version": view.manifest.laxity,
        "metrics": view.metrics,
        "quality": view.front.baseline.quality,
        "baseline_ratio": recorded,
        "verdict": wording.verdict(view),
        "budget_met": wording.budget_met(view),
        "caution": wording.caution(view),
        "comparison": wording.comparison(view),
        "saving": wording.saving(view.metrics.energy_pj.ratio),
        "level_names": wording.LEVEL_NAMES,
        "levels": wording.LEVELS,
        "front_levels": levels_present(view),
        "front_stages": stages_present(view),
        "hidden": hidden(view),
        "recovered": wording.recovered(view),
        "recipe_charts": [chart.drawn() for chart in recipe_charts(view)],
        "in_words": in_words,
    }


def _tables(view: RunView) -> dict[str, Any]:
    sources = tables.Sources()
    return {
        "site_rows": tables.site_rows(view),
        "total_rows": tables.total_rows(view, sources),
        "component_rows": tables.component_rows(view, sources),
        "part_rows": tables.part_rows(view, sources),
        "sources": sources.texts,
        "sum_checks": tables.sum_checks(view),
        "stage_rows": tables.stage_rows(view),
        "hardened_rows": hardened.rows(view),
        "hardened_finding": hardened.finding(view),
        "hardened_verdict": hardened.verdict(view),
        "hardened_metric": hardened.metric(view),
        "options_text": tables.options_text(view.manifest),
    }


def _hardware(view: RunView) -> dict[str, Any]:
    accelerator = view.accelerator
    simulation = None if accelerator is None else accelerator.simulation
    same = simulation is not None and len(simulation.steps) == len(accelerator.facts.steps) if accelerator else False
    return {
        "cards": machine.cards(view),
        "constant_groups": machine.constant_groups(view.manifest),
        "bases": machine.bases(view.manifest),
        "element_rows": machine.element_rows(view),
        "product_table": machine.product_table(view),
        "use_rows": machine.use_rows(view),
        "checks": machine.agreements(view),
        "accelerator": accelerator,
        "accelerator_facts": [] if accelerator is None else machine.accelerator_facts(accelerator),
        "simulation_text": "" if accelerator is None else machine.simulation_text(accelerator),
        "checked": simulation.steps if simulation is not None and same else [],
    }
