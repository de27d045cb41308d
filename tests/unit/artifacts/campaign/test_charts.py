"""Charts of campaigns hold the figures of the file, and say where nothing was tried."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.campaign.charts import differences_chart, metrics_chart, panels, shares_chart, usual_kinds
from laxity.artifacts.campaign.heat import cell_map, heat_charts
from laxity.artifacts.campaign.load import CampaignView, load_campaign
from laxity.artifacts.campaign.render import render_campaign
from laxity.artifacts.campaign.wording import verdicts
from laxity.artifacts.page.chart import Json

Edit = Callable[[Path, Callable[[Any], Any]], None]


def document(folder: Path) -> Any:
    return json.loads((folder / "campaign.json").read_text())


def shares(view: CampaignView, key: str) -> list[Json]:
    """Figures of the charts of a grouping."""
    network = next(n for n in view.networks.values() if getattr(n, key))
    kind = next(k for k in usual_kinds(network, "layer") if k.key == key)
    figures = [shares_chart(view, panel).figure for panel in panels(view, kind)]
    assert None not in figures
    return figures  # type: ignore[return-value]


def test_metrics_lie_side_by_side(flipped: Path) -> None:
    figure = metrics_chart(load_campaign(flipped)).figure
    assert figure is not None
    for trace, (name, network) in zip(figure["data"], document(flipped)["networks"].items(), strict=True):
        found = [network["metrics"][k] for k in ("critical", "sdc", "due", "sdc_top5", "lost", "gained")]
        assert trace["name"] == name
        assert trace["x"] == [m["estimate"] for m in found]
        bars = trace["error_x"]
        assert [x + e for x, e in zip(trace["x"], bars["array"], strict=True)] == pytest.approx(
            [m["high"] for m in found]
        )
        low = [x - e for x, e in zip(trace["x"], bars["arrayminus"], strict=True)]
        assert low == pytest.approx([m["low"] for m in found], abs=1e-15)
    first, second = (trace["y"] for trace in figure["data"])
    assert all(a < b < a + 1 for a, b in zip(first, second, strict=True))


def test_maps_show_share_ends_and_number(flipped: Path) -> None:
    view, data = load_campaign(flipped), document(flipped)
    for name, chart in heat_charts(view).items():
        network = data["networks"][name]
        cells = {(c["place"], str(c["bit"])): c for c in network["cells"]}
        figure = chart.figure
        assert figure is not None
        untried, heat = figure["data"]
        assert heat["y"] == [p["name"] for p in network["places"]]
        assert heat["x"] == sorted((b["name"] for b in network["bits"]), key=int, reverse=True)
        for i, place in enumerate(heat["y"]):
            for j, bit in enumerate(heat["x"]):
                shown = {key: grid["z"][i][j] for key, grid in figure["maps"].items()}
                cell = cells.get((place, bit))
                if cell is None:
                    assert set(shown.values()) == {None}
                    assert (untried["z"][i][j], untried["text"][i][j]) == (0, "×")
                    assert untried["customdata"][i][j] == f"<b>{place}, bit {bit}</b><br>not tried"
                    continue
                assert untried["z"][i][j] is None
                assert untried["text"][i][j] == ""
                for key in ("critical", "sdc", "due"):
                    assert shown[f"{key}-share"] == pytest.approx(math.sqrt(cell[key] / cell["faults"]), rel=1e-3)
                # The campaign wrote the ends of the critical share; the page computes those of all outcomes.
                assert shown["critical-low"] == pytest.approx(math.sqrt(cell["low"]), rel=1e-3)
                assert shown["critical-high"] == pytest.approx(math.sqrt(cell["high"]), rel=1e-3)
                assert shown["sdc-low"] <= shown["sdc-share"] <= shown["sdc-high"] <= shown["critical-high"]
                assert shown["tried"] == pytest.approx(math.log10(cell["faults"]), rel=1e-3)
                words = heat["customdata"][i][j]
                assert f"{cell['faults']} fault" in words
                assert f"critical {cell['critical']}: " in words
        assert all(
            0 <= v <= 1.001 * grid["zmax"] for grid in figure["maps"].values() for row in grid["z"] for v in row if v
        )


def test_maps_of_all_networks_have_the_same_colours(flipped: Path) -> None:
    charts = [chart.figure for chart in heat_charts(load_campaign(flipped)).values()]
    assert len(charts) == 2
    scales = [{k: (g["zmax"], g["tickvals"]) for k, g in f["maps"].items() if k == "tried"} for f in charts if f]
    assert scales[0] == scales[1]
    tops = [{k: g["zmax"] for k, g in f["maps"].items()} for f in charts if f]
    assert tops[0] == tops[1]


def test_small_shares_do_not_look_alarming(bits: Path, edit: Edit) -> None:
    def rare(d: Any) -> None:
        for network in d["networks"].values():
            for cell in network["cells"]:
                cell.update(faults=1000, critical=1, sdc=1, due=0)

    edit(bits, rare)
    for chart in heat_charts(load_campaign(bits)).values():
        assert chart.figure is not None
        shown = chart.figure["maps"]["critical-share"]
        assert shown["zmax"] == pytest.approx(math.sqrt(0.05))
        assert shown["ticktext"][0] == "0%"
        assert shown["ticktext"][-1] == "5%"
        assert shown["tickvals"] == pytest.approx([math.sqrt(float(t[:-1]) / 100) for t in shown["ticktext"]])


def test_words_and_single_places_have_no_map(replaced: Path, bits: Path, edit: Edit) -> None:
    assert heat_charts(load_campaign(replaced)) == {}

    def single(d: Any) -> None:
        one = d["networks"]["int8_exact"]
        place = one["places"][0]["name"]
        one["places"] = one["places"][:1]
        one["cells"] = [c for c in one["cells"] if c["place"] == place]

    edit(bits, single)
    assert list(heat_charts(load_campaign(bits))) == ["original"]
    page = render_campaign(bits)
    assert "No map of int8_exact" in page
    assert page.count('data-chart="map-') == 1


def test_what_is_proved_is_not_called_untried(bits: Path, edit: Edit) -> None:
    def proved(d: Any) -> None:
        one = d["networks"]["original"]
        one["bits"][0].update(faults=0, critical=0, sdc=0, due=0, value=0.0, low=0.0, high=0.0)
        one["cells"] = [c for c in one["cells"] if c["bit"] != 0]

    edit(bits, proved)
    found = cell_map(load_campaign(bits).networks["original"])
    assert found is not None
    assert [row[-1] for row in found.proved] == [True] * 4
    figure = heat_charts(load_campaign(bits))["original"].figure
    assert figure is not None
    assert [row[-1] for row in figure["data"][0]["text"]] == ["="] * 4
    page = render_campaign(bits)
    assert page.count('<td class="num">proved</td>') == 4
    assert "<i>=</i>" in page
    assert "proved to change nothing</td>" in page


def test_words_beside_bits_have_a_column(bits: Path, edit: Edit) -> None:
    edit(bits, lambda d: d["networks"]["original"]["cells"][0].update(bit=-1))
    figure = heat_charts(load_campaign(bits))["original"].figure
    assert figure is not None
    assert figure["data"][1]["x"][-1] == "whole"


@pytest.mark.parametrize("key", ["places", "bits", "classes"])
def test_bars_and_whiskers(flipped: Path, key: str) -> None:
    view, data = load_campaign(flipped), document(flipped)
    value, place, error = ("x", "y", "error_x") if key == "places" else ("y", "x", "error_y")
    drawn: dict[str, int] = {}
    for figure in shares(view, key):
        for trace in (t for t in figure["data"] if t["type"] == "bar"):
            groups = [g for g in data["networks"][trace["name"]][key] if g["value"] is not None]
            drawn[trace["name"]] = len(groups)
            assert trace[value] == [g["value"] for g in groups]
            high = [v + e for v, e in zip(trace[value], trace[error]["array"], strict=True)]
            low = [v - e for v, e in zip(trace[value], trace[error]["arrayminus"], strict=True)]
            assert high == pytest.approx([g["high"] for g in groups])
            assert low == pytest.approx([g["low"] for g in groups], abs=1e-15)
            every = data["networks"][trace["name"]][key]
            assert [every[round(p)]["name"] for p in trace[place]] == [g["name"] for g in groups]
        ends = figure["layout"]["xaxis" if key == "places" else "yaxis"]["range"]
        tops = [v for t in figure["data"] if t["type"] == "bar" for v in t[value]]
        assert ends[0] == 0
        assert ends[1] > max(tops)
    assert drawn == {n: sum(g["value"] is not None for g in net[key]) for n, net in data["networks"].items()}


def test_unknown_shares_have_whiskers_only(bits: Path, edit: Edit) -> None:
    def change(d: Any) -> None:
        places = d["networks"]["original"]["places"]
        for place in places:
            place.update(value=0.1, low=0.1, high=0.2)
        places[1].update(value=None, low=0.1, high=0.5)

    edit(bits, change)
    (figure,) = shares(load_campaign(bits), "places")
    bars, alone = figure["data"][0], figure["data"][1]
    assert len(bars["x"]) == 3
    assert (alone["type"], alone["x"]) == ("scatter", [pytest.approx(0.3)])
    assert alone["error_x"]["array"] == [pytest.approx(0.2)]
    assert alone["error_x"]["arrayminus"] == [pytest.approx(0.2)]
    assert "critical unknown" in alone["text"][0]
    assert "Grey whiskers have no bar" in render_campaign(bits)


def test_many_groups_are_cut_to_the_largest(bits: Path, edit: Edit) -> None:
    def grow(d: Any) -> None:
        for network in d["networks"].values():
            row = {"faults": 100, "sdc": 0, "due": 0, "low": 0.0, "high": 0.9}
            network["classes"] = [
                {**row, "name": str(i), "critical": i % 71, "value": (i % 71) / 100} for i in range(1000)
            ]
            network["cells"] = []
            network["places"] = [
                {**row, "name": f"blocks.{i}.attention.projection", "critical": i % 90, "value": (i % 90) / 100}
                for i in range(150)
            ]

    edit(bits, grow)
    view = load_campaign(bits)
    (classes,) = shares(view, "classes")
    shown = [int(t) for t in classes["layout"]["xaxis"]["ticktext"]]
    assert len(shown) == 40
    assert shown == sorted(shown)
    assert {i % 71 for i in shown} == {68, 69, 70}
    (places,) = shares(view, "places")
    assert len(places["data"][0]["y"]) == 100
    assert len(set(places["layout"]["yaxis"]["ticktext"])) == 100
    figure = heat_charts(view)["original"].figure
    assert figure is not None
    assert len(figure["data"][1]["y"]) == 100
    page = render_campaign(bits)
    assert "The 40 with the largest shares are drawn" in page
    assert "The 100 rows with most harm are drawn" in page
    assert page.count('<tr><th scope="row">999</th>') == 1


def test_differences_point_to_the_more_robust_network(words: Path, edit: Edit) -> None:
    edit(words, lambda d: d["differences"][0]["critical"].update(low=-0.04, estimate=-0.02, high=-0.01))
    view = load_campaign(words)
    figure = differences_chart(view, verdicts(view)).figure
    assert figure is not None
    (trace,) = figure["data"]
    assert trace["x"] == [-0.02]
    assert trace["marker"]["color"] == "@data"  # original, the first network
    assert figure["layout"]["xaxis"]["range"][0] < -0.04
    edit(words, lambda d: d["differences"][0]["critical"].update(high=0.01))
    view = load_campaign(words)
    figure = differences_chart(view, verdicts(view)).figure
    assert figure is not None
    assert figure["data"][0]["marker"]["color"] == "@muted"
    edit(words, lambda d: [d["networks"].pop("coarse"), d["differences"].clear()])
    view = load_campaign(words)
    assert differences_chart(view, verdicts(view)).figure is None
    assert 'id="compared"' not in render_campaign(words)
