"""Maps of a campaign: what faults in each bit of each place do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from laxity.artifacts.campaign.load import CampaignView, Cell, Network
from laxity.artifacts.campaign.wording import decimals, share
from laxity.artifacts.page.chart import Chart, Json, axis, distinct, layout, plain
from laxity.artifacts.page.numbers import number
from laxity.campaign.population import NO_BIT
from laxity.statistics.mixture import mixture_bounds

OUTCOMES = (("critical", "critical"), ("sdc", "SDC"), ("due", "DUE"))
FIGURES = (("share", "share"), ("low", "at least"), ("high", "at most"))
MOST = 100
"""Rows that a map shows; of more, those with most harm."""

_LEAST_END = 0.05
"""Of the range of colours: shares below never look alarming."""

_TICK_PX = 18
_TICKS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)

Grid = list[list[float | None]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A cell in which faults were tried.

    Attributes:
        cell: with its counts.
        ends: of each of `OUTCOMES`, share, low end and high end.
    """

    cell: Cell
    ends: dict[str, tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Map:
    """Cells of one network as a table.

    Attributes:
        places: rows.
        bits: columns, the most significant first; `NO_BIT` last where words are struck as a whole.
        rows: of cells; None where no fault was tried.
        proved: whether a cell was not sampled because its faults are proved to change nothing.
    """

    places: tuple[str, ...]
    bits: tuple[int, ...]
    rows: tuple[tuple[Seen | None, ...], ...]
    proved: tuple[tuple[bool, ...], ...]


def cell_map(network: Network) -> Map | None:
    """The table of a network with at least two places and two bits; None for others."""
    seen = {(c.cell.place, c.cell.bit): c for c in _seen(network)}
    bits = sorted({int(b.name) for b in network.bits} | {bit for _, bit in seen}, reverse=True)
    if len(bits) < 2 or len(network.places) < 2:
        return None
    places = [p.name for p in network.places]
    whole = {p.name for p in network.places if p.proved}, {int(b.name) for b in network.bits if b.proved}
    return Map(
        tuple(places),
        tuple(bits),
        tuple(tuple(seen.get((place, bit)) for bit in bits) for place in places),
        tuple(tuple(place in whole[0] or bit in whole[1] for bit in bits) for place in places),
    )


def _seen(network: Network) -> list[Seen]:
    """Cells with the intervals of all outcomes, each by itself and valid at any time."""
    tried = [c.faults for c in network.cells]
    columns: dict[str, list[tuple[float, float, float]]] = {}
    for name, _ in OUTCOMES:
        hits = [getattr(c, name) for c in network.cells]
        low, high = mixture_bounds(hits, tried, network.aim.confidence)
        shares = [k / n if n else 0.0 for k, n in zip(hits, tried, strict=True)]
        columns[name] = list(zip(shares, low.tolist(), high.tolist(), strict=True))
    every = [Seen(cell, {name: column[i] for name, column in columns.items()}) for i, cell in enumerate(network.cells)]
    return [seen for seen in every if seen.cell.faults]


def heat_charts(view: CampaignView) -> dict[str, Chart]:
    """Maps of the networks that have one, all in the same colours: the page chooses what they show."""
    maps = {name: found for name, network in view.networks.items() if (found := cell_map(network)) is not None}
    every = [s for found in maps.values() for row in found.rows for s in row if s is not None]
    numbers = {name: number for number, name in enumerate(view.networks)}
    return {name: _chart(f"map-{numbers[name]}", name, found, every) for name, found in maps.items()}


def _chart(name: str, network: str, found: Map, every: Sequence[Seen]) -> Chart:
    """The map of a network; `every` are the cells of all networks, which set the range of the colours."""
    kept = _largest(found)
    rows = [found.rows[i] for i in kept]
    labels = distinct([found.places[i] for i in kept], 26)
    columns = ["whole" if b == NO_BIT else str(b) for b in found.bits]
    row_px = 36 if len(rows) <= 6 else 26 if len(rows) <= 24 else 18 if len(rows) <= 60 else 14
    most_ticks = row_px * len(rows) // _TICK_PX
    maps = {f"{o}-{f}": _shares(rows, every, o, k, most_ticks) for o, _ in OUTCOMES for k, (f, _) in enumerate(FIGURES)}
    size = {"tickfont": {"size": 10}} if row_px < 18 else {}
    quiet = {"showgrid": False, "type": "category", "dtick": 1}
    ends = {"x": columns, "y": labels, "xgap": 1, "ygap": 1, "type": "heatmap", "hoverongaps": False}
    figure: Json = {
        "data": [
            {**ends, **_untried(found, kept)},
            {**ends, **_colours(), "customdata": _words(found, kept)},
        ],
        "layout": layout(
            xaxis=axis("bit, the most significant first", side="bottom", tickangle=0, **quiet),
            yaxis=axis("", autorange="reversed", ticklabelstandoff=6, **quiet, **size),
            margin={"l": 20, "r": 8, "t": 12, "b": 48},
        ),
        "maps": {**maps, "tried": _tried(rows, max((s.cell.faults for s in every), default=1))},
    }
    title, width = f"What faults do by place and bit: {network}", min(900, 220 + 19 * len(columns))
    return Chart(name, title, figure, height=110 + row_px * len(rows), min_width=width)


def _largest(found: Map) -> list[int]:
    """Numbers of the rows that are drawn, in their order: all, or those in which most faults were critical."""
    every = range(len(found.places))
    if len(every) <= MOST:
        return list(every)
    harm = [sum(s.ends["critical"][0] for s in row if s is not None) for row in found.rows]
    return sorted(sorted(every, key=lambda i: harm[i], reverse=True)[:MOST])


def _grid(rows: Sequence[Sequence[Seen | None]], shade: Callable[[Seen], float]) -> Grid:
    return [[None if s is None else float(f"{shade(s):.4g}") for s in row] for row in rows]


def _shares(
    rows: Sequence[Sequence[Seen | None]], every: Sequence[Seen], outcome: str, which: int, most_ticks: int
) -> Json:
    """Colours by the square root, which tells small shares apart from 0."""
    end = max([_LEAST_END, *(s.ends[outcome][which] for s in every)])
    ticks = [0.0]
    for tick in _TICKS:
        if tick <= end and math.sqrt(tick) - math.sqrt(ticks[-1]) >= math.sqrt(end) / max(most_ticks, 1):
            ticks.append(tick)
    return {
        "z": _grid(rows, lambda s: math.sqrt(s.ends[outcome][which])),
        "zmax": math.sqrt(end),
        "tickvals": [math.sqrt(t) for t in ticks],
        "ticktext": [f"{100 * t:g}%" for t in ticks],
    }


def _tried(rows: Sequence[Sequence[Seen | None]], most: int) -> Json:
    ticks = [10**k * m for k in range(8) for m in (1, 3) if 10**k * m <= most]
    return {
        "z": _grid(rows, lambda s: math.log10(s.cell.faults)),
        "zmax": math.log10(max(most, 2)),
        "tickvals": [math.log10(t) for t in ticks],
        "ticktext": [number(t, 9) for t in ticks],
    }


def _untried(found: Map, kept: list[int]) -> Json:
    """A sign in cells without faults, so that nobody takes them for harmless."""
    blank = [[0 if s is None else None for s in found.rows[i]] for i in kept]
    words = [[_missing(found, i, j) if s is None else "" for j, s in enumerate(found.rows[i])] for i in kept]
    signs = [[_sign(found.proved[i][j]) if s is None else "" for j, s in enumerate(found.rows[i])] for i in kept]
    return {
        "z": blank,
        "text": signs,
        "customdata": words,
        "texttemplate": "%{text}",
        "hovertemplate": "%{customdata}<extra></extra>",
        "textfont": {"size": 9, "color": "@muted"},
        "colorscale": [[0, "@paper"], [1, "@paper"]],
        "showscale": False,
    }


def _missing(found: Map, row: int, column: int) -> str:
    why = "proved to change nothing" if found.proved[row][column] else "not tried"
    return f"<b>{_name(found, row, column)}</b><br>{why}"


def _sign(proved: bool) -> str:
    return "=" if proved else "×"


def _colours() -> Json:
    return {
        "zmin": 0,
        "hovertemplate": "%{customdata}<extra></extra>",
        "colorscale": [[0, "@heat0"], [0.25, "@heat1"], [0.5, "@heat2"], [0.75, "@heat3"], [1, "@heat4"]],
        "colorbar": {"thickness": 10, "outlinewidth": 0},
    }


def _name(found: Map, row: int, column: int) -> str:
    bit = found.bits[column]
    return plain(found.places[row]) + (", whole" if bit == NO_BIT else f", bit {bit}")


def _words(found: Map, kept: list[int]) -> list[list[str]]:
    return [["" if s is None else _cell(_name(found, i, j), s) for j, s in enumerate(found.rows[i])] for i in kept]


def _cell(name: str, seen: Seen) -> str:
    lines = [f"<b>{name}</b>", f"{number(seen.cell.faults, 12)} fault{'s' if seen.cell.faults > 1 else ''} tried"]
    for key, word in OUTCOMES:
        value, low, high = seen.ends[key]
        places = min(2, decimals((high - low) / 2))
        lines.append(
            f"{word} {getattr(seen.cell, key)}: {share(value, places)} ({share(low, places)} to {share(high, places)})"
        )
    return "<br>".join(lines)
