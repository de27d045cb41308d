"""How much each single choice hurts: site by candidate."""

from __future__ import annotations

import math

from laxity.artifacts.page.chart import LEVEL_COLOURS, Chart, Json, axis, distinct, layout, note, plain
from laxity.artifacts.page.numbers import number
from laxity.artifacts.report.load import RunView, Sensitivity
from laxity.artifacts.report.wording import LEVELS

FLOOR = 1e-4


def sensitivity_chart(view: RunView) -> Chart:
    """Increase of the loss (colour, logarithmic) when one site takes one candidate and all else stays exact."""
    title = "Loss increase per site and candidate"
    items = view.sensitivity
    if not items:
        return Chart("sensitivity", title, None, empty="The run measured no sensitivities.")
    sites = list(dict.fromkeys(i.site for i in items))
    columns = _columns(items)
    cells = {(i.site, (i.level, i.slot, i.label)): i for i in items}
    grid = [[cells.get((site, column)) for column in columns] for site in sites]
    labels = distinct([label for _, _, label in columns], 18)
    figure = {
        "data": [_heat(grid, distinct(sites, 22), labels)],
        "layout": layout(
            xaxis=axis("candidate", tickangle=-60, showgrid=False, side="bottom", type="category", dtick=1),
            yaxis=axis("", showgrid=False, autorange="reversed", ticklabelstandoff=6, type="category", dtick=1),
            margin={"l": 20, "r": 8, "t": 30, "b": 60},
            **_bands(columns),
        ),
    }
    width = 250 + 30 * len(columns)
    return Chart(
        "sensitivity", title, figure, height=210 + (32 if len(sites) <= 20 else 22) * len(sites), min_width=width
    )


def _columns(items: tuple[Sensitivity, ...]) -> list[tuple[str, str, str]]:
    """Candidates as (level, slot, label), by level, then as they came."""
    seen = dict.fromkeys((i.level, i.slot, i.label) for i in items)
    order = {name: index for index, name in enumerate(LEVELS)}
    return sorted(seen, key=lambda column: order.get(column[0], len(order)))


def _bands(columns: list[tuple[str, str, str]]) -> Json:
    """A coloured line with the level's name above the columns of each level."""
    shapes, annotations = [], []
    names = [level for level, _, _ in columns]
    for level in dict.fromkeys(names):
        first, count = names.index(level), names.count(level)
        colour = LEVEL_COLOURS.get(level, "@muted")
        place = {"xref": "x", "yref": "paper", "y0": 1.012, "y1": 1.012}
        ends = {"x0": first - 0.46, "x1": first + count - 0.54}
        shapes.append({"type": "line", **place, **ends, "line": {"color": colour, "width": 3}})
        font = {"size": 12, "color": colour}
        left = {"x": first - 0.46, "xanchor": "left"}
        annotations.append(note(plain(level), **left, y=1.015, yref="paper", yanchor="bottom", font=font))
    return {"shapes": shapes, "annotations": annotations}


def _shade(item: Sensitivity | None) -> float | None:
    return None if item is None else math.log10(max(item.loss_increase, FLOOR))


def _describe(item: Sensitivity | None) -> list[str]:
    if item is None:
        return ["", "", "", ""]
    return [plain(item.label), plain(f"{item.level}, {item.slot}"), number(item.loss_increase, 3), plain(item.site)]


def _heat(grid: list[list[Sensitivity | None]], sites: list[str], labels: list[str]) -> Json:
    shades = [[_shade(item) for item in row] for row in grid]
    top = max((v for row in shades for v in row if v is not None), default=0.0)
    floor = math.log10(FLOOR)
    ticks = list(range(math.ceil(floor), max(math.ceil(floor) + 1, math.floor(top)) + 1))
    words = ["≤ 0.0001" if t == floor else number(10.0**t) for t in ticks]
    energy = [["" if i is None else number(i.energy_ratio * 100, 3) for i in row] for row in grid]
    extra = [[[*_describe(i), e] for i, e in zip(r, es, strict=True)] for r, es in zip(grid, energy, strict=True)]
    return {
        "type": "heatmap",
        "z": shades,
        "x": labels,
        "y": sites,
        "customdata": extra,
        "xgap": 2,
        "ygap": 2,
        "zmin": floor,
        "zmax": max(top, floor + 1),
        "hoverongaps": False,
        "colorscale": [[0, "@heat0"], [0.25, "@heat1"], [0.5, "@heat2"], [0.75, "@heat3"], [1, "@heat4"]],
        "colorbar": {
            "title": {"text": "loss increase", "side": "right", "font": {"size": 13, "color": "@muted"}},
            "thickness": 10,
            "outlinewidth": 0,
            "tickvals": ticks,
            "ticktext": words,
        },
        "hovertemplate": "<b>%{customdata[3]}</b><br>%{customdata[0]}<br>%{customdata[1]}<br>"
        + "loss +%{customdata[2]}<br>energy %{customdata[4]}% of exact INT8<extra></extra>",
    }
