"""Charts of campaigns: shares with intervals, networks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from laxity.artifacts.campaign.load import CampaignView, GroupShare, Network, Range
from laxity.artifacts.campaign.wording import METRICS, Verdict, counted, ends, estimate, group
from laxity.artifacts.page.chart import Chart, Json, axis, distinct, layout, legend_above, plain

COLOURS = ("@data", "@cross", "@software", "@hardware", "@k1", "@k7", "@k4", "@k9")
_ROOM = 0.76
"""Of the distance of two rows, what their marks may take."""

_ROOMY = 1.8
"""An axis ends before the longest intervals only where it would be so much longer with them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of grouping faults.

    Attributes:
        key: attribute of `Network`, and name of the chart.
        word: what a group is called; its names are whole numbers where that is ``bit`` or ``class``.
        upright: whether groups stand side by side, else one below the other.
        most: groups that one chart shows; of more, those with the largest shares.
    """

    key: str
    word: str
    upright: bool
    most: int

    @property
    def reverse(self) -> bool:
        """Whether positions grow against the axis: rows from the top, and bits from the right."""
        return not self.upright or self.word == "bit"


@dataclass(frozen=True, slots=True)
class Panel:
    """Networks with the same groups.

    Attributes:
        kind: of grouping.
        number: of the panel, 0 first.
        networks: names.
        groups: of each network, in the same order.
    """

    kind: Kind
    number: int
    networks: tuple[str, ...]
    groups: tuple[list[GroupShare], ...]

    @property
    def name(self) -> str:
        """Identifier of its chart."""
        return f"{self.kind.key}-{self.number}"


def colour(view: CampaignView, network: str) -> str:
    """Of a network, the same in all charts."""
    return COLOURS[list(view.networks).index(network) % len(COLOURS)]


def panels(view: CampaignView, kind: Kind) -> list[Panel]:
    """Networks put together where their groups have the same names; networks without groups are left out."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, network in view.networks.items():
        labels = tuple(g.name for g in getattr(network, kind.key))
        if labels:
            alike.setdefault(labels, []).append(name)
    return [
        Panel(kind, number, tuple(names), tuple(getattr(view.networks[n], kind.key) for n in names))
        for number, names in enumerate(alike.values())
    ]


def metrics_chart(view: CampaignView) -> Chart:
    """Every metric of every network as a mark with its interval; masked is left out, which is of another size."""
    rows = [(key, name) for key, name, _ in METRICS if key != "masked"]
    names = list(view.networks)
    step = _ROOM / len(names)
    data: list[Json] = []
    for number, name in enumerate(names):
        found = [getattr(view.networks[name].metrics, key) for key, _ in rows]
        words = [_metric_words(word, name, r) for r, (_, word) in zip(found, rows, strict=True)]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain(name),
                "x": [r.estimate for r in found],
                "y": [i + (number - (len(names) - 1) / 2) * step for i in range(len(rows))],
                "text": words,
                "marker": {"size": 10, "color": colour(view, name), "line": {"width": 1, "color": "@paper"}},
                "error_x": _whiskers(
                    [(r.estimate, r.low, r.high) for r in found], colour(view, name), thickness=2, width=4
                ),
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=axis("share of all faults", tickformat=".2~%", rangemode="tozero"),
            yaxis=_ticks([name for _, name in rows], reverse=True),
            margin={"l": 20, "r": 16, "t": 40, "b": 48},
            showlegend=len(names) > 1,
            legend=legend_above(),
            hovermode="closest",
            shapes=_lines(len(rows)),
        ),
    }
    height = 110 + len(rows) * (26 + 12 * len(names))
    return Chart("metrics", "Shares of faults with their intervals", figure, height=height)


def _metric_words(word: str, network: str, found: Range) -> str:
    return f"<b>{word}</b>, {plain(network)}<br>{estimate(found)}<br>{ends(found)}"


