"""The best plan of each level next to the cross-layer one, and quality with its intervals."""

from __future__ import annotations

from laxity.artifacts.page.chart import LEVEL_COLOURS, Chart, Json, axis, layout, note, plain
from laxity.artifacts.page.numbers import percent
from laxity.artifacts.report.load import Interval, Point, RunView
from laxity.artifacts.report.wording import LEVEL_NAMES, LEVELS
from laxity.core.records import Quality


def levels_chart(view: RunView) -> Chart:
    """Energy ratio of the best plan per level; a level without a plan in the budget is drawn hollow or left out."""
    title = "Energy of the best plan of each level"
    rows = [(name, best) for name in reversed(LEVELS) if (best := view.front.levels.get(name)) is not None]
    if not rows:
        return Chart("levels", title, None, empty="No level has a plan to compare.")
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [best.energy_ratio for _, best in rows],
        "y": [LEVEL_NAMES[name] for name, _ in rows],
        "text": [percent(b.energy_ratio) + ("" if b.met else " · over budget") for _, b in rows],
        "textposition": "auto",
        "insidetextanchor": "end",
        "customdata": [[plain(b.label), b.quality, b.drop * 100] for _, b in rows],
        "marker": {
            "color": [LEVEL_COLOURS[n] if b.met else f"{LEVEL_COLOURS[n]}/25" for n, b in rows],
            "line": {"color": [LEVEL_COLOURS[n] for n, _ in rows], "width": 1.5},
        },
        "width": 0.62,
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{x:.1%} of the energy<br>quality %{customdata[1]:.2%}"
        + "<br>drop %{customdata[2]:.2f} points<extra></extra>",
    }
    widest = max(1.0, *(best.energy_ratio for _, best in rows))
    exact = {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1}
    figure = {
        "data": [bars],
        "layout": layout(
            xaxis=axis("energy per sample, relative to exact INT8", tickformat=".0%", range=[0, widest * 1.04]),
            yaxis=axis("", showgrid=False, ticklabelstandoff=6),
            shapes=[{**exact, "line": {"color": "@ink", "width": 1.2, "dash": "dot"}}],
            annotations=[note("exact INT8", x=1, y=1, yref="paper", yanchor="bottom", xanchor="right")],
            margin={"l": 20, "r": 12, "t": 24, "b": 48},
        ),
    }
    return Chart("levels", title, figure, height=110 + 52 * len(rows))


Row = tuple[str, float, float, float, str]


def quality_chart(view: RunView) -> Chart:
    """Quality with confidence intervals: the verdict on the test split, and what the search saw."""
    quality, metrics = view.front.baseline.quality, view.metrics
    test = [
        (f"baseline, {metrics.split}", *_triple(metrics.baseline), "@exact"),
        (f"approximated, {metrics.split}", *_triple(metrics.approximated), "@cross"),
    ]
    rows: list[Row] = [*test, *_search_rows(view)]
    rows.reverse()
    budget = metrics.baseline.value - view.manifest.max_drop
    figure: Json = {
        "data": [_dots(row, solid=row in test) for row in rows],
        "layout": layout(
            xaxis=axis(quality.metric, tickformat=".1~%"),
            yaxis=axis("", showgrid=True, ticklabelstandoff=6, range=[-0.7, len(rows) - 0.3]),
            shapes=[
                {
                    "type": "line",
                    "x0": budget,
                    "x1": budget,
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": "@bad", "width": 1.2, "dash": "dash"},
                }
            ],
            annotations=[
                note(
                    f"budget on {plain(metrics.split)}",
                    x=budget,
                    y=1,
                    yref="paper",
                    yanchor="bottom",
                    font={"size": 12, "color": "@bad"},
                )
            ],
            margin={"l": 20, "r": 16, "t": 26, "b": 48},
        ),
    }
    return Chart("quality", f"{quality.metric.capitalize()} with intervals", figure, height=110 + 38 * len(rows))


def _triple(interval: Interval | Quality) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _search_rows(view: RunView) -> list[Row]:
    """Rows of the split that the search saw: references, and the best plan of each level."""
    split = view.front.baseline.quality.split
    rows: list[Row] = [
        (f"baseline, {split}", *_triple(view.front.baseline.quality), "@exact"),
        (f"exact INT8, {split}", *_triple(view.front.int8_exact.quality), "@exact"),
    ]
    points: dict[str, Point] = {p.plan_key: p for p in view.front.points}
    for name in LEVELS:
        best = view.front.levels.get(name)
        if best is not None and best.plan_key in points:
            point = points[best.plan_key]
            rows.append((f"{LEVEL_NAMES[name]}, {split}", point.quality, point.low, point.high, LEVEL_COLOURS[name]))
    return rows


def _dots(row: Row, *, solid: bool) -> Json:
    name, value, low, high, colour = row
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [value],
        "y": [plain(name)],
        "customdata": [[low, high]],
        "marker": {
            "size": 13 if solid else 10,
            "symbol": "circle" if solid else "circle-open",
            "color": colour,
            "line": {"width": 2, "color": colour},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [high - value],
            "arrayminus": [value - low],
            "color": colour,
            "thickness": 2 if solid else 1.4,
            "width": 5,
        },
        "hovertemplate": "<b>%{y}</b><br>%{x:.2%} (%{customdata[0]:.2%} to %{customdata[1]:.2%})<extra></extra>",
    }
