"""Charts of hardened networks: what protections cost and what they remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from laxity.artifacts.hardening.load import HardeningFile, Network
from laxity.artifacts.page.chart import Chart, Json, axis, distinct, layout, legend_above, note, plain
from laxity.artifacts.report.hardening import METRICS, OBJECTIVES, Point, added, fraction, in_brief, interval, label

_BEFORE, _AFTER = "@exact", "@cross"
_BETWEEN = 0.55
"""Room between two panels, of the height of one."""


_Group = tuple[str, list[Point], str, str, int]
"""Marks of a chart: name, sets, symbol, colour, size."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first steps of the ranked ones, as one set of protections.

    Attributes:
        count: of steps.
        choices: by site; a later step of a site takes the place of an earlier one.
        removed: share of the critical faults of the unprotected network, by the ranking.
        cost: added to the objective, in its unit, by the ranking.
        tried: the set of protections with these choices, None if there was none.
    """

    count: int
    choices: dict[str, dict[str, Any]]
    removed: float
    cost: float
    tried: Point | None


def prefixes(file: HardeningFile) -> list[Prefix]:
    """The sets that the ranked steps give one after the other, the empty one first."""
    latest: dict[str, Any] = {}
    found = [Prefix(0, {}, 0.0, 0.0, file.unprotected)]
    share = file.unprotected.share.estimate
    for count, step in enumerate(file.steps, start=1):
        latest[step.site] = step
        saved, cost = sum(s.saving for s in latest.values()), sum(s.cost for s in latest.values())
        choices = {site: s.choice for site, s in latest.items()}
        tried = next((p for p in file.tried if {q.site: q.choice for q in p.protections} == choices), None)
        found.append(Prefix(count, choices, saved / share if share else 0.0, cost, tried))
    return found


def tradeoff_chart(file: HardeningFile) -> Chart:
    """Every tried set: its share with interval against what it adds, by any of the costs; the limit is a line."""
    metric = METRICS[file.limit.metric]
    title = f"{metric} against added cost, set by set"
    groups: list[_Group] = [
        ("unprotected", [file.unprotected], "diamond", "@ink", 12),
        ("not accepted", [p for p in file.tried if not p.accepted], "circle-open", "@muted", 9),
        ("within the limit", [p for p in file.tried if p.accepted and p != file.chosen], "circle", "@good", 9),
        ("chosen", [p for p in [file.chosen] if p is not None and p.protections], "star", _AFTER, 17),
    ]
    known = [group for group in groups if group[1]]
    keys = [file.objective, *(key for key in OBJECTIVES if key != file.objective and _differs(file, key))]
    top = max(1.12 * max([p.share.high for _, points, *_ in known for p in points]), 1.25 * file.limit.share)
    figure: Json = {
        "data": [_points(file, *group) for group in known],
        "layout": layout(
            xaxis=axis(f"added {OBJECTIVES[file.objective]}", tickformat=".3~%", **_room(file, file.objective)),
            yaxis=axis(f"{metric}, share of faults", tickformat=".2~%", range=[-0.03 * top, top]),
            shapes=[_line(file.limit.share, across=True)],
            annotations=[_limit_note(file, x=1, xref="paper", xanchor="right", y=file.limit.share, yanchor="bottom")],
            margin={"l": 56, "r": 16, "t": 40, "b": 48},
            showlegend=True,
            legend=legend_above(),
            hovermode="closest",
        ),
        "costs": {
            key: {
                "title": f"added {OBJECTIVES[key]}",
                "x": [[_more(file, p, key) for p in points] for _, points, *_ in known],
                **_room(file, key),
            }
            for key in keys
        },
    }
    return Chart("tradeoff", title, figure, height=430)


def _differs(file: HardeningFile, key: str) -> bool:
    return len({getattr(p, key) for p in (file.unprotected, *file.tried)}) > 1


def _more(file: HardeningFile, point: Point, key: str) -> float:
    base = float(getattr(file.unprotected, key))
    return float(getattr(point, key)) / base - 1 if base > 0 else 0.0


def _room(file: HardeningFile, key: str) -> Json:
    found = [_more(file, p, key) for p in (file.unprotected, *file.tried)]
    low, high = min(found), max(found)
    pad = 0.07 * (high - low) or 0.01
    return {"range": [low - pad, high + pad]}


def _points(file: HardeningFile, name: str, points: Sequence[Point], symbol: str, colour: str, size: int) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [_more(file, p, file.objective) for p in points],
        "y": [p.share.estimate for p in points],
        "text": [_words(file, p) for p in points],
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": _edge(symbol, colour)},
        "error_y": whiskers([p.share for p in points], f"{colour}/80"),
        "hovertemplate": "%{text}<extra></extra>",
    }


def _edge(symbol: str, colour: str) -> Json:
    return {"width": 2, "color": colour} if symbol.endswith("-open") else {"width": 1, "color": "@paper"}


def _words(file: HardeningFile, point: Point) -> str:
    value, between = interval(point.share)
    costs = [f"{name} {added(getattr(point, key), getattr(file.unprotected, key))}" for key, name in OBJECTIVES.items()]
    lines = [f"<b>{plain(point.name)}</b>", plain(in_brief(point.protections))]
    lines += [f"{METRICS[file.limit.metric]} {value} ({between})", f"DUE {fraction(point.due.estimate)}"]
    return "<br>".join([*lines, ", ".join(costs[:2]), ", ".join(costs[2:])])


def whiskers(ranges: Sequence[Any], colour: str) -> Json:
    """Error bars from estimates to the ends of intervals."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [r.high - r.estimate for r in ranges],
        "arrayminus": [r.estimate - r.low for r in ranges],
        "color": colour,
        "thickness": 1.6,
        "width": 4,
    }


