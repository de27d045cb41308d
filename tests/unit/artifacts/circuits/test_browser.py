"""The page of circuits in a real browser: charts appear, labels keep clear of each other, controls work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.circuits import render_page
from laxity.circuits.comparison import compare, find_candidates

from .conftest import EVIL

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SIZES = [(1280, 900), (390, 844)]
Visit = Callable[..., Any]


@pytest.fixture
def visit(opened: Visit, written: Callable[[str], Path]) -> Visit:
    """``visit(text, size, scheme)`` opens a page."""
    return lambda text, *how: opened(written(text).as_uri(), *how)


def draw_all(page: Any) -> None:
    """Scroll through the page until every chart is drawn."""
    for box in page.query_selector_all(".chart"):
        box.scroll_into_view_if_needed()
        page.wait_for_function("b => b.querySelector('svg.main-svg') !== null", arg=box)


def boxes(page: Any, selector: str) -> list[tuple[float, float, float, float]]:
    found = [e.bounding_box() for e in page.query_selector_all(selector)]
    return [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in found if b]


def overlapping(areas: list[tuple[float, float, float, float]], slack: float = 2) -> list[tuple[int, int]]:
    return [
        (i, j)
        for i, p in enumerate(areas)
        for j, q in enumerate(areas[:i])
        if p[0] + slack < q[2] and q[0] + slack < p[2] and p[1] + slack < q[3] and q[1] + slack < p[3]
    ]


@pytest.mark.parametrize(("size", "scheme"), [(SIZES[0], "light"), (SIZES[1], "dark")])
def test_every_chart_is_drawn_and_nothing_overflows(visit: Visit, page: str, size: Any, scheme: str) -> None:
    shown = visit(page, size, scheme)
    draw_all(shown)
    assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    assert len(boxes(shown, ".chart svg.main-svg")) >= 10
    assert overlapping(boxes(shown, "#chart-front .annotation-text")) == []
    for chart in shown.query_selector_all(".chart"):
        for ticks in (".xtick text", ".ytick text"):
            areas = [e.bounding_box() for e in chart.query_selector_all(ticks)]
            kept = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in areas]
            assert overlapping(kept) == [], chart.get_attribute("id")


def test_names_of_the_front_keep_clear_of_marks(visit: Visit, page: str) -> None:
    shown = visit(page)
    names, marks = boxes(shown, "#chart-front .annotation-text"), boxes(shown, "#chart-front .points path")
    assert len(names) >= 3
    inside = [
        (n, m) for n in names for m in marks if n[0] < (m[0] + m[2]) / 2 < n[2] and n[1] < (m[1] + m[3]) / 2 < n[3]
    ]
    assert inside == []


def test_controls_change_the_front(visit: Visit, page: str) -> None:
    shown = visit(page)
    title = "document.getElementById('chart-front').layout.%s.title.text"
    front = "document.getElementById('chart-front').data.find(t => t.name === 'beaten by none').x"
    assert "processing element" in shown.evaluate(title % "xaxis")
    before = shown.evaluate(front)
    shown.select_option("select[data-choice=against]", "delay")
    assert shown.evaluate(title % "xaxis") == "delay (ns)"
    assert shown.evaluate(front) != before
    shown.select_option("select[data-choice=metric]", "wce")
    assert "worst-case error" in shown.evaluate(title % "yaxis")
    shown.select_option("select[data-choice=family]", "drum")
    marked = shown.evaluate("document.getElementById('chart-front').data.find(t => t.name === 'drum').x.length")
    assert marked == 5


def test_front_of_the_page_is_that_of_the_comparison(visit: Visit, page: str, multipliers: Any) -> None:
    shown = visit(page)
    drawn = shown.evaluate("document.getElementById('chart-front').data.find(t => t.name === 'beaten by none').x")
    assert drawn == [row.figures.pe_energy_pj for row in multipliers.front]


def test_hover_tells_figures(visit: Visit, page: str) -> None:
    shown = visit(page)
    shown.evaluate("Plotly.Fx.hover('chart-front', [{curveNumber: 2, pointNumber: 0}])")
    text = shown.text_content("#chart-front .hoverlayer")
    assert "MRED" in text
    assert "pJ" in text


def test_maps_follow_the_theme(visit: Visit, page: str) -> None:
    shown = visit(page)
    draw_all(shown)
    box = shown.query_selector("[id$=-signed].chart")
    scale = "b => b.data[0].colorscale[2][1]"
    light = box.evaluate(scale)
    value = box.evaluate("b => b.data[0].z[200][100]")
    shown.emulate_media(color_scheme="dark")
    shown.wait_for_function("([b, light]) => b.data[0].colorscale[2][1] !== light", arg=[box, light])
    assert box.evaluate("b => b.data[0].z[200][100]") == value


def test_table_sorts(visit: Visit, page: str) -> None:
    shown = visit(page)
    values = "[...document.querySelectorAll('#circuit-table tbody tr')].map(r => Number(r.dataset.med))"
    shown.click(".sort[data-key=med]")
    assert shown.evaluate(values) == sorted(shown.evaluate(values), reverse=True)


def test_adders_of_16_bits(visit: Visit, adders_page: str) -> None:
    shown = visit(adders_page, SIZES[1])
    draw_all(shown)
    assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


def test_hostile_words_do_nothing(visit: Visit) -> None:
    candidates = find_candidates(["drum4_3", "dadda4"])
    bad = dataclasses.replace(candidates[0], name=EVIL, family=EVIL, source=EVIL, definition=EVIL)
    shown = visit(render_page(compare([bad, candidates[1]], operands_text=EVIL), command=EVIL))
    draw_all(shown)
    shown.select_option("select[data-choice=family]", EVIL)
    shown.evaluate("Plotly.Fx.hover('chart-front', [{curveNumber: 3, pointNumber: 0}])")
    assert EVIL in shown.text_content("#chart-front .hoverlayer")
    assert EVIL in shown.text_content("#chart-front .legend")
    assert shown.query_selector("img") is None
    assert shown.title() != "owned"
