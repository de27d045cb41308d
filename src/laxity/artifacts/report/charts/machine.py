"""The processing element of a plan and what its sites make the machine do, exact and approximated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from laxity.artifacts.page.chart import Chart, Json, note, plain
from laxity.artifacts.report.charts.bars import NETWORKS, bar, colour_of, pairs, pairs_height, places, stacked
from laxity.artifacts.report.charts.cost import components
from laxity.artifacts.report.load import ElementFacts, RunView, SiteUseFacts

OLDER = "This run was recorded by an older laxity, without its element and layers; run its command again to add them."
SILENT = "The target says nothing about {}."
PARTS = {"adder": "adder and sign logic", "selection": "selection between circuits"}
"""Names of parts of an element that say more than their keys."""

_COSTS = {"adder": "accumulator"}  # components of the cost that have the colour of a part

Uses = tuple[SiteUseFacts | None, SiteUseFacts | None]


def elements(view: RunView) -> list[tuple[str, ElementFacts]]:
    """The elements that are known, by name of the network."""
    hardware = view.details.hardware
    found = [(label, getattr(hardware, key, None)) for key, label in NETWORKS]
    return [(label, part.element) for label, part in found if part is not None and part.element is not None]


def paired_uses(view: RunView) -> dict[str, Uses]:
    """For every site, what it makes the exact and the approximated machine do."""
    hardware = view.details.hardware
    if hardware is None:
        return {}
    exact, after = ({use.site: use for use in part.sites} for part in (hardware.int8_exact, hardware.approximated))
    return {site: (exact.get(site), after.get(site)) for site in dict.fromkeys([*exact, *after])}


def _nothing(view: RunView, name: str, title: str, what: str) -> Chart:
    return Chart(name, title, None, empty=OLDER if view.details.hardware is None else SILENT.format(what))


def area_chart(view: RunView) -> Chart:
    """Area of one element by part."""
    found = elements(view)[::-1]
    if not found:
        return _nothing(view, "area", "Area of an element", "its elements")
    names = dict.fromkeys(name for _, element in found for name, area in element.area_um2.items() if area)
    order, labels = components(view), [label for label, _ in found]
    bars = [
        bar(
            PARTS.get(n, n),
            colour_of(_COSTS.get(n, n), order),
            [e.area_um2.get(n, 0.0) for _, e in found],
            labels,
            "µm²",
        )
        for n in names
    ]
    return Chart("area", "Area of an element by part", stacked(bars, "area of one element (µm²)"), height=230)


def timing_chart(view: RunView) -> Chart:
    """Slowest path of every unit against the clock."""
    rows = [(f"{plain(unit)}, {label}", e, delay) for label, e in elements(view) for unit, delay in e.delay_ns.items()]
    rows.reverse()
    if not rows:
        return _nothing(view, "timing", "Delay against the clock", "the delay of its elements")
    labels = [label for label, _, _ in rows]
    bars = [bar("slowest path", 1, [delay for _, _, delay in rows], labels, "ns")]
    if any(e.register_ns for _, e, _ in rows):
        bars.append(bar("flip-flop", 5, [e.register_ns or 0.0 for _, e, _ in rows], labels, "ns"))
    figure = stacked(bars, "time (ns)")
    periods = sorted({e.period_ns for _, e, _ in rows if e.period_ns})
    figure["layout"]["xaxis"]["rangemode"] = "tozero"
    figure["layout"]["shapes"] = [
        {"type": "line", "yref": "paper", "x0": p, "x1": p, "y0": 0, "y1": 1, "line": {"color": "@cross", "width": 2}}
        for p in periods
    ]
    figure["layout"]["annotations"] = [
        note(f"clock {p:.3g} ns", x=p, y=1, yref="paper", xanchor="right", yanchor="top", xshift=-5) for p in periods
    ]
    return Chart("timing", "Delay against the clock", figure, height=170 + 34 * len(rows))


def product_chart(view: RunView) -> Chart:
    """Energy inside the element per executed product and site, with that on uniform operands as a mark."""
    uses = paired_uses(view)
    title = "Energy of a product inside the element"
    if not any(use is not None and use.product_pj for pair in uses.values() for use in pair):
        return _nothing(view, "product", title, "the energy of a product")
    figure = pairs(list(uses), _series(uses, lambda use: use.product_pj), "pJ", "energy", "product", components(view))
    uniform = [
        (place, math.fsum(use.uniform_pj.values()))
        for place, use in zip(places(len(uses)), (use for pair in uses.values() for use in pair), strict=True)
        if use is not None and use.uniform_pj
    ]
    if uniform:
        figure["data"].append(_marks(uniform, "on uniform operands"))
    return Chart("product", title, figure, height=pairs_height(uses))


def _marks(found: list[tuple[float, float]], name: str) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for _, x in found],
        "y": [y for y, _ in found],
        "marker": {"symbol": "line-ns-open", "size": 15, "color": "@ink", "line": {"width": 2, "color": "@ink"}},
        "hovertemplate": f"{name}<br>%{{x:.4~g}} pJ per product<extra></extra>",
    }


def _series(
    uses: Mapping[str, Uses], values: Callable[[SiteUseFacts], Mapping[str, float]]
) -> dict[str, tuple[list[float], list[float]]]:
    found = {site: [values(use) if use is not None else {} for use in pair] for site, pair in uses.items()}
    names = dict.fromkeys(name for pair in found.values() for part in pair for name in part)
    return {
        name: ([exact.get(name, 0.0) for exact, _ in found.values()], [a.get(name, 0.0) for _, a in found.values()])
        for name in names
    }


def cycles_chart(view: RunView) -> Chart:
    """Cycles per site, with the utilisation at the end of each bar."""
    uses = paired_uses(view)
    if not uses:
        return _nothing(view, "cycles", "Cycles per site", "single layers")
    figure = pairs(list(uses), _series(uses, lambda use: {"cycles": float(use.cycles)}), "cycles", "time")
    flat = [use for pair in uses.values() for use in pair]
    trace = figure["data"][0]
    trace["marker"]["color"] = ["@exact", "@cross"] * len(uses)
    trace["text"] = ["" if use is None or not use.macs else f"{100 * use.utilisation:.0f}\u202f%" for use in flat]
    trace["textposition"], trace["cliponaxis"] = "outside", False
    trace["textfont"] = {"color": "@muted", "size": 12}
    figure["layout"] |= {"showlegend": False}
    figure["layout"]["xaxis"]["title"]["text"] = "clock cycles per sample"
    figure["layout"]["xaxis"]["range"] = [0, 1.12 * max([use.cycles for use in flat if use is not None], default=1)]
    figure["layout"]["margin"]["t"] = 12
    return Chart("cycles", "Cycles and utilisation per site", figure, height=pairs_height(uses) - 32)


def traffic_chart(view: RunView) -> Chart:
    """Bits read and written per site, by level of memory."""
    uses = paired_uses(view)
    if not any(use is not None and any(use.moved_bits.values()) for pair in uses.values() for use in pair):
        return _nothing(view, "traffic", "Bits moved per site", "accesses to memories")
    figure = pairs(
        list(uses), _series(uses, lambda use: use.moved_bits), "bit", "read and written", order=components(view)
    )
    return Chart("traffic", "Bits moved per site by level of memory", figure, height=pairs_height(uses))


def product_columns(view: RunView) -> list[tuple[str, dict[str, float]]]:
    """Energy of a product by component, mean over all products, for each network and kind of operands there is."""
    found = []
    for key, label in NETWORKS:
        hardware = view.details.hardware
        sampled = hardware is not None and any(use.sampled for use in getattr(hardware, key).sites)
        if sampled:
            found.append((f"{label}, uniform operands", mean_product_pj(view, key, "uniform_pj")))
        words = "operands of its layers" if sampled else "uniform operands"
        found.append((f"{label}, {words}", mean_product_pj(view, key, "product_pj")))
    return [(label, mean) for label, mean in found if mean]


def split_chart(view: RunView) -> Chart:
    """Energy of a product by component, mean over all products."""
    rows = product_columns(view)[::-1]
    title = "Energy of a product by part of the element"
    if not rows:
        return _nothing(view, "split", title, "the energy of a product")
    names, order = dict.fromkeys(name for _, mean in rows for name in mean), components(view)
    bars = [bar(n, colour_of(n, order), [m.get(n, 0.0) for _, m in rows], [r for r, _ in rows], "pJ") for n in names]
    return Chart("split", title, stacked(bars, "energy per product (pJ)"), height=150 + 40 * len(rows), min_width=460)


def mean_product_pj(view: RunView, network: str, attribute: str) -> dict[str, float]:
    """Energy inside the element by component, mean over all executed products of a network.

    Args:
        view: the run.
        network: ``int8_exact`` or ``approximated``.
        attribute: ``product_pj`` or ``uniform_pj``.

    Returns:
        Energies in pJ; none where a site with products lacks them.
    """
    hardware = view.details.hardware
    sites = [] if hardware is None else [use for use in getattr(hardware, network).sites if use.macs > 0]
    if not sites or not all(getattr(use, attribute) for use in sites):
        return {}
    macs = math.fsum(use.macs for use in sites)
    names = dict.fromkeys(name for use in sites for name in getattr(use, attribute))
    return {n: math.fsum(getattr(use, attribute).get(n, 0.0) * use.macs for use in sites) / macs for n in names}