def _line(value: float, *, across: bool, **more: Any) -> Json:
    span = {"xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value}
    if not across:
        span = {"x0": value, "x1": value}
    return {"type": "line", **span, "line": {"color": "@bad", "width": 1.3, "dash": "dash"}, **more}


def _limit_note(file: HardeningFile, **at: Any) -> Json:
    return note(f"limit {fraction(file.limit.share)}", font={"size": 12, "color": "@bad"}, **at)


def left_chart(file: HardeningFile) -> Chart:
    """Share of the critical faults that stay critical with a protection at all its sites; the best on top."""
    title = "Critical faults that stay critical, by protection"
    if not file.left:
        return Chart("left", title, None, empty="The network was good enough as it was; no protection was tried.")
    rows = sorted(file.left.items(), key=lambda item: item[1])
    labels = distinct([name for name, _ in rows], 26)
    figure: Json = {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": [value for _, value in rows],
                "y": list(range(len(rows))),
                "width": 0.66,
                "text": [f" {100 * value:.0f} %" for _, value in rows],
                "textposition": "outside",
                "cliponaxis": False,
                "customdata": [[plain(name)] for name, _ in rows],
                "marker": {"color": "@cross/75"},
                "hovertemplate": "<b>%{customdata[0]}</b><br>%{x:.1%} stay critical<extra></extra>",
            }
        ],
        "layout": layout(
            xaxis=axis("of the critical faults", tickformat=".0%", range=[0, 1.12]),
            yaxis=axis(
                "",
                showgrid=False,
                tickvals=list(range(len(rows))),
                ticktext=labels,
                range=[len(rows) - 0.5, -0.5],
                ticklabelstandoff=5,
            ),
            margin={"l": 20, "r": 16, "t": 12, "b": 48},
        ),
    }
    return Chart("left", title, figure, height=90 + 28 * len(rows))


def path_chart(file: HardeningFile) -> Chart:
    """Ranked steps: share of critical faults taken away against what that adds, as far as sites are independent."""
    title = "Critical faults taken away against added cost, step by step"
    if not file.steps:
        empty = "No protection at a single site took a fault away." if file.tried else "There was nothing to rank."
        return Chart("path", title, None, empty=empty)
    rows, word = prefixes(file), OBJECTIVES[file.objective]
    base = file.base or 1.0
    figure: Json = {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [r.cost / base for r in rows],
                "y": [r.removed for r in rows],
                "text": [_step_words(file, r) for r in rows],
                "line": {"color": "@data", "width": 2},
                "marker": {"size": 7, "color": "@data"},
                "hovertemplate": "%{text}<extra></extra>",
                "showlegend": False,
            },
            *_rings(rows[1:], base),
        ],
        "layout": layout(
            xaxis=axis(f"added {word}, by the ranking", tickformat=".3~%"),
            yaxis=axis("critical faults taken away", tickformat=".0%", range=[-0.04, 1.08]),
            margin={"l": 56, "r": 16, "t": 40, "b": 48},
            showlegend=any(r.tried for r in rows[1:]),
            legend=legend_above(),
            hovermode="closest",
        ),
    }
    return Chart("path", title, figure, height=380)


def _step_words(file: HardeningFile, row: Prefix) -> str:
    if not row.count:
        return "<b>unprotected</b>"
    step = file.steps[row.count - 1]
    lines = [f"<b>step {row.count}: {plain(label(step.choice))} at {plain(step.site)}</b>"]
    lines.append(f"{fraction(row.removed)} of the critical faults are taken away so far")
    lines.append(f"{OBJECTIVES[file.objective]} {added(file.base + row.cost, file.base)}")
    if row.tried is not None:
        value, between = interval(row.tried.share)
        lines.append(f"tried: {METRICS[file.limit.metric]} {value} ({between})")
    return "<br>".join(lines)


