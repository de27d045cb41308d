"""Drawings of how a circuit is built: its dots, and its gates by column and level."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from laxity.artifacts.page.chart import Chart, Json, axis, layout, legend_above
from laxity.artifacts.page.numbers import THIN, number
from laxity.circuits.comparison import Dots, Structure
from laxity.circuits.netlist import Circuit

MOST_MARKS = 2500
"""Gates that are drawn one by one; beyond, the drawing shows how many there are in each place."""

_KINDS = (
    ("AND, NAND", ("AND2", "NAND2", "NAND3"), "circle", "@data"),
    ("OR, NOR", ("OR2", "NOR2", "NOR3"), "triangle-up", "@data"),
    ("XOR, XNOR", ("XOR2", "XNOR2"), "diamond", "@software"),
    ("AND-OR", ("AOI21", "AOI22", "OAI21"), "pentagon", "@k7"),
    ("multiplexer", ("MUX2",), "triangle-down", "@k5"),
    ("half adder", ("HA",), "square-open", "@hardware"),
    ("full adder", ("FA",), "square", "@hardware"),
    ("inverter, buffer", ("INV", "BUF"), "circle-open", "@muted"),
)
_DOTS = (
    ("kept", "right", "circle", "@data"),
    ("changed", "another value", "diamond", "@plus2"),
    ("dropped", "0 instead", "circle-open", "@muted"),
)
_SPREAD = 0.82  # part of the distance between places over which gates of one place are spread


def dots_chart(name: str, found: Dots) -> Chart:
    """Products of single bits: one row for each bit of b, placed by the bit of the result."""
    a_bits, b_bits = found.results.shape
    traces = []
    for state, label, symbol, colour in _DOTS:
        places = [(i, j) for j in range(b_bits) for i in range(a_bits) if found.states[i][j] == state]
        if not places:
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"{label} ({len(places)})",
                "x": [i + j for i, j in places],
                "y": [j for _, j in places],
                "customdata": [
                    [i, j, number(float(found.results[i, j]), 12), number(float(found.exact[i, j]), 12)]
                    for i, j in places
                ],
                "marker": {"symbol": symbol, "color": colour, "size": 11, "line": {"width": 1.5, "color": colour}},
                "hovertemplate": "bit %{customdata[0]} of a, bit %{customdata[1]} of b<br>"
                "%{customdata[2]}, exactly %{customdata[3]}<extra></extra>",
            }
        )
    ticks = {"showgrid": False, "dtick": 1 if a_bits + b_bits <= 18 else 4}
    figure = {
        "data": traces,
        "layout": layout(
            xaxis=axis("bit of the result", range=[a_bits + b_bits - 1.4, -0.6], **ticks),
            yaxis=axis("bit of b", range=[b_bits - 0.4, -0.6], **ticks),
            showlegend=True,
            legend=legend_above(),
            margin={"l": 44, "r": 8, "t": 40, "b": 48},
        ),
    }
    return Chart(f"{name}-dots", f"Products of single bits of {name}", figure, height=140 + max(140, 26 * b_bits))


def gates_chart(name: str, circuit: Circuit, found: Structure) -> Chart:
    """Every gate by column of the result and by level, with the slowest path."""
    title = f"Gates of {name} by column and level"
    used = np.flatnonzero(found.columns >= 0)
    if not used.size:
        return Chart(f"{name}-gates", title, None, empty="No gate influences a result: it is made of wires only.")
    places = _places(found, used)
    traces = _marks(circuit, found, used, places) if used.size <= MOST_MARKS else [_counts(found, used)]
    traces.append(_path(circuit, found, places))
    columns, levels = int(found.columns.max()), int(found.levels.max())
    figure: Json = {
        "data": traces,
        "layout": layout(
            xaxis=axis(
                "lowest bit of the result that the gate reaches",
                range=[columns + 0.6, -0.6],
                showgrid=False,
                dtick=1 if columns < 18 else 4,
            ),
            yaxis=axis("logic level", range=[levels + 0.6, 0.4], nticks=12),
            showlegend=True,
            legend=legend_above(),
            hovermode="closest",
            margin={"l": 44, "r": 8, "t": 66, "b": 48},
        ),
    }
    return Chart(f"{name}-gates", title, figure, height=min(900, 200 + 24 * levels), min_width=520)


def _places(found: Structure, used: np.ndarray) -> dict[int, tuple[float, float]]:
    """Where each gate is drawn: gates of one column and level share its place, side by side."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for gate in used.tolist():
        groups[int(found.columns[gate]), int(found.levels[gate])].append(gate)
    places = {}
    for (column, level), gates in groups.items():
        width = int(np.ceil(np.sqrt(len(gates))))
        height = -(-len(gates) // width)
        for rank, gate in enumerate(gates):
            row, place = divmod(rank, width)
            x = column - _SPREAD * ((place + 0.5) / width - 0.5)
            places[gate] = x, level + _SPREAD * ((row + 0.5) / height - 0.5)
    return places


def _marks(circuit: Circuit, found: Structure, used: np.ndarray, places: dict[int, tuple[float, float]]) -> list[Json]:
    crowd = max(Counter(zip(found.columns[used].tolist(), found.levels[used].tolist(), strict=True)).values())
    size = max(3.0, min(9.0, 20.0 / np.sqrt(crowd)))
    traces = []
    for label, cells, symbol, colour in _KINDS:
        gates = [gate for gate in used.tolist() if circuit.gates[gate].cell in cells]
        if gates:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"{label} ({len(gates)})",
                    "x": [round(places[g][0], 3) for g in gates],
                    "y": [round(places[g][1], 3) for g in gates],
                    "text": [f"{circuit.gates[g].cell}, level {found.levels[g]}" for g in gates],
                    "marker": {"symbol": symbol, "color": colour, "size": size, "line": {"width": 1, "color": colour}},
                    "hovertemplate": "%{text}<extra></extra>",
                }
            )
    return traces


