"""Where the energy goes: stacked bars per component and per site, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from laxity.artifacts.page.chart import Chart
from laxity.artifacts.report.charts.bars import NETWORKS, bar, pairs, pairs_height, scale, stacked
from laxity.artifacts.report.load import RunView, SiteDetail

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


def component_chart(view: RunView) -> Chart:
    """Energy of the whole network per component, exact INT8 above approximated."""
    title = "Energy per component"
    if not view.details.sites:
        return Chart("components", title, None, empty=EMPTY)
    sums = {key: [_energy(view.details.sites, key, name) for name in components(view)] for key, _ in NETWORKS}
    factor, unit = scale([sum(values) for values in sums.values()], "pJ")
    bars = []
    for index, name in enumerate(components(view)):
        values = [sums[key][index] * factor for key, _ in reversed(NETWORKS)]
        bars.append(bar(name, index, values, [label for _, label in reversed(NETWORKS)], f"{unit} per sample"))
    return Chart("components", title, stacked(bars, f"energy per sample ({unit})"), height=270)


def site_chart(view: RunView) -> Chart:
    """Energy per site, each with its components: exact INT8 above, approximated below."""
    title = "Energy per site"
    sites = view.details.sites
    if not sites:
        return Chart("sites", title, None, empty=EMPTY)
    series = {name: tuple([_energy([s], key, name) for s in sites] for key, _ in NETWORKS) for name in components(view)}
    return Chart("sites", title, pairs([s.name for s in sites], series, "pJ", "energy"), height=pairs_height(sites))


def _energy(sites: Sequence[SiteDetail], network: str, component: str) -> float:
    parts = (getattr(site, network).get(component) for site in sites)
    return sum(part.value for part in parts if part is not None)
