"""How accuracy was repaired: stages of the selected plan, every repaired plan, training curves."""

from __future__ import annotations

from laxity.artifacts.page.chart import LEVEL_COLOURS, LEVEL_SYMBOLS, Chart, Json, axis, layout, note, plain
from laxity.artifacts.page.curves import Panel, curves_chart
from laxity.artifacts.page.numbers import percent
from laxity.artifacts.recipes import in_words
from laxity.artifacts.report.load import LevelRepair, RecipeTrial, RunView, Stage
from laxity.artifacts.report.wording import LEVEL_NAMES, LEVELS

_OLD = "The run was made by a version that did not record its repairs."
_SHOWN = 8
"""Repaired plans whose curves are drawn."""


def stages_chart(view: RunView) -> Chart:
    """Accuracy of the selected plan on the test split, stage by stage, with intervals."""
    title = "Accuracy after each stage of the recovery"
    if view.recovery is None:
        return Chart("stages", title, None, empty=_OLD)
    stages = view.recovery.stages
    budget = stages[0].value - view.recovery.max_drop
    figure: Json = {
        "data": [_stairs(stages)],
        "layout": layout(
            xaxis=axis("", showgrid=False, type="category", tickangle=0, range=[-0.5, len(stages) - 0.5]),
            yaxis=axis("accuracy, test", tickformat=".0%", **_span([*(s.low for s in stages), budget])),
            shapes=[_across(budget)],
            annotations=[_budget_note(budget), *(_value(i, s) for i, s in enumerate(stages))],
            margin={"l": 56, "r": 16, "t": 30, "b": 76},
        ),
    }
    return Chart("stages", title, figure, height=360, min_width=110 * len(stages))


def _span(values: list[float]) -> Json:
    low = min(values)
    return {"range": [max(-0.02, low - 0.06 * (1.02 - low)), 1 + 0.13 * (1.02 - low)]}


def _stairs(stages: list[Stage]) -> Json:
    exact = len(stages) > 1
    colours = ["@ink", "@exact", *["@cross"] * (len(stages) - 2)] if exact else ["@ink"]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [plain(stage.name).replace(" ", "<br>") for stage in stages],
        "text": [plain(stage.name) for stage in stages],
        "y": [stage.value for stage in stages],
        "customdata": [[100 * stage.drop, stage.low, stage.high] for stage in stages],
        "line": {"color": "@muted/70", "width": 1.5},
        "marker": {"size": 13, "color": colours, "line": {"width": 1, "color": "@paper"}},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [stage.high - stage.value for stage in stages],
            "arrayminus": [stage.value - stage.low for stage in stages],
            "color": "@muted",
            "thickness": 1.4,
            "width": 5,
        },
        "hovertemplate": "<b>%{text}</b><br>%{y:.2%} (%{customdata[1]:.2%} to %{customdata[2]:.2%})"
        + "<br>%{customdata[0]:.2f} points lost<extra></extra>",
    }


def _value(place: int, stage: Stage) -> Json:
    at = {"x": place, "y": max(stage.high, stage.value), "yanchor": "bottom", "yshift": 9}
    return note(percent(stage.value), **at, bgcolor="@paper", borderpad=1)


def _across(height: float) -> Json:
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "layer": "below", "y0": height, "y1": height}
    return {**line, "line": {"color": "@bad", "width": 1.2, "dash": "dash"}}


def _budget_note(height: float) -> Json:
    font = {"size": 12, "color": "@bad"}
    return note("budget", x=1, xref="paper", xanchor="right", y=height, yanchor="top", font=font)


