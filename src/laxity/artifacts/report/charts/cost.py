"""Where the energy goes: stacked bars per component and per site, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.artifacts.page.chart import (
    COMPONENT_COLOURS,
    Chart,
    Json,
    axis,
    distinct,
    layout,
    legend_above,
    plain,
)
from laxity.artifacts.report.load import RunView, SiteDetail

NETWORKS = (("int8_exact", "exact INT8"), ("approximated", "approximated"))
BAR = 0.38
EMPTY = "The plan's details list no sites, so there is no cost to break down."


def components(view: RunView) -> list[str]:
    """Names of all cost components, largest energy of the exact network first."""
    totals: dict[str, float] = {}
    for site in view.details.sites:
        for name, estimate in site.int8_exact.items():
            totals[name] = totals.get(name, 0.0) + estimate.value
        for name in site.approximated:
            totals.setdefault(name, 0.0)
    return sorted(totals, key=lambda name: (-totals[name], name))


def scale(values: Sequence[float]) -> tuple[float, str]:
    """Factor and unit in which the largest of some energies in pJ has few digits."""
    largest = max(values, default=0.0)
    for factor, unit in ((1e-9, "mJ"), (1e-6, "µJ"), (1e-3, "nJ")):
        if largest * factor >= 1:
            return factor, unit
    return 1.0, "pJ"


def component_chart(view: RunView) -> Chart:
    """Energy of the whole network per component, exact INT8 above approximated."""
    title = "Energy per component"
    if not view.details.sites:
        return Chart("components", title, None, empty=EMPTY)
    sums = {key: [_energy(view.details.sites, key, name) for name in components(view)] for key, _ in NETWORKS}
    factor, unit = scale([sum(values) for values in sums.values()])
    bars = []
    for index, name in enumerate(components(view)):
        values = [sums[key][index] * factor for key, _ in reversed(NETWORKS)]
        bars.append(_bar(name, index, values, [label for _, label in reversed(NETWORKS)], unit))
    return Chart("components", title, _stacked(bars, unit), height=270)


def site_chart(view: RunView) -> Chart:
    """Energy per site, each with its components: exact INT8 above, approximated below."""
    title = "Energy per site"
    sites = list(reversed(view.details.sites))
    if not sites:
        return Chart("sites", title, None, empty=EMPTY)
    factor, unit = scale([sum(e.value for e in getattr(s, key).values()) for s in sites for key, _ in NETWORKS])
    rows = [index + shift for index in range(len(sites)) for shift in (BAR / 2, -BAR / 2)]
    words = [f"{plain(s.name)}, {label}" for s in sites for _, label in NETWORKS]
    bars = []
    for index, name in enumerate(components(view)):
        values = [_energy([s], key, name) * factor for s in sites for key, _ in NETWORKS]
        bars.append({**_bar(name, index, values, rows, unit), "hovertext": words, "width": BAR * 0.94})
    figure = _stacked(bars, unit)
    places = {"tickvals": list(range(len(sites))), "ticktext": distinct([s.name for s in sites], 22)}
    figure["layout"]["yaxis"] |= {**places, "range": [-0.6, len(sites) - 0.4], "ticks": ""}
    return Chart("sites", title, figure, height=140 + (46 if len(sites) <= 20 else 30) * len(sites))


def _energy(sites: Sequence[SiteDetail], network: str, component: str) -> float:
    parts = (getattr(site, network).get(component) for site in sites)
    return sum(part.value for part in parts if part is not None)


def _bar(name: str, index: int, values: list[float], rows: Sequence[str | float], unit: str) -> Json:
    return {
        "type": "bar",
        "orientation": "h",
        "name": plain(name),
        "x": values,
        "y": list(rows),
        "hovertext": list(rows),
        "marker": {"color": f"@k{index % COMPONENT_COLOURS + 1}", "line": {"color": "@paper", "width": 1}},
        "hovertemplate": f"<b>{plain(name)}</b><br>%{{hovertext}}<br>%{{x:.4~g}} {unit} per sample<extra></extra>",
    }


def _stacked(bars: list[Json], unit: str) -> Json:
    return {
        "data": bars,
        "layout": layout(
            barmode="stack",
            bargap=0.22,
            xaxis=axis(f"energy per sample ({unit})"),
            yaxis=axis("", showgrid=False, ticklabelstandoff=6),
            showlegend=True,
            legend={**legend_above(), "traceorder": "normal"},
            margin={"l": 20, "r": 16, "t": 44, "b": 48},
        ),
    }
