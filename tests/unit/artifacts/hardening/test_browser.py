"""The page of a hardened network in a real browser: charts appear, nothing overflows, the control works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.hardening import write_hardening

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHARTS = {
    "hardened": {"tradeoff", "left", "path", "judged"},
    "hopeless": {"tradeoff", "left", "path"},
    "good_enough": {"tradeoff", "judged"},
}
EVIL = "<img src=x onerror=document.title='owned'>"
Make = Callable[..., Path]
Visit = Callable[..., Any]


@pytest.fixture
def visit(opened: Visit) -> Visit:
    """``visit(folder, size, scheme)`` opens the page."""
    return lambda folder, *how: opened(write_hardening(folder).as_uri(), *how)


def drawn(page: Any) -> set[str]:
    return {e.get_attribute("id").removeprefix("chart-") for e in page.query_selector_all(".chart:has(svg.main-svg)")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_charts_render_and_nothing_overflows(visit: Visit, make: Make, size: tuple[int, int], scheme: str) -> None:
    for name, charts in CHARTS.items():
        page = visit(make(name), size, scheme)
        assert drawn(page) == charts
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
        ink = page.evaluate("getComputedStyle(document.body).color")
        tick = page.locator("#chart-tradeoff .ytick text").first
        assert tick.evaluate("e => getComputedStyle(e).fill") == ink
        # Words in the charts stay inside of them.
        outside = page.evaluate("""() => [...document.querySelectorAll('.chart')].flatMap((box) => {
            const { left, right } = box.getBoundingClientRect();
            return [...box.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()])
                .filter(([text, r]) => text && r.width && (r.left < left - 2 || r.right > right + 2))
                .map(([text]) => text);
        })""")
        assert outside == []


def test_cost_can_be_chosen(visit: Visit, make: Make) -> None:
    page = visit(make())
    star = "document.getElementById('chart-tradeoff').data.at(-1).x[0]"
    title = "document.getElementById('chart-tradeoff').layout.xaxis.title.text"
    assert page.evaluate(star) == pytest.approx(0.013)
    page.click(".chip[data-cost=memory_bits]")
    page.wait_for_function(f"{star} > 0.02")
    assert page.evaluate(star) == pytest.approx(0.026)
    assert page.evaluate(title) == "added memory"
    assert page.locator(".chip[aria-pressed=true]").all_text_contents() == ["memory"]
    page.click(".chip[data-cost=energy_pj]")
    page.wait_for_function(f"{star} < 0.02")


def test_hostile_names_do_nothing(visit: Visit, make: Make, hostile: Any) -> None:
    for name, charts in CHARTS.items():
        page = visit(make(name, lambda d: hostile(d, EVIL)))
        assert drawn(page) == charts | ({"left"} if name == "good_enough" else set())
        assert page.query_selector("img") is None
        assert page.title() != "owned"