def repairs_chart(view: RunView) -> Chart:
    """Every repaired plan: accuracy before (open) and after (filled), against energy, on the validation split."""
    title = "Every repaired plan, before and after"
    if view.recovery is None or not view.recovery.repaired:
        empty = _OLD if view.recovery is None else "No plan was repaired by training."
        return Chart("repairs", title, None, empty=empty)
    rows = view.recovery.repaired
    budget = view.recovery.original - view.recovery.max_drop
    data: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for row in rows for x in (row.energy_ratio, row.energy_ratio, None)],
            "y": [y for row in rows for y in (row.before, row.after, None)],
            "line": {"width": 1.2, "color": "@rule"},
            "showlegend": False,
            "hoverinfo": "skip",
        },
        *(_plans(level, [row for row in rows if row.level == level], after=False) for level in LEVELS),
        *(_plans(level, [row for row in rows if row.level == level], after=True) for level in LEVELS),
        *(_ring(row) for row in rows if row.plan_key == view.recovery.selected),
    ]
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=axis("energy per sample, relative to exact INT8", tickformat=".0%"),
            yaxis=axis("accuracy, validation", tickformat=".0%"),
            shapes=[_across(budget)],
            annotations=[_budget_note(budget)],
            hovermode="closest",
            showlegend=True,
            legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
            margin={"l": 56, "r": 16, "t": 40, "b": 48},
        ),
    }
    return Chart("repairs", title, figure, height=420)


def _plans(level: str, rows: list[LevelRepair], *, after: bool) -> Json:
    colour = LEVEL_COLOURS[level]
    open_mark = {"symbol": f"{LEVEL_SYMBOLS[level]}-open", "size": 7, "color": f"{colour}/60"}
    mark = {"symbol": LEVEL_SYMBOLS[level], "size": 10, "color": colour, "line": {"width": 1, "color": "@paper"}}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": LEVEL_NAMES[level],
        "showlegend": after and bool(rows),
        "legendgroup": level,
        "x": [row.energy_ratio for row in rows],
        "y": [row.after if after else row.before for row in rows],
        "text": [plain(row.label) for row in rows],
        "customdata": [[row.before, row.after, plain(in_words(row.recovery))] for row in rows],
        "marker": mark if after else open_mark,
        "hovertemplate": "<b>%{text}</b><br>%{customdata[0]:.2%} before, %{customdata[1]:.2%} after"
        + "<br>%{customdata[2]}<br>energy %{x:.1%} of exact INT8<extra></extra>",
    }


def _ring(row: LevelRepair) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "selected",
        "showlegend": False,
        "x": [row.energy_ratio],
        "y": [row.after],
        "marker": {"symbol": "circle-open", "size": 22, "color": "@ink", "line": {"width": 2}},
        "hoverinfo": "skip",
    }


def recipe_charts(view: RunView) -> list[Chart]:
    """Accuracy of every recipe that was tried, one chart per question."""
    trials = [] if view.recovery is None else view.recovery.trials
    return [_recipe_chart(index, trial) for index, trial in enumerate(trials)]


def _recipe_chart(index: int, trial: RecipeTrial) -> Chart:
    panels = [Panel(_short(row.recovery), [row.curve], row.chosen) for row in trial.rows]
    return curves_chart(f"recipe-{index}", panels, "accuracy", shared=True)


def _short(recovery: Json | None) -> str:
    given = recovery or {}
    return f"{given.get('gradient', 'straight_through')} at {given.get('learning_rate', 0):g}"


def repair_curves(view: RunView, key: str) -> Chart:
    """Training of the selected plan, then of the cheapest that keep the budget, or of the cheapest if none does."""
    rows = [] if view.recovery is None else [row for row in view.recovery.repaired if row.curve]
    selected = "" if view.recovery is None else view.recovery.selected
    good = [row for row in rows if row.met or row.plan_key == selected] or rows
    ordered = sorted(good, key=lambda row: (row.plan_key != selected, row.energy_ratio))[:_SHOWN]
    panels = [
        Panel(f"{LEVEL_NAMES[row.level]}, {percent(row.energy_ratio)}", [row.curve], row.plan_key == selected)
        for row in ordered
    ]
    return curves_chart(f"repair-{key}", panels, key, shared=True)
