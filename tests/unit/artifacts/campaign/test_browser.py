"""The page of a campaign in a real browser: charts appear, nothing is fetched, nothing overflows, controls work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.campaign import write_campaign

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHARTS = {"metrics", "differences", "map-0", "map-1", "places-0", "bits-0", "bits-1", "classes-0"}
EVIL = "<img src=x onerror=document.title='owned'>"
Visit = Callable[..., Any]


@pytest.fixture
def visit(opened: Visit) -> Visit:
    """``visit(folder, size, scheme)`` opens the page."""
    return lambda folder, *how: opened(write_campaign(folder).as_uri(), *how)


def drawn(page: Any) -> set[str]:
    return {e.get_attribute("id").removeprefix("chart-") for e in page.query_selector_all(".chart:has(svg.main-svg)")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_charts_render_and_nothing_overflows(visit: Visit, bits: Path, size: tuple[int, int], scheme: str) -> None:
    page = visit(bits, size, scheme)
    assert drawn(page) == CHARTS
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    ink = page.evaluate("getComputedStyle(document.body).color")
    tick = page.locator("#chart-map-0 .ytick text").first
    assert tick.evaluate("e => getComputedStyle(e).fill") == ink
    signs = page.locator("#chart-map-0 .heatmaplayer text").all_text_contents()
    assert "×" in signs


def test_maps_change_together(visit: Visit, bits: Path) -> None:
    page = visit(bits)

    def look(name: str) -> Any:
        return page.evaluate(f"(b => [b.data[1].z.flat(), b.data[1].zmax])(document.getElementById('chart-{name}'))")

    seen = [(look("map-0"), look("map-1"))]
    for chip in (
        "[data-value=high]",
        "[data-value=sdc]",
        "[data-map=tried]",
        "[data-value=critical]",
        "[data-value=share]",
    ):
        page.click(f".chip[data-map]{chip}")
        assert page.locator(f".chip[data-map]{chip}").get_attribute("aria-pressed") == "true"
        page.wait_for_timeout(300)
        seen.append((look("map-0"), look("map-1")))
    assert len({str(s) for s in seen[:4]}) == 4
    assert seen[4] == seen[1]
    assert seen[5] == seen[0]
    assert page.locator(".chip[data-map=tried]").get_attribute("aria-pressed") == "false"
    (share, _), (high, _) = seen[0][0], seen[1][0]
    assert [a is None for a in share] == [a is None for a in high]
    assert all(a <= b for a, b in zip(share, high, strict=True) if a is not None)


def test_whole_intervals_and_back(visit: Visit, bits: Path) -> None:
    page = visit(bits)
    for chip in page.locator(".chip[data-wide]").all():
        name = chip.get_attribute("data-wide")
        axis = "xaxis" if name.startswith("places") else "yaxis"
        end = f"document.getElementById('chart-{name}').layout.{axis}.range[1]"
        near = page.evaluate(end)
        chip.click()
        page.wait_for_function(f"{end} > {near}")
        chip.click()
        page.wait_for_function(f"{end} === {near}")
    assert page.locator(".chip[data-wide]").count() > 0


def hovered(page: Any, name: str, x: float, y: float) -> str:
    """What a chart says where the mouse is, in fractions of its plot."""
    page.locator(f"#chart-{name}").scroll_into_view_if_needed()
    box = page.locator(f"#chart-{name} .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + x * box["width"] - 3, box["y"] + y * box["height"])
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_selector(f"#chart-{name} .hoverlayer .hovertext")
    return str(page.locator(f"#chart-{name} .hoverlayer").text_content())


def test_hover_tells_counts_and_interval(visit: Visit, bits: Path) -> None:
    page = visit(bits)
    places, cells = (
        json.loads((bits / "campaign.json").read_text())["networks"]["int8_exact"][k] for k in ("places", "cells")
    )
    (cell,) = (c for c in cells if c["place"] == places[2]["name"] and c["bit"] == 7)
    text = hovered(page, "map-1", 1 / 16, 5 / 8)  # the third of four rows, the first of eight columns
    assert f"{cell['place']}, bit 7{cell['faults']} faults tried" in text
    assert f"critical {cell['critical']}: " in text
    assert f"SDC {cell['sdc']}: " in text


def test_campaign_without_bits(visit: Visit, words: Path) -> None:
    page = visit(words)
    assert drawn(page) == {"metrics", "differences", "places-0", "classes-0"}


def test_hostile_names_do_nothing(visit: Visit, bits: Path, edit: Any, hostile: Any) -> None:
    edit(bits, lambda d: hostile(d, EVIL))
    page = visit(bits)
    assert drawn(page) == CHARTS | {"classes-0"}
    assert page.query_selector("img") is None
    assert page.title() != "owned"
    assert EVIL in hovered(page, "map-0", 1 / 64, 1 / 8)
    assert page.query_selector("img") is None
    assert page.title() != "owned"
