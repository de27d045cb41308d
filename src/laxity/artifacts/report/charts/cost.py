"""Where the energy goes: stacked bars per component and per site, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.artifacts.report.charts.base import (
    COMPONENT_COLOURS,
    Chart,
    Json,
    axis,
    distinct,
    layout,
    legend_below,
    plain,
)
from laxity.artifacts.report.load import RunView, SiteDetail

NETWORKS = (("int8_exact", "exact INT8"), ("approximated", "approximated"))
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
    """Energy per site, each with its components, exact INT8 above approximated."""
    title = "Energy per site"
    sites = list(reversed(view.details.sites))
    if not sites:
        return Chart("sites", title, None, empty=EMPTY)
    labels = distinct([s.name for s in sites], 18)
    rows = [f"{label} · {word}" for label in labels for word in ("after", "before")]
    totals = [sum(e.value for e in getattr(s, key).values()) for s in sites for key, _ in NETWORKS]
    factor, unit = scale(totals)
    bars = []
    for index, name in enumerate(components(view)):
        pairs = [(_energy([s], "approximated", name), _energy([s], "int8_exact", name)) for s in sites]
        bars.append(_bar(name, index, [v * factor for pair in pairs for v in pair], rows, unit))
    return Chart("sites", title, _stacked(bars, unit), height=150 + 44 * len(sites))


def _energy(sites: Sequence[SiteDetail], network: str, component: str) -> float:
    parts = (getattr(site, network).get(component) for site in sites)
    return sum(part.value for part in parts if part is not None)


def _bar(name: str, index: int, values: list[float], rows: list[str], unit: str) -> Json:
    return {
        "type": "bar",
        "orientation": "h",
        "name": plain(name),
        "x": values,
        "y": rows,
        "marker": {"color": f"@k{index % COMPONENT_COLOURS + 1}", "line": {"color": "@paper", "width": 1}},
        "hovertemplate": f"<b>{plain(name)}</b><br>%{{y}}<br>%{{x:.4~g}} {unit} per sample<extra></extra>",
    }


def _stacked(bars: list[Json], unit: str) -> Json:
    return {
        "data": bars,
        "layout": layout(
            barmode="stack",
            bargap=0.22,
            xaxis=axis(f"energy per sample ({unit})"),
            yaxis=axis("", showgrid=False, ticksuffix="  "),
            showlegend=True,
            legend={**legend_below(), "traceorder": "normal"},
            margin={"l": 20, "r": 16, "t": 44, "b": 48},
        ),
    }
