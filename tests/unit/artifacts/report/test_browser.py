"""The page in a real browser: charts appear, nothing is fetched, nothing overflows, controls work."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs the package playwright")

Visit = Callable[..., Any]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
RESULTS = {"front", "levels", "components", "sensitivity", "quality", "faults"}
RESULTS |= {"stages", "recipe-0", "repairs", "repair-accuracy", "repair-loss"}
HARDWARE = {"sites", "circuit-0", "circuit-1", "area", "timing", "split", "product", "cycles", "traffic"}
HARDWARE |= {"steps", "silicon-area", "silicon-energy"}
CHARTS = RESULTS | HARDWARE
SIZES = [(1280, 900), (390, 844)]
EVIL = "<img src=x onerror=document.title='owned'>"


@pytest.fixture
def visit(opened: Visit) -> Visit:
    """``visit(run, size, scheme)`` opens the report."""
    return lambda run, *how: opened(write_report(run).as_uri(), *how)


def drawn(page: Any) -> set[str]:
    return {e.get_attribute("id").removeprefix("chart-") for e in page.query_selector_all(".chart:has(svg.main-svg)")}


def to_hardware(page: Any) -> None:
    """Turn to the hardware page and wait until it is drawn."""
    page.click(".views a[href='#hardware']")
    page.wait_for_function(
        "[...document.querySelectorAll('#hardware .chart')].every(c => c.querySelector('svg.main-svg')) "
        "&& document.documentElement.dataset.view === 'hardware'"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_charts_render_and_nothing_overflows(visit: Any, run_folder: Path, size: tuple[int, int], scheme: str) -> None:
    page = visit(run_folder, size, scheme)
    assert drawn(page) == RESULTS
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    for hardware, names in ((False, RESULTS), (True, HARDWARE)):
        if hardware:
            to_hardware(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
        for name in names:
            assert page.locator(f"#chart-{name} svg.main-svg").first.bounding_box()["height"] > 100
    assert drawn(page) == CHARTS


def test_links_lead_to_the_page_that_holds_their_target(visit: Any, run_folder: Path) -> None:
    page = visit(run_folder)
    shown = "[...document.querySelectorAll('.view')].filter(v => v.offsetHeight > 0).map(v => v.id)"
    assert page.evaluate(shown) == ["results"]
    page.click("#cost .ref >> nth=0")
    page.wait_for_function("document.documentElement.dataset.view === 'hardware'")
    assert page.evaluate(shown) == ["hardware"]
    assert page.get_attribute(".views a[href='#hardware']", "aria-current") == "page"
    page.go_back()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_selector("#chart-sites svg.main-svg")
    assert page.evaluate(shown) == ["results", "hardware"]


def test_chart_follows_the_window_and_the_theme(visit: Any, run_folder: Path) -> None:
    page = visit(run_folder)
    tick = page.locator("#chart-front .xtick text").first
    light = tick.evaluate("e => getComputedStyle(e).fill")
    page.emulate_media(color_scheme="dark")
    playwright.expect(tick).not_to_have_css("fill", light)
    page.set_viewport_size({"width": 390, "height": 844})
    svg = page.locator("#chart-front svg.main-svg").first
    playwright.expect(svg).to_have_css("width", re.compile(r"^3[0-9][0-9](\.\d+)?px$"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


def test_stage_level_and_range_controls(visit: Any, run_folder: Path) -> None:
    page = visit(run_folder)
    shown = "document.getElementById('chart-front').data.filter(t => t.meta && t.visible).map(t => t.meta)"
    assert {m["stage"] for m in page.evaluate(shown)} == {"sensitivity", "search", "recovery"}
    page.click(".chip[data-value=search]")
    assert {m["stage"] for m in page.evaluate(shown)} == {"sensitivity", "recovery"}
    page.click(".chip[data-value=data]")
    assert {m["level"] for m in page.evaluate(shown)} == {"software", "hardware", "cross"}
    page.click(".chip[data-value=search]")
    assert {(m["level"], m["stage"]) for m in page.evaluate(shown)} >= {("cross", "search"), ("hardware", "search")}
    floor = "document.getElementById('chart-front').layout.yaxis.range[0]"
    before = page.evaluate(floor)
    page.click(".chip[data-view=all]")
    assert page.evaluate(floor) < before


def test_site_table_sorts(visit: Any, run_folder: Path) -> None:
    page = visit(run_folder)
    names = "[...document.querySelectorAll('#site-table tbody code')].map(c => c.textContent)"
    weights = "[...document.querySelectorAll('#site-table tbody tr')].map(r => Number(r.dataset.weights))"
    original = page.evaluate(names)
    page.click(".sort[data-key=weights]")
    assert page.evaluate(weights) == sorted(page.evaluate(weights), reverse=True)
    assert page.get_attribute("th:has(.sort[data-key=weights])", "aria-sort") == "descending"
    page.click(".sort[data-key=weights]")
    assert page.evaluate(weights) == sorted(page.evaluate(weights))
    page.click(".sort[data-key=name]")
    assert page.evaluate(names) == original


def test_hover_names_the_plan(visit: Any, run_folder: Path) -> None:
    page = visit(run_folder)
    find = "document.getElementById('chart-front').data.findIndex(t => t.meta && t.meta.level === 'cross')"
    page.evaluate(f"Plotly.Fx.hover('chart-front', [{{curveNumber: {find}, pointNumber: 0}}])")
    assert "cross plan" in page.text_content("#chart-front .hoverlayer")


def test_copy_button(visit: Any, run_folder: Path) -> None:
    page = visit(run_folder)
    page.click("#copy")
    playwright.expect(page.locator("#copy")).to_have_text(re.compile("Copied|Selected"))


def test_hostile_names_do_nothing(visit: Any, run_folder: Path, edit) -> None:
    edit(run_folder / "manifest.json", lambda m: m["task"].update(name=EVIL))
    edit(run_folder / "recovery.json", lambda r: [p.update(label=EVIL) for p in r["repaired"]])
    edit(
        run_folder / "recovery.json", lambda r: [r["stages"][2].update(name=EVIL), r["trials"][0].update(question=EVIL)]
    )
    edit(run_folder / "front.json", lambda f: [p.update(label=EVIL) for p in f["points"]])
    edit(run_folder / "best/details.json", lambda d: [s.update(name=EVIL + str(i)) for i, s in enumerate(d["sites"])])
    for name in ("accelerator", "simulation", "silicon"):
        file = run_folder / f"best/accelerator/{name}.json"
        edit(file, lambda d: [s.update(name=EVIL, kind=EVIL) for s in d["steps"]])
    edit(run_folder / "best/accelerator/silicon.json", lambda d: d.update(tool=EVIL, critical_path=[EVIL]))
    edit(run_folder / "best/accelerator/fpga_ecp5.json", lambda d: d.update(modules={EVIL: d["modules"]["element"]}))
    edit(run_folder / "best/details.json", lambda d: d["hardware"]["approximated"]["element"].update(units=[EVIL]))
    page = visit(run_folder)
    to_hardware(page)
    assert drawn(page) == CHARTS
    assert page.query_selector("img") is None
    assert page.title() != "owned"


def test_empty_run_has_no_broken_chart(visit: Any, run_folder: Path, edit) -> None:
    edit(run_folder / "sensitivity.json", lambda s: s.clear())
    edit(run_folder / "front.json", lambda f: f.update(points=[], levels={}))
    edit(run_folder / "best/details.json", lambda d: d.update(circuits=[], faults={}, sites=[], hardware=None))
    shutil.rmtree(run_folder / "best/accelerator")
    (run_folder / "recovery.json").unlink()
    page = visit(run_folder, SIZES[1])
    to_hardware(page)
    assert drawn(page) == {"quality"}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
