"""Charts of hardened networks: marks and intervals are where the file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.hardening.charts import judged_chart, left_chart, path_chart, prefixes, tradeoff_chart
from laxity.artifacts.hardening.load import HardeningFile, load_hardening

Make = Callable[..., Path]


@pytest.fixture
def loaded(make: Make) -> Callable[..., HardeningFile]:
    return lambda *how: load_hardening(make(*how)).file


def traces(chart: Any) -> dict[str, Any]:
    assert chart.figure is not None
    return {trace["name"]: trace for trace in chart.figure["data"] if "name" in trace}


def test_every_set_is_a_mark(loaded: Any) -> None:
    chart = tradeoff_chart(loaded())
    found = traces(chart)
    assert list(found) == ["unprotected", "not accepted", "within the limit", "chosen"]
    assert found["unprotected"]["x"] == [0]
    assert found["chosen"]["x"] == [pytest.approx(0.013)]
    assert found["chosen"]["y"] == [0.0002]
    assert found["chosen"]["error_y"]["array"] == [pytest.approx(0.0004)]
    assert found["chosen"]["error_y"]["arrayminus"] == [pytest.approx(0.0002)]
    assert found["not accepted"]["x"] == pytest.approx([0.004, 0.002])
    (line,) = chart.figure["layout"]["shapes"]
    assert line["y0"] == line["y1"] == 0.001
    assert list(chart.figure["costs"]) == ["energy_pj", "memory_bits"]
    assert chart.figure["costs"]["memory_bits"]["x"][3] == [pytest.approx(0.026)]
    top = chart.figure["layout"]["yaxis"]["range"][1]
    assert all(y + e <= top for t in found.values() for y, e in zip(t["y"], t["error_y"]["array"], strict=True))


def test_the_objective_is_drawn_first(loaded: Any) -> None:
    chart = tradeoff_chart(loaded("hardened", lambda d: d.update(objective="memory_bits")))
    assert list(chart.figure["costs"]) == ["memory_bits", "energy_pj"]
    assert chart.figure["layout"]["xaxis"]["title"]["text"] == "added memory"
    assert traces(chart)["chosen"]["x"] == [pytest.approx(0.026)]


def test_an_unprotected_network_that_is_chosen_is_drawn_once(loaded: Any) -> None:
    assert list(traces(tradeoff_chart(loaded("good_enough")))) == ["unprotected"]
    assert list(traces(tradeoff_chart(loaded("hopeless")))) == ["unprotected", "not accepted"]


def test_bars_are_what_stays_critical(loaded: Any) -> None:
    (bars,) = left_chart(loaded()).figure["data"]
    assert bars["x"] == [0.0, 0.75]
    assert [c[0] for c in bars["customdata"]] == ["SEC-DED 64", "clip channel"]
    assert left_chart(loaded("good_enough")).figure is None


def test_steps_accumulate_and_know_what_was_tried(loaded: Any) -> None:
    file = loaded()
    rows = prefixes(file)
    assert [r.removed for r in rows] == pytest.approx([0, 0.2, 0.4, 0.9, 0.95])
    assert [r.cost for r in rows] == pytest.approx([0, 1_000, 4_000, 13_000, 43_000])
    names = [r.tried and r.tried.name for r in rows]
    assert names == ["unprotected", None, "2 steps at 1 sites", "3 steps at 2 sites", "SEC-DED 64 everywhere"]
    found = traces(path_chart(file))
    assert found["tried, within the limit"]["x"] == pytest.approx([0.013, 0.043])
    assert found["tried, not accepted"]["y"] == pytest.approx([0.4])
    assert path_chart(loaded("good_enough")).figure is None
    unhelpful = path_chart(loaded("hopeless", lambda d: d.update(steps=[])))
    assert unhelpful.empty == "No protection at a single site took a fault away."


def test_both_networks_on_the_test_split(loaded: Any) -> None:
    data = judged_chart(loaded()).figure["data"]
    assert [(t["name"], t.get("xaxis"), t["x"][0]) for t in data] == [
        ("unprotected", "x", 0.0021), ("hardened", "x", 0.0003), ("unprotected", "x2", 0.0), ("hardened", "x2", 0.0),
        ("unprotected", "x3", 0.98), ("hardened", "x3", 0.978),
    ]  # fmt: skip
    assert [t["name"] for t in judged_chart(loaded("good_enough")).figure["data"]] == ["unprotected"] * 3
    assert judged_chart(loaded("hopeless")).figure is None


@pytest.mark.parametrize("name", ["hardened", "hopeless", "good_enough"])
def test_plotly_reads_no_tags_in_names(loaded: Any, hostile: Any, name: str) -> None:
    file = loaded(name, lambda d: hostile(d, "<b onclick=x>"))
    charts = [make(file) for make in (tradeoff_chart, left_chart, path_chart, judged_chart)]
    assert any("&lt;b onclick=x&gt;" in str(c.figure) for c in charts)
    assert not any("<b onclick" in str(c.figure) for c in charts)
