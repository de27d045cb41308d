"""The page of studies in a real browser: charts appear, nothing is fetched, nothing overflows, controls work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.recovery import write_recovery

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHARTS = {"treatments", "accuracy-curves", "loss-curves", "ladder", "ladder-curves", "ranking"}
EVIL = "<img src=x onerror=document.title='owned'>"
Visit = Callable[..., Any]


@pytest.fixture
def visit(opened: Visit) -> Visit:
    """``visit(folder, size, scheme)`` opens the page."""
    return lambda folder, *how: opened(write_recovery(folder).as_uri(), *how)


def drawn(page: Any) -> set[str]:
    return {e.get_attribute("id").removeprefix("chart-") for e in page.query_selector_all(".chart:has(svg.main-svg)")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_charts_render_and_nothing_overflows(visit: Visit, study: Path, size: tuple[int, int], scheme: str) -> None:
    page = visit(study, size, scheme)
    assert drawn(page) == CHARTS
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    ink = page.evaluate("getComputedStyle(document.body).color")
    tick = page.locator("#chart-treatments .ytick text").first
    assert tick.evaluate("e => getComputedStyle(e).fill") == ink


def test_a_closer_look_and_back(visit: Visit, study: Path) -> None:
    page = visit(study)
    for name, axis in (("treatments", "xaxis"), ("ladder", "yaxis")):
        low = f"document.getElementById('chart-{name}').layout.{axis}.range[0]"
        whole = page.evaluate(low)
        page.click(f".chip[data-near={name}]")
        page.wait_for_function(f"{low} > {whole}")
        page.click(f".chip[data-near={name}]")
        page.wait_for_function(f"{low} === {whole}")


def test_tables_sort(visit: Visit, study: Path) -> None:
    page = visit(study)
    for table, key in (("treatment", "test"), ("ladder", "before"), ("ranking", "energy")):
        page.click(f"#{table}-table .sort[data-key={key}]")
        values = page.evaluate(f"[...document.querySelectorAll('#{table}-table tbody tr')].map(r => +r.dataset.{key})")
        assert values == sorted(values, reverse=True)
        assert len(values) > 2


def test_hostile_names_do_nothing(visit: Visit, study: Path, edit: Any) -> None:
    edit(study / "comparison.json", lambda d: [d["after"][3].update(name=EVIL), d.update(operands=EVIL)])
    edit(study / "ladder.json", lambda d: [d["rungs"][1].update(name=EVIL), d.update(chosen=EVIL)])
    edit(study / "ranking.json", lambda d: d["rows"][0].update(name=EVIL))
    page = visit(study)
    assert drawn(page) == CHARTS
    assert page.query_selector("img") is None
    assert page.title() != "owned"