def differences_chart(view: CampaignView, found: Sequence[Verdict]) -> Chart:
    """Every pair's difference with its interval; on which side of 0 it lies says which network is more robust."""
    title = "Differences between networks"
    if not found:
        return Chart("differences", title, None, empty="One network was struck, so there is nothing to compare.")
    colours = [colour(view, v.better) if v.better else "@muted" for v in found]
    labels = distinct([f"{v.first} less {v.second}" for v in found], 30)
    width = max(max(abs(v.low), abs(v.high)) for v in found) * 1.12 or 0.01
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [v.value],
            "y": [index],
            "text": [_difference_words(v)],
            "marker": {"size": 12, "color": shade, "line": {"width": 1, "color": "@paper"}},
            "error_x": _whiskers([(v.value, v.low, v.high)], shade, thickness=2.2, width=5),
            "hovertemplate": "%{text}<extra></extra>",
        }
        for index, (v, shade) in enumerate(zip(found, colours, strict=True))
    ]
    zero = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": 0, "x1": 0}
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=axis("difference of the shares of critical faults", tickformat=".2~%", range=[-width, width]),
            yaxis=_ticks(labels, reverse=True),
            margin={"l": 20, "r": 16, "t": 12, "b": 48},
            shapes=[{**zero, "line": {"color": "@ink", "width": 1.2}}],
            hovermode="closest",
        ),
    }
    return Chart("differences", title, figure, height=100 + 44 * len(found), min_width=320)


def _difference_words(v: Verdict) -> str:
    value, low, high = v.points
    return f"<b>{plain(v.first)} less {plain(v.second)}</b><br>{value} points<br>{low} to {high}<br>{plain(v.words)}"


def shares_chart(view: CampaignView, panel: Panel) -> Chart:
    """Share of critical faults of every group as a bar with its interval, networks side by side."""
    kind = panel.kind
    kept = largest(panel)
    count, step = len(panel.networks), _ROOM / len(panel.networks)
    data: list[Json] = []
    for number, (name, groups) in enumerate(zip(panel.networks, panel.groups, strict=True)):
        rows = [groups[i] for i in kept]
        side = -1 if kind.upright and kind.reverse else 1
        at = [i + side * (number - (count - 1) / 2) * step for i in range(len(rows))]
        data += _bars(kind, name, rows, at, step, colour(view, name))
    labels = distinct([panel.groups[0][i].name for i in kept], 26)
    near, whole = _ranges([[groups[i] for i in kept] for groups in panel.groups])
    amount = axis("critical faults", tickformat=".2~%", range=[0, near])
    each = _ticks(labels, reverse=kind.reverse, fixed=not kind.upright)
    across, down = (each, amount) if kind.upright else (amount, each)
    if kind.upright:
        across["title"] = axis(kind.word)["title"]
    figure: Json = {
        "data": data,
        "layout": layout(
            xaxis=across,
            yaxis=down,
            margin={"l": 20, "r": 16, "t": 40 if count > 1 else 12, "b": 48},
            showlegend=count > 1,
            legend=legend_above(),
            hovermode="closest",
            barmode="overlay",
        ),
    }
    if whole > near:
        figure["views"] = {"axis": "yaxis" if kind.upright else "xaxis", "near": [0, near], "all": [0, whole]}
    title = f"Critical faults by {kind.word}: {', '.join(panel.networks)}"
    if kind.upright:
        return Chart(panel.name, title, figure, height=360, min_width=120 + max(15, 9 * count) * len(kept))
    return Chart(panel.name, title, figure, height=110 + (max(16, 10 * count + 4)) * len(kept), min_width=340)


def largest(panel: Panel) -> list[int]:
    """Numbers of the groups that are drawn, in their order: all, or those with the largest shares."""
    every = range(len(panel.groups[0]))
    if len(every) <= panel.kind.most:
        return list(every)
    size = [max((g[i].value or 0.0, g[i].low) for g in panel.groups) for i in every]
    return sorted(sorted(every, key=lambda i: size[i], reverse=True)[: panel.kind.most])


