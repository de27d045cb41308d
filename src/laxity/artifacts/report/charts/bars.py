"""Stacked bars of the exact and of the approximated network, one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized

from laxity.artifacts.page.chart import COMPONENT_COLOURS, Json, axis, distinct, layout, legend_above, plain

NETWORKS = (("int8_exact", "exact INT8"), ("approximated", "approximated"))
"""Keys and names of the networks, in the order in which they are drawn."""

BAR = 0.38
"""Thickness of a bar where the distance of sites is 1."""

_PREFIXES = {"pJ": ((1e-9, "mJ"), (1e-6, "µJ"), (1e-3, "nJ")), "bit": ((1e-9, "Gbit"), (1e-6, "Mbit"), (1e-3, "kbit"))}

Series = Mapping[str, Sequence[Sequence[float]]]
"""For each name, the values of the exact and of the approximated network."""


def scale(values: Sequence[float], unit: str) -> tuple[float, str]:
    """Factor and unit in which the largest of some values has few digits."""
    largest = max(values, default=0.0)
    for factor, name in _PREFIXES.get(unit, ()):
        if largest * factor >= 1:
            return factor, name
    return 1.0, unit


def bar(name: str, index: int, values: Sequence[float], rows: Sequence[str | float], unit: str) -> Json:
    """One component of stacked bars.

    Args:
        name: of the component.
        index: of its colour.
        values: lengths.
        rows: places of the bars.
        unit: of the values, for the text under the pointer.
    """
    return {
        "type": "bar",
        "orientation": "h",
        "name": plain(name),
        "x": list(values),
        "y": list(rows),
        "hovertext": list(rows),
        "marker": {"color": f"@k{index % COMPONENT_COLOURS + 1}", "line": {"color": "@paper", "width": 1}},
        "hovertemplate": f"<b>{plain(name)}</b><br>%{{hovertext}}<br>%{{x:.4~g}} {unit}<extra></extra>",
    }


def stacked(bars: list[Json], title: str) -> Json:
    """A figure of stacked bars over an axis with a title."""
    return {
        "data": bars,
        "layout": layout(
            barmode="stack",
            bargap=0.22,
            xaxis=axis(title),
            yaxis=axis("", showgrid=False, ticklabelstandoff=6),
            showlegend=True,
            legend={**legend_above(), "traceorder": "normal"},
            margin={"l": 20, "r": 16, "t": 44, "b": 48},
        ),
    }


def places(count: int) -> list[float]:
    """Heights of the bars of so many sites, first site on top: exact above, approximated below."""
    return [count - 1 - index + shift for index in range(count) for shift in (BAR / 2, -BAR / 2)]


def colour_of(name: str, order: Sequence[str]) -> int:
    """Colour of a component by its place in an order; others come after."""
    return order.index(name) if name in order else len(order)


def pairs(
    sites: Sequence[str], series: Series, unit: str, what: str, per: str = "sample", order: Sequence[str] = ()
) -> Json:
    """Stacked bars per site, exact above approximated.

    Args:
        sites: names, first on top.
        series: per component, a value for each site of the exact and of the approximated network.
        unit: of the values.
        what: is shown, for the title of the axis.
        per: which unit of work it is for.
        order: components whose colours are those of their places; others follow.
    """
    sums = [sum(values[k][i] for values in series.values()) for k in (0, 1) for i in range(len(sites))]
    factor, scaled = scale(sums, unit)
    words = [f"{plain(site)}, {label}" for site in sites for _, label in NETWORKS]
    bars = []
    for index, (name, (exact, after)) in enumerate(series.items()):
        values = [v * factor for pair in zip(exact, after, strict=True) for v in pair]
        colour = colour_of(name, order) if order else index
        drawn = bar(name, colour, values, places(len(sites)), f"{scaled} per {per}")
        bars.append({**drawn, "hovertext": words, "width": BAR * 0.94})
    figure = stacked(bars, f"{what} per {per} ({scaled})")
    ticks = {"tickvals": list(range(len(sites))), "ticktext": distinct(sites, 22)[::-1]}
    figure["layout"]["yaxis"] |= {**ticks, "range": [-0.6, len(sites) - 0.4], "ticks": ""}
    return figure


def pairs_height(sites: Sized) -> int:
    """Height of `pairs` in CSS pixels."""
    return 140 + (46 if len(sites) <= 20 else 30) * len(sites)
