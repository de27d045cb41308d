"""The page of circuits as a document: complete in itself, every figure in it, hostile text stays text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from plotly import graph_objects

from laxity.artifacts.circuits import render_page
from laxity.artifacts.circuits.wording import METRICS, costs
from laxity.circuits import catalogue
from laxity.circuits.comparison import COSTS, Comparison, compare, find_candidates
from laxity.circuits.metrics import METRICS as METRIC_NAMES
from laxity.core.errors import CircuitError

from .conftest import EVIL


class Page(HTMLParser):
    """Tags, scripts and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = attrs, text + data
        elif self._inside != "style":
            self.text += data

    def charts(self) -> dict[str, Any]:
        return {str(a["data-chart"]): json.loads(t) for a, t in self.scripts if "data-chart" in a}

    def points(self) -> dict[str, Any]:
        return next(json.loads(t) for a, t in self.scripts if a.get("id") == "points")


def resolved(value: Any) -> Any:
    """A figure with colours in place of names, for plotly's validation."""
    if isinstance(value, str) and value.startswith("@"):
        return "#123456"
    if isinstance(value, dict):
        return {k: resolved(v) for k, v in value.items()}
    return [resolved(v) for v in value] if isinstance(value, list) else value


def test_names_of_metrics_and_costs_are_complete() -> None:
    assert {m.key for m in METRICS} == set(METRIC_NAMES)
    assert {c.key for c in costs(1000.0)} == set(COSTS)


def test_nothing_is_loaded_and_only_these_scripts_may_run(page: str) -> None:
    found = Page(page)
    for tag, attrs in found.tags:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base")
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith("#")
        assert not any(name.startswith("on") for name in attrs)
    policy = next(a["content"] for t, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    code = [text for attrs, text in found.scripts if "type" not in attrs]
    hashes = {f"sha256-{base64.b64encode(hashlib.sha256(c.encode()).digest()).decode()}" for c in code}
    assert set(re.findall(r"sha256-[A-Za-z0-9+/=]+", str(policy))) == hashes
    assert len(code) == 2


def test_links_lead_somewhere(page: str) -> None:
    found = Page(page)
    ids = {a["id"] for _, a in found.tags if "id" in a}
    assert {a["href"][1:] for t, a in found.tags if t == "a" and a.get("href")} <= ids


@pytest.mark.parametrize("which", ["page", "adders_page"])
def test_figures_are_valid_plotly_with_titles_and_units(which: str, request: pytest.FixtureRequest) -> None:
    charts = Page(request.getfixturevalue(which)).charts()
    assert charts
    for name, figure in charts.items():
        graph_objects.Figure(resolved({"data": figure["data"], "layout": figure["layout"]}))
        assert figure["layout"]["xaxis"]["title"]["text"]
        assert figure["layout"]["yaxis"]["title"]["text"]
        if name.endswith(("held", "ranges")):
            assert "pJ" in json.dumps(figure)


def test_what_is_known_of_a_circuit_is_drawn(page: str, adders_page: str) -> None:
    found = Page(page)
    anchors = {n: a for a, n in re.findall(r'<article class="circuit" id="(.*?)">\s*<h3><code>(.*?)</code>', page)}
    charts = found.charts()
    for name, anchor in anchors.items():
        assert f"{anchor}-dots" in charts
        assert (f"{anchor}-gates" in charts) == (name != "known_by_table")
    assert page.count('<ol class="path">') == len(anchors) - 1
    adders = Page(adders_page).charts()
    assert not any(name.endswith("-dots") for name in adders)
    assert sum(name.endswith("-gates") for name in adders) == adders_page.count('<article class="circuit"')


def test_maps_hold_every_error(page: str) -> None:
    found = Page(page)
    anchor = next(a["href"][1:] for t, a in found.tags if t == "a" and str(a.get("href")).startswith("#circuit-"))
    names = re.findall(r'<article class="circuit" id="(.*?)">\s*<h3><code>(.*?)</code>', page)
    assert anchor == names[0][0]
    multiplier = catalogue.get("drum8_4")
    chart = found.charts()[{name: a for a, name in names}["drum8_4"] + "-signed"]
    values = np.frombuffer(zlib.decompress(base64.b64decode(chart["packed"])), "<f4").reshape(256, 256)
    assert np.array_equal(values, multiplier.table - multiplier.exact_table())
    assert (chart["data"][0]["x"][255], chart["data"][0]["y"][0]) == (255, 0)


def test_points_and_table_hold_every_circuit(page: str, multipliers: Comparison) -> None:
    found = Page(page)
    points = found.points()
    known = {row.candidate.name: row for row in multipliers.rows if row.figures is not None}
    assert {p["name"] for p in points["rows"]} == set(known)
    for point in points["rows"]:
        row = known[point["name"]]
        assert point["values"]["bias"] == abs(row.metrics.bias)
        assert point["values"]["pe-energy"] == row.figures.pe_energy_pj
    rows = re.findall(r'<tr( class="front-row")? data-name="\d+".*?<code>(.*?)</code>', page)
    assert [name for _, name in rows] == [row.candidate.name for row in multipliers.rows]
    assert [name for mark, name in rows if mark] == [row.candidate.name for row in multipliers.front]


def test_sections_are_those_of_the_front_and_those_named(page: str, multipliers: Comparison) -> None:
    names = re.findall(r'<article class="circuit" id=".*?">\s*<h3><code>(.*?)</code>', page)
    front = [row.candidate.name for row in multipliers.front]
    assert {"known_by_table", "drum8_4"} <= set(names)
    assert {front[0], front[-1]} <= set(names)
    assert 3 <= len(names) <= 4
    assert "Only results are known of this circuit, not its gates." in page
    with pytest.raises(CircuitError, match="'udm8' is not among"):
        render_page(multipliers, detailed=["udm8"])


def test_exact_circuits_have_sentences_instead_of_charts(page: str) -> None:
    found = Page(page)
    assert any("is exact" in text for text in re.findall(r'class="empty".*?>(.*?)<', page))
    assert len([a for _, a in found.tags if "data-empty" in a]) >= 2


def test_samples_are_told_with_intervals(adders_page: str) -> None:
    text = Page(adders_page).text
    assert "4 096 random operand pairs (seed 0)".replace(" ", "\u202f", 1) in text
    assert "that was seen: a lower bound" in text
    assert re.search(r"95\s%: [\d.]+", text)


def test_equal_comparisons_give_equal_pages(multipliers: Comparison, page: str) -> None:
    again = render_page(multipliers, detailed=["known_by_table", "drum8_4"], most=2, command="laxity circuits compare")
    assert again == page


def test_hostile_words_stay_text() -> None:
    candidates = find_candidates(["drum4_3", "dadda4"])
    bad = dataclasses.replace(candidates[0], name=EVIL, family=EVIL, source=EVIL, definition=EVIL)
    found = compare([bad, candidates[1]], operands_text=EVIL)
    text = render_page(found, command=EVIL)
    page = Page(text)
    assert EVIL in page.text
    assert not [t for t, _ in page.tags if t == "img"]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert text.count("<script") == render_page(compare(candidates)).count("<script")