def _bars(kind: Kind, name: str, rows: list[GroupShare], at: list[float], step: float, shade: str) -> list[Json]:
    """Bars of groups whose share is known, and intervals alone of the others."""
    found: list[Json] = []
    known = [(a, r, r.value) for a, r in zip(at, rows, strict=True) if r.value is not None]
    value, place, error = ("y", "x", "error_y") if kind.upright else ("x", "y", "error_x")
    found.append(
        {
            "type": "bar",
            "orientation": "v" if kind.upright else "h",
            "name": plain(name),
            place: [a for a, _, _ in known],
            value: [v for _, _, v in known],
            "width": 0.86 * step,
            "text": [_words(kind, name, r) for _, r, _ in known],
            "textposition": "none",
            "marker": {"color": f"{shade}/55"},
            error: _whiskers([(v, r.low, r.high) for _, r, v in known], f"{shade}/70"),
            "hovertemplate": "%{text}<extra></extra>",
        }
    )
    unknown = [(a, r, (r.low + r.high) / 2) for a, r in zip(at, rows, strict=True) if r.value is None]
    if unknown:
        found.append(
            {
                "type": "scatter",
                "mode": "markers",
                "showlegend": False,
                place: [a for a, _, _ in unknown],
                value: [v for _, _, v in unknown],
                "text": [_words(kind, name, r) for _, r, _ in unknown],
                "marker": {"size": 1, "color": "@exact"},
                error: _whiskers([(v, r.low, r.high) for _, r, v in unknown], "@exact"),
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return found


def _words(kind: Kind, network: str, row: GroupShare) -> str:
    value, between = group(row)
    name = row.name if kind.word == "layer" else f"{kind.word} {row.name}"
    return f"<b>{plain(name)}</b>, {plain(network)}<br>critical {value}<br>{between}<br>{counted(row)}"


def _whiskers(rows: Sequence[tuple[float, float, float]], shade: str, thickness: float = 1.3, width: float = 2) -> Json:
    """Error bars from (estimate, low, high)."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, high - value) for value, _, high in rows],
        "arrayminus": [max(0.0, value - low) for value, low, _ in rows],
        "color": shade,
        "thickness": thickness,
        "width": width,
    }


def _ranges(networks: Sequence[Sequence[GroupShare]]) -> tuple[float, float]:
    """End of the axis where most intervals are whole, and where all are; the same where that costs little room."""
    rows = [row for groups in networks for row in groups]
    whole = max(r.high for r in rows) * 1.04 or 0.01
    top = max(r.value or 0.0 for r in rows)
    usual = max(median(r.high for r in groups) for groups in networks)
    near = 1.15 * max(top, usual)
    return (near, whole) if 0 < near * _ROOMY < whole else (whole, whole)


def _ticks(labels: list[str], *, reverse: bool, fixed: bool = True) -> Json:
    """An axis with a name at each whole number, from 0."""
    every = 1 if fixed or len(labels) <= 40 else 5
    room = [len(labels) - 0.5, -0.5] if reverse else [-0.5, len(labels) - 0.5]
    ticks = list(range(0, len(labels), every))
    names = [labels[i] for i in ticks]
    return axis("", showgrid=False, range=room, tickvals=ticks, ticktext=names, ticklabelstandoff=5)


def _lines(count: int) -> list[Json]:
    """Thin lines between rows."""
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    return [{**across, "y0": i + 0.5, "y1": i + 0.5, "line": {"color": "@grid", "width": 1}} for i in range(count - 1)]


def usual_kinds(network: Network, word: str) -> tuple[Kind, ...]:
    """Groupings of a campaign: by place, bit and class."""
    kinds = (
        Kind("places", word, upright=False, most=100),
        Kind("bits", "bit", upright=True, most=128),
        Kind("classes", "class", upright=True, most=40),
    )
    return tuple(kind for kind in kinds if getattr(network, kind.key))