def _rings(rows: Sequence[Prefix], base: float) -> list[Json]:
    found: list[Json] = []
    for good, name, colour in ((True, "tried, within the limit", "@good"), (False, "tried, not accepted", "@bad")):
        some = [r for r in rows if r.tried is not None and r.tried.accepted is good]
        if some:
            found.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [r.cost / base for r in some],
                    "y": [r.removed for r in some],
                    "marker": {"symbol": "circle-open", "size": 16, "color": colour, "line": {"width": 2.2}},
                    "hoverinfo": "skip",
                }
            )
    return found


def _share(one: Network) -> tuple[float, float, float]:
    return one.share.estimate, one.share.low, one.share.high


def _due(one: Network) -> tuple[float, float, float]:
    return one.due.estimate, one.due.low, one.due.high


def _quality(one: Network) -> tuple[float, float, float]:
    return one.quality.value, one.quality.low, one.quality.high


def judged_chart(file: HardeningFile) -> Chart:
    """Both networks on the test split: the limited metric with its limit, DUE, and accuracy, each on its own scale."""
    title = "Before and after on the test split"
    if file.test is None:
        return Chart("judged", title, None, empty="No set was chosen, so the test split was not used.")
    pair = [("unprotected", file.test.unprotected, _BEFORE), ("hardened", file.test.hardened, _AFTER)]
    if file.chosen is not None and not file.chosen.protections:
        pair = pair[:1]
    panels = [(METRICS[file.limit.metric], _share), ("DUE", _due), (file.test.hardened.quality.metric, _quality)]
    data: list[Json] = []
    axes: Json = {}
    for index, (name, key) in enumerate(panels):
        found = [(word, _Ends(*key(one)), shade) for word, one, shade in pair]
        data += [_mark(index, row, name, *each) for row, each in enumerate(found)]
        limit = file.limit.share if index == 0 else None
        axes |= _panel(index, len(panels), name, [ends for _, ends, _ in found], limit)
    side = "right" if file.limit.share > 0.5 * axes["xaxis"]["range"][1] else "left"
    figure: Json = {
        "data": data,
        "layout": layout(
            shapes=[_line(file.limit.share, across=False, yref="y domain", y0=0, y1=1)],
            annotations=[_limit_note(file, x=file.limit.share, yref="y domain", y=1, yanchor="bottom", xanchor=side)],
            margin={"l": 20, "r": 24, "t": 56, "b": 40},
            showlegend=len(pair) > 1,
            legend=legend_above(),
            hovermode="closest",
            **axes,
        ),
    }
    return Chart("judged", title, figure, height=400)


@dataclass(frozen=True, slots=True)
class _Ends:
    estimate: float
    low: float
    high: float


def _mark(index: int, row: int, metric: str, word: str, ends: _Ends, shade: str) -> Json:
    suffix = "" if index == 0 else str(index + 1)
    value = f"{fraction(ends.estimate)}<br>{fraction(ends.low)} to {fraction(ends.high)}"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": word,
        "legendgroup": word,
        "showlegend": index == 0,
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "x": [ends.estimate],
        "y": [row],
        "text": [f"<b>{plain(metric)}, {word}</b><br>{value}"],
        "marker": {"size": 12, "color": shade, "line": {"width": 1, "color": "@paper"}},
        "error_x": {**whiskers([ends], shade), "thickness": 2.2, "width": 5},
        "hovertemplate": "%{text}<extra></extra>",
    }


def _panel(index: int, count: int, name: str, found: Sequence[_Ends], limit: float | None) -> Json:
    suffix = "" if index == 0 else str(index + 1)
    low, high = min(e.low for e in found), max([e.high for e in found] + ([limit] if limit else []))
    share = name in ("DUE", *METRICS.values())
    pad = 0.08 * (high - (0.0 if share else low)) or 0.01
    span = [-0.3 * pad, high + pad] if share else [low - pad, min(high + pad, 1 + 0.3 * pad)]
    height = 1 / (count + _BETWEEN * (count - 1))
    top = 1 - index * height * (1 + _BETWEEN)
    return {
        f"xaxis{suffix}": axis("", tickformat=".3~%", range=span, anchor=f"y{suffix}", nticks=7),
        f"yaxis{suffix}": axis(
            "",
            domain=[max(0.0, top - height), top],
            anchor=f"x{suffix}",
            showgrid=False,
            tickvals=[(len(found) - 1) / 2],
            ticktext=[plain(name)],
            range=[len(found) - 0.4, -0.6],
            ticklabelstandoff=5,
        ),
    }