def _counts(found: Structure, used: np.ndarray) -> Json:
    columns, levels = int(found.columns.max()) + 1, int(found.levels.max()) + 1
    counts = np.zeros((levels, columns), dtype=np.int64)
    np.add.at(counts, (found.levels[used], found.columns[used]), 1)
    return {
        "type": "heatmap",
        "z": [[int(n) or None for n in row] for row in counts[1:]],
        "x": list(range(columns)),
        "y": list(range(1, levels)),
        "name": "gates",
        "colorscale": [[0, "@heat1"], [0.35, "@heat2"], [0.7, "@heat3"], [1, "@heat4"]],
        "colorbar": {"title": {"text": "gates", "side": "right"}, "thickness": 9, "outlinewidth": 0, "nticks": 6},
        "hoverongaps": False,
        "hovertemplate": "bit %{x}, level %{y}<br>%{z} gates<extra></extra>",
    }


def _path(circuit: Circuit, found: Structure, places: dict[int, tuple[float, float]]) -> Json:
    total = found.arrivals_ns[-1] if found.arrivals_ns else 0.0
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"slowest path ({number(total, 3)}{THIN}ns)",
        "x": [round(places[g][0], 3) for g in found.path],
        "y": [round(places[g][1], 3) for g in found.path],
        "text": [
            f"{circuit.gates[g].cell}, settled after {number(t, 3)} ns"
            for g, t in zip(found.path, found.arrivals_ns, strict=True)
        ],
        "line": {"color": "@cross", "width": 2},
        "marker": {"color": "@cross", "size": 5},
        "hovertemplate": "%{text}<extra>slowest path</extra>",
    }


def path_runs(circuit: Circuit, found: Structure) -> list[tuple[str, int, str]]:
    """The slowest path as runs of equal cells: cell, how many, and when the last of them has settled."""
    runs: list[tuple[str, int, str]] = []
    for gate, time_ns in zip(found.path, found.arrivals_ns, strict=True):
        cell, settled = circuit.gates[gate].cell, f"{number(time_ns, 3)}{THIN}ns"
        if runs and runs[-1][0] == cell:
            runs[-1] = cell, runs[-1][1] + 1, settled
        else:
            runs.append((cell, 1, settled))
    return runs
