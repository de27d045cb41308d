"""Drawings of circuits: every gate and every pair of bits once, the path through the gates that are drawn."""

from __future__ import annotations

import itertools

import pytest

from laxity.artifacts.circuits import drawing
from laxity.artifacts.circuits.drawing import dots_chart, gates_chart, path_runs
from laxity.circuits.comparison import dots, find_candidates, structure
from laxity.circuits.netlist import CELL_PINS, Circuit, Port


def traces(figure: dict, mode: str = "markers") -> list[dict]:
    return [t for t in figure["data"] if t["type"] == "scatter" and t["mode"] == mode]


@pytest.mark.parametrize("name", ["dadda8", "drum8_4", "loa16_4", "mitchell12"])
def test_every_gate_is_drawn_once(name):
    circuit = find_candidates([name])[0].circuit
    found = structure(circuit)
    figure = gates_chart("c", circuit, found).figure
    places = [(x, y) for t in traces(figure) for x, y in zip(t["x"], t["y"], strict=True)]
    assert len(places) == len(set(places)) == len(circuit.gates)
    rounded = sorted((round(x), round(y)) for x, y in places)
    assert rounded == sorted(zip(found.columns.tolist(), found.levels.tolist(), strict=True))
    (path,) = traces(figure, "lines+markers")
    assert set(zip(path["x"], path["y"], strict=True)) <= set(places)
    assert len(path["x"]) == len(found.path)


def test_every_cell_has_a_mark():
    assert {cell for _, cells, _, _ in drawing._KINDS for cell in cells} == set(CELL_PINS)


def test_many_gates_are_counted_instead(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_MARKS", 10)
    circuit = find_candidates(["dadda8"])[0].circuit
    figure = gates_chart("c", circuit, structure(circuit)).figure
    assert figure["data"][0]["type"] == "heatmap"
    assert sum(n or 0 for row in figure["data"][0]["z"] for n in row) == len(circuit.gates)
    assert traces(figure) == []
    assert len(traces(figure, "lines+markers")) == 1


def test_wires_are_said():
    circuit = Circuit("wires", (Port("a", (2,)),), (Port("p", (2,)),), (), "made up")
    chart = gates_chart("c", circuit, structure(circuit))
    assert chart.figure is None
    assert "wires only" in chart.empty


@pytest.mark.parametrize(
    ("name", "counts"), [("dadda8", {"right": 64}), ("coltrunc8_6", {"right": 43, "0 instead": 21})]
)
def test_dots_stand_at_the_bit_of_their_product(name, counts):
    figure = dots_chart("c", dots(find_candidates([name])[0].subject)).figure
    assert {t["name"].rpartition(" (")[0]: len(t["x"]) for t in figure["data"]} == counts
    for trace in figure["data"]:
        for x, y, (i, j, result, exact) in zip(trace["x"], trace["y"], trace["customdata"], strict=True):
            assert (x, y) == (i + j, j)
            assert exact.replace("\u202f", "") == str(1 << (i + j))
            assert (result == exact) == trace["name"].startswith("right")


def test_runs_of_the_slowest_path():
    circuit = find_candidates(["dadda8"])[0].circuit
    found = structure(circuit)
    runs = path_runs(circuit, found)
    assert sum(count for _, count, _ in runs) == len(found.path)
    assert all(first[0] != second[0] for first, second in itertools.pairwise(runs))
    assert [cell for cell, count, _ in runs for _ in range(count)] == [circuit.gates[g].cell for g in found.path]
