"""Quality against energy: every plan of the search, the front, the budget and the selected plan."""

from __future__ import annotations

from laxity.artifacts.page.chart import LEVEL_COLOURS, LEVEL_SYMBOLS, Chart, Json, axis, layout, note, plain
from laxity.artifacts.report.load import Point, RunView
from laxity.artifacts.report.wording import LEVEL_NAMES

STAGES = ("baseline", "sensitivity", "search", "recovery", "test")


def front_chart(view: RunView) -> Chart:
    """Quality (fraction, vertical) against energy ratio (horizontal), one trace per level and stage."""
    title = "Quality against energy of every evaluated plan"
    if not view.front.points:
        return Chart("front", title, None, empty="The search evaluated no plan, so there is no front to draw.")
    metric = view.front.baseline.quality.metric
    data = [_front_line(view), *_clouds(view), *_references(view)]
    low, high = focus(view)
    widest = max(1.0, *(p.energy_ratio for p in view.front.points))
    cheapest = min(p.energy_ratio for p in view.front.points)
    figure = {
        "data": data,
        "layout": layout(
            xaxis=axis(
                "energy per sample, relative to exact INT8",
                tickformat=".0%",
                range=[max(0.0, cheapest - 0.08), widest * 1.1],
            ),
            yaxis=axis(f"{metric} ({view.front.baseline.quality.split})", tickformat=".1~%", range=[low, high]),
            shapes=_lines(view, low),
            annotations=_notes(view),
            hovermode="closest",
        ),
        "views": {"focus": [low, high], "all": whole(view)},
    }
    return Chart("front", title, figure, height=460)


def focus(view: RunView) -> tuple[float, float]:
    """The quality range around the budget: what the decision was about."""
    baseline, budget = view.front.baseline.quality.value, max(view.manifest.max_drop, 0.002)
    chosen = [p.low for p in view.front.points if p.plan_key == view.front.selected]
    low = min([baseline - 8 * budget, *chosen])
    high = max(
        baseline, view.front.int8_exact.quality.high, *(p.high for p in view.front.points if p.on_front), baseline
    )
    pad = 0.06 * (high - low)
    return max(low - pad, -0.02), min(high + pad, 1.02)


def whole(view: RunView) -> list[float]:
    """The quality range of all points."""
    values = [p.low for p in view.front.points] + [p.high for p in view.front.points]
    values += [view.front.baseline.quality.low, view.front.baseline.quality.high]
    pad = 0.05 * (max(values) - min(values) or 0.1)
    return [min(values) - pad, max(values) + pad]


def hidden(view: RunView) -> int:
    """How many points lie below the first view."""
    low, _ = focus(view)
    return sum(p.quality < low for p in view.front.points)


def levels_present(view: RunView) -> list[str]:
    """Levels that have points, in the order of the stack."""
    found = {p.level for p in view.front.points}
    return [name for name in LEVEL_NAMES if name in found] + sorted(found - set(LEVEL_NAMES))


def stages_present(view: RunView) -> list[tuple[str, int]]:
    """Stages that have points, in the order of the run, with their number."""
    found = [p.stage for p in view.front.points]
    names = [s for s in STAGES if s in found] + sorted(set(found) - set(STAGES))
    return [(name, found.count(name)) for name in names]


def _clouds(view: RunView) -> list[Json]:
    traces = []
    for level in levels_present(view):
        for stage, _ in stages_present(view):
            members = [p for p in view.front.points if p.level == level and p.stage == stage]
            if members:
                traces.append(_cloud(members, level, stage, view))
    return traces


