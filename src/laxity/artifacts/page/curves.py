"""Training curves as small charts of equal size, each against the others in grey."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from laxity.artifacts.page.chart import Chart, Json, layout, note, plain

Curve = Sequence[Mapping[str, float]]
"""Per epoch ``loss`` and, where samples were watched, ``accuracy``."""

_COLUMNS = 4
_PANEL_PX = 172
_GAP = 0.045


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart.

    Attributes:
        name: its title.
        curves: of equal lengths, for example one per seed.
        chosen: whether it stands out.
    """

    name: str
    curves: Sequence[Curve]
    chosen: bool = False


def curves_chart(name: str, panels: Sequence[Panel], key: str, *, shared: bool) -> Chart:
    """One panel per training: thin lines are single curves, the thick one is their mean, grey ones other panels.

    Args:
        name: identifier in the page.
        panels: in their order.
        key: ``loss`` or ``accuracy``.
        shared: one range for all panels, with the others' means in grey; otherwise each from 0 to its own largest.
    """
    title = f"{key.capitalize()} after each epoch"
    drawn = [(panel, values) for panel in panels if (values := _values(panel, key))]
    if not drawn:
        return Chart(name, title, None, empty="Nothing was trained, so there are no curves.")
    means = [[statistics.fmean(column) for column in zip(*values, strict=True)] for _, values in drawn]
    columns = min(_COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    span = _span(means, drawn) if shared else None
    data: list[Json] = []
    axes: Json = {}
    words: list[Json] = []
    for index, (panel, values) in enumerate(drawn):
        others = [mean for other, mean in enumerate(means) if other != index] if shared else []
        data += _lines(panel, values, means[index], others, index, key)
        place = _place(index, columns, rows)
        axes |= _axes(index, place, span, key, max(len(mean) for mean in means))
        font = {"size": 12, "color": "@cross" if panel.chosen else "@ink"}
        at = {"x": place[0], "y": place[3], "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        words.append(note(plain(panel.name), **at, font=font))
    figure = {"data": data, "layout": layout(annotations=words, margin={"l": 44, "r": 8, "t": 24, "b": 30}, **axes)}
    return Chart(name, title, figure, height=60 + _PANEL_PX * rows, min_width=190 * columns)


def _values(panel: Panel, key: str) -> list[list[float]]:
    """The curves of a panel that have the key at every epoch."""
    found = [[epoch[key] for epoch in curve if key in epoch] for curve in panel.curves]
    length = max((len(values) for values in found), default=0)
    return [values for values in found if values and len(values) == length]


def _span(means: list[list[float]], drawn: list[tuple[Panel, list[list[float]]]]) -> tuple[float, float]:
    every = [v for _, values in drawn for curve in values for v in curve] + [v for mean in means for v in mean]
    pad = 0.06 * (max(every) - min(every)) or 0.01
    return min(every) - pad, max(every) + pad


def _place(index: int, columns: int, rows: int) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a panel, as fractions of the chart."""
    column, row = index % columns, index // columns
    width, height = (1 - _GAP * (columns - 1)) / columns, 1 / rows
    left, bottom = column * (width + _GAP), 1 - (row + 1) * height
    return left, left + width, bottom + 0.12 * height, bottom + 0.86 * height


def _axes(
    index: int, place: tuple[float, float, float, float], span: tuple[float, float] | None, key: str, epochs: int
) -> Json:
    suffix = "" if index == 0 else str(index + 1)
    quiet = {"gridcolor": "@grid", "linecolor": "@rule", "zeroline": False, "tickfont": {"size": 11, "color": "@muted"}}
    vertical = {"range": list(span)} if span else {"rangemode": "tozero"}
    form = {"tickformat": ".0%"} if key == "accuracy" else {}
    ticks = [1, epochs] if epochs > 1 else [1]
    return {
        f"xaxis{suffix}": {
            **quiet,
            "domain": place[:2],
            "anchor": f"y{suffix}",
            "range": [1 - 0.06 * epochs, epochs + 0.06 * epochs],
            "tickvals": ticks,
            "showgrid": False,
        },
        f"yaxis{suffix}": {
            **quiet,
            **vertical,
            **form,
            "domain": place[2:],
            "anchor": f"x{suffix}",
            "nticks": 4,
            "automargin": True,
        },
    }


def _lines(
    panel: Panel, values: list[list[float]], mean: list[float], others: list[list[float]], index: int, key: str
) -> list[Json]:
    suffix = "" if index == 0 else str(index + 1)
    axes = {"type": "scatter", "xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    colour = "@cross" if panel.chosen else "@data"
    form = ".2%" if key == "accuracy" else ".4~g"
    joined_x = [x for other in others for x in (*range(1, len(other) + 1), None)]
    joined_y = [y for other in others for y in (*other, None)]
    grey = {"mode": "lines", "x": joined_x, "y": joined_y, "line": {"width": 1, "color": "@rule"}, "hoverinfo": "skip"}
    thin = [
        {"mode": "lines", "x": _epochs(v), "y": v, "line": {"width": 1, "color": f"{colour}/45"}, "hoverinfo": "skip"}
        for v in values
        if len(values) > 1
    ]
    thick = {
        "mode": "lines+markers",
        "x": _epochs(mean),
        "y": mean,
        "line": {"width": 2.2, "color": colour},
        "marker": {"size": 5, "color": colour},
        "hovertemplate": f"<b>{plain(panel.name)}</b><br>epoch %{{x}}: {key} %{{y:{form}}}<extra></extra>",
    }
    return [{**axes, **trace} for trace in ([grey] if others else []) + thin + [thick]]


def _epochs(values: list[float]) -> list[int]:
    return list(range(1, len(values) + 1))
