"""Charts hold the run's numbers, are valid plotly, and use colours that everybody can tell apart."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plotly import graph_objects

from laxity.artifacts.page.chart import Chart, distinct, plain
from laxity.artifacts.report.charts.circuit import block_means, circuit_chart
from laxity.artifacts.report.charts.cost import component_chart, site_chart
from laxity.artifacts.report.charts.faults import fault_chart
from laxity.artifacts.report.charts.front import focus, front_chart, hidden
from laxity.artifacts.report.charts.levels import levels_chart, quality_chart
from laxity.artifacts.report.charts.sensitivity import sensitivity_chart
from laxity.artifacts.report.load import RunView, load_run

MAKERS = (front_chart, levels_chart, component_chart, site_chart, sensitivity_chart, quality_chart, fault_chart)
TOKEN = re.compile(r"@([a-z0-9]+)(/\d+)?")


@pytest.fixture
def view(run_folder: Path) -> RunView:
    return load_run(run_folder)


def themes() -> list[dict[str, str]]:
    """Colour variables of the light and of the dark theme, as the style sheet states them."""
    css = resources.files("laxity.artifacts.page").joinpath("style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    assert len(blocks) == 2
    return [dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6});", block)) for block in blocks]


def tokens(value: Any) -> Iterator[str]:
    if isinstance(value, str) and (match := TOKEN.fullmatch(value)):
        yield match.group(1)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tokens(item)
    elif isinstance(value, list):
        for item in value:
            yield from tokens(item)


def resolved(value: Any) -> Any:
    """The figure with every token replaced, as the page does it."""
    if isinstance(value, str) and TOKEN.fullmatch(value):
        return "#123456"
    if isinstance(value, dict):
        return {k: resolved(v) for k, v in value.items() if k != "views"}
    return [resolved(v) for v in value] if isinstance(value, list) else value


def figure_of(chart: Chart) -> dict[str, Any]:
    assert chart.figure is not None
    return chart.figure


@pytest.mark.parametrize("make", MAKERS)
def test_figure_is_valid_plotly_with_known_colours(view: RunView, make) -> None:
    chart = make(view)
    graph_objects.Figure(resolved(figure_of(chart)))
    assert chart.title
    for theme in themes():
        assert set(tokens(chart.figure)) <= set(theme)


@pytest.mark.parametrize("make", MAKERS)
def test_axes_have_titles_or_names(view: RunView, make) -> None:
    layout = figure_of(make(view))["layout"]
    assert layout["xaxis"]["title"]["text"]


def test_front_shows_every_point_once(view: RunView) -> None:
    traces = [t for t in figure_of(front_chart(view))["data"] if "meta" in t]
    drawn = sorted((x, y) for t in traces for x, y in zip(t["x"], t["y"], strict=True))
    assert drawn == sorted((p.energy_ratio, p.quality) for p in view.front.points)
    kinds = {(t["meta"]["level"], t["meta"]["stage"]) for t in traces}
    assert kinds == {(p.level, p.stage) for p in view.front.points}


def test_front_marks_selected_baseline_and_budget(view: RunView) -> None:
    figure = figure_of(front_chart(view))
    ring = next(t for t in figure["data"] if t.get("name") == "selected")
    chosen = next(p for p in view.front.points if p.plan_key == view.front.selected)
    assert (ring["x"], ring["y"]) == ([chosen.energy_ratio], [chosen.quality])
    heights = [s["y0"] for s in figure["layout"]["shapes"] if s["type"] == "line"]
    baseline = view.front.baseline.quality.value
    assert heights == [baseline, pytest.approx(baseline - 0.01)]


def test_front_line_never_falls_and_views_nest(view: RunView) -> None:
    line = next(t for t in figure_of(front_chart(view))["data"] if t.get("name") == "front")
    assert line["x"] == sorted(line["x"])
    assert line["y"] == sorted(line["y"])
    low, high = focus(view)
    outer = figure_of(front_chart(view))["views"]["all"]
    assert outer[0] < low < view.front.baseline.quality.value < high
    assert hidden(view) == sum(p.quality < low for p in view.front.points) > 0


@pytest.mark.parametrize("make", [component_chart, site_chart])
def test_stacks_add_up_to_the_totals(view: RunView, make) -> None:
    figure = figure_of(make(view))
    unit = re.search(r"\((.+)\)", figure["layout"]["xaxis"]["title"]["text"])
    assert unit is not None
    factor = {"pJ": 1.0, "nJ": 1e3, "µJ": 1e6, "mJ": 1e9}[unit.group(1)]
    drawn = math.fsum(v for trace in figure["data"] for v in trace["x"]) * factor
    totals = view.details.totals
    assert drawn == pytest.approx(totals.int8_exact.energy_pj.value + totals.approximated.energy_pj.value)


def test_sensitivity_cells(view: RunView) -> None:
    heat = figure_of(sensitivity_chart(view))["data"][0]
    cells = {(i.site, i.label): i.loss_increase for i in view.sensitivity}
    sites = list(dict.fromkeys(i.site for i in view.sensitivity))
    seen = 0
    for site, row in zip(sites, heat["z"], strict=True):
        for label, shade in zip(heat["x"], row, strict=True):
            if shade is None:
                assert (site, label) not in cells
            else:
                seen += 1
                assert shade == pytest.approx(math.log10(max(cells[site, label], 1e-4)))
    assert seen == len(view.sensitivity)


def test_levels_over_budget_are_marked(run_folder: Path, edit) -> None:
    edit(run_folder / "front.json", lambda f: (f["levels"]["data"].update(met=False), f["levels"].pop("hardware")))
    bars = figure_of(levels_chart(load_run(run_folder)))["data"][0]
    assert bars["y"] == ["cross-layer", "software", "data"]
    assert ["over budget" in text for text in bars["text"]] == [False, False, True]


def test_fault_rate_zero_stands_left_of_the_smallest_rate(view: RunView) -> None:
    figure = figure_of(fault_chart(view))
    lines = [t for t in figure["data"] if t["mode"] == "lines+markers"]
    assert [t["name"] for t in lines] == ["original", "exact INT8", "approximated"]
    assert lines[0]["x"][0] == pytest.approx(1e-8)
    assert lines[0]["x"][1] == pytest.approx(1e-7)
    axis = figure["layout"]["xaxis"]
    assert (axis["type"], axis["ticktext"][0], axis["tickvals"][0]) == ("log", "0", pytest.approx(1e-8))


def test_quality_rows_carry_their_intervals(view: RunView) -> None:
    rows = figure_of(quality_chart(view))["data"]
    top = rows[-1]
    assert top["y"] == ["baseline, test"]
    assert top["x"][0] + top["error_x"]["array"][0] == pytest.approx(view.metrics.baseline.high)
    assert top["x"][0] - top["error_x"]["arrayminus"][0] == pytest.approx(view.metrics.baseline.low)


def test_block_means_against_loops() -> None:
    table = np.random.default_rng(3).normal(size=(256, 128))
    got = block_means(table)
    assert got.shape == (64, 64)
    for i, j in [(0, 0), (5, 60), (63, 63), (17, 31)]:
        assert got[i, j] == pytest.approx(sum(table[4 * i + a, 2 * j + b] for a in range(4) for b in range(2)) / 8)


def test_small_tables_are_not_blown_up() -> None:
    table = np.arange(64.0).reshape(8, 8)
    assert np.array_equal(block_means(table), table)


def test_circuit_map_is_the_error_of_the_product(view: RunView) -> None:
    use = next(c for c in view.details.circuits if c.name == "drum8_4")
    heat = figure_of(circuit_chart(use, 0))["data"][0]
    graph_objects.Figure(resolved(circuit_chart(use, 0).figure))
    total = np.mean(heat["z"])
    assert use.bias == pytest.approx(total, rel=1e-3)
    assert heat["x"][0] == 1.5


def test_circuit_with_another_table_is_not_drawn(view: RunView) -> None:
    use = view.details.circuits[0].model_copy(update={"table_sha256": "0" * 64})
    chart = circuit_chart(use, 0)
    assert chart.figure is None
    assert "another table" in chart.empty


def test_unknown_and_exact_circuits_get_a_sentence(view: RunView) -> None:
    from laxity.circuits import catalogue

    unknown = view.details.circuits[0].model_copy(update={"name": "<b>none</b>"})
    assert circuit_chart(unknown, 0).figure is None
    sha = catalogue.get("dadda8").table_sha256
    exact = view.details.circuits[0].model_copy(update={"name": "dadda8", "table_sha256": sha})
    assert "is exact" in circuit_chart(exact, 0).empty


def test_text_for_plotly_is_never_markup() -> None:
    assert plain('<a href="x">&') == '&lt;a href="x"&gt;&amp;'
    assert distinct(["a" * 40, "a" * 41, "<i>"])[2] == "&lt;i&gt;"
    assert len(set(distinct(["a" * 40, "a" * 41]))) == 2


# Simulation matrices of full dichromacy, linear RGB. Source: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes,
# "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15(6), 2009.
DICHROMACY = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.052]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503]]
    )
    xyz = matrix @ np.clip(rgb, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, two: str) -> float:
    light, dark = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
@pytest.mark.parametrize("sight", DICHROMACY)
def test_level_colours_stay_apart(theme: dict[str, str], sight: str) -> None:
    colours = [lab(DICHROMACY[sight] @ linear(theme[n])) for n in ("data", "software", "hardware", "cross")]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)) > 20


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_contrast(theme: dict[str, str]) -> None:
    for name in ("data", "software", "hardware", "cross", "exact"):
        assert contrast(theme[name], theme["paper"]) >= 3, name
    for ground in ("paper", "surface", "sunk"):
        for name in ("ink", "muted", "bad", "good"):
            assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