def _cloud(members: list[Point], level: str, stage: str, view: RunView) -> Json:
    colour, metric = LEVEL_COLOURS.get(level, "@muted"), view.front.baseline.quality.metric
    base = view.front.baseline.quality.value
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(f"{LEVEL_NAMES.get(level, level or 'none')}, {stage}"),
        "meta": {"level": level, "stage": stage},
        "x": [p.energy_ratio for p in members],
        "y": [p.quality for p in members],
        "text": [plain(p.label) for p in members],
        "customdata": [[p.low, p.high, (base - p.quality) * 100, plain(p.plan_key)] for p in members],
        "marker": {
            "color": [colour if p.on_front else f"{colour}/55" for p in members],
            "symbol": LEVEL_SYMBOLS.get(level, "cross"),
            "size": [11 if p.on_front else 8 for p in members],
            "line": {"width": [1.5 if p.on_front else 0.5 for p in members], "color": "@paper"},
        },
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [p.high - p.quality if p.on_front else 0 for p in members],
            "arrayminus": [p.quality - p.low if p.on_front else 0 for p in members],
            "color": f"{colour}/28",
            "thickness": 1,
            "width": 0,
        },
        "hovertemplate": "<b>%{text}</b><br>"
        + f"{plain(metric)} %{{y:.2%}} (%{{customdata[0]:.2%}} to %{{customdata[1]:.2%}})<br>"
        + "%{customdata[2]:.2f} points below the baseline<br>energy %{x:.1%} of exact INT8<br>"
        + "plan %{customdata[3]}<extra>%{fullData.name}</extra>",
    }


def _front_line(view: RunView) -> Json:
    best = sorted((p for p in view.front.points if p.on_front), key=lambda p: (p.energy_ratio, p.quality))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "front",
        "x": [p.energy_ratio for p in best],
        "y": [p.quality for p in best],
        "line": {"shape": "hv", "color": "@muted/70", "width": 1.5},
        "hoverinfo": "skip",
    }


def _references(view: RunView) -> list[Json]:
    chosen = [p for p in view.front.points if p.plan_key == view.front.selected][-1:]
    rings = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "selected",
            "x": [p.energy_ratio],
            "y": [p.quality],
            "marker": {"symbol": "circle-open", "size": 24, "color": "@ink", "line": {"width": 2}},
            "hoverinfo": "skip",
        }
        for p in chosen
    ]
    exact = view.front.int8_exact
    square = {
        "type": "scatter",
        "mode": "markers",
        "name": "exact INT8",
        "x": [1.0],
        "y": [exact.quality.value],
        "text": ["exact INT8"],
        "marker": {"symbol": "x-thin", "size": 12, "color": "@ink", "line": {"width": 2.5, "color": "@ink"}},
        "hovertemplate": "<b>exact INT8</b><br>%{y:.2%} at 100% energy<extra></extra>",
    }
    return [square, *rings]


def _lines(view: RunView, floor: float) -> list[Json]:
    baseline = view.front.baseline.quality.value
    budget = baseline - view.manifest.max_drop
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    return [
        {**across, "y0": baseline, "y1": baseline, "line": {"color": "@ink", "width": 1.2, "dash": "dot"}},
        {**across, "y0": budget, "y1": budget, "line": {"color": "@bad", "width": 1.2, "dash": "dash"}},
        {
            "type": "rect",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": min(floor, budget) - 2,
            "y1": budget,
            "fillcolor": "@bad/5",
            "line": {"width": 0},
            "layer": "below",
        },
    ]


def _notes(view: RunView) -> list[Json]:
    baseline = view.front.baseline.quality.value
    budget = baseline - view.manifest.max_drop
    left = {"xref": "paper", "x": 0.005, "xanchor": "left"}
    notes = [
        note("baseline", y=baseline, yanchor="bottom", bgcolor="@paper/75", **left),
        note("budget", y=budget, yanchor="top", **left, font={"size": 12, "color": "@bad"}, bgcolor="@paper/75"),
        note("exact INT8", x=1.0, y=view.front.int8_exact.quality.value, yshift=18, bgcolor="@paper/75"),
    ]
    for point in [p for p in view.front.points if p.plan_key == view.front.selected][-1:]:
        notes.append(
            note(
                "<b>selected</b>", x=point.energy_ratio, y=point.quality, yshift=24, font={"size": 13, "color": "@ink"}
            )
        )
    return notes
