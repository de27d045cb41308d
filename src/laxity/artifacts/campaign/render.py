"""Put a fault campaign into a single HTML text that works without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from laxity.artifacts.campaign import wording
from laxity.artifacts.campaign.charts import (
    Panel,
    colour,
    differences_chart,
    metrics_chart,
    panels,
    shares_chart,
    usual_kinds,
)
from laxity.artifacts.campaign.heat import FIGURES, MOST, OUTCOMES, cell_map, heat_charts
from laxity.artifacts.campaign.load import CampaignView, Network, SiteCheck, Stratum, load_campaign
from laxity.artifacts.page import render_document
from laxity.artifacts.page.chart import Chart
from laxity.artifacts.page.numbers import number
from laxity.core.serial import write_atomic

REPORT_NAME = "report.html"


@dataclass(frozen=True, slots=True)
class Grouping:
    """A section of the page: one way of grouping faults.

    Attributes:
        key: of the section.
        title: its heading.
        lead: what stands under it.
        panels: networks with the same groups, each with its chart.
    """

    key: str
    title: str
    lead: str
    panels: list[tuple[Panel, Chart]]

    @property
    def unknown(self) -> bool:
        """Whether the share of a group is not known."""
        return any(g.value is None for panel, _ in self.panels for groups in panel.groups for g in groups)


_LEADS = {  # by grouping, where needed with the population
    "places": "In the order of the {of}. A bar is the share of critical faults among those in the {word}, "
    "whatever its size: a large {word} is struck more often.",
    "bits": "The most significant bit first, as words are written.",
    "bits of gates": "A bit stands for the faults that change the product by its weight on average, over operands that "
    "may occur; the largest first.",
    "classes": "By the class that the network predicts without the fault, over all places and bits.",
}


def render_campaign(folder: Path) -> str:
    """Render the page of a campaign's folder; equal folders give equal text.

    Raises:
        RunError: the file of the folder is missing or malformed; names it.
    """
    view = load_campaign(folder)
    found = wording.verdicts(view)
    maps = heat_charts(view)
    cells = {name: _cell_table(network) for name, network in view.networks.items() if name in maps}
    values = {
        "view": view,
        "file": view.file,
        "networks": view.networks,
        "subject": view.first.identity.subject,
        "identity": view.first.identity,
        "version": view.file.versions.get("laxity") or view.first.identity.laxity,
        "wording": wording,
        "title": wording.title(view),
        "metric_rows": metric_rows(view),
        "verdicts": found,
        "sizes": wording.sizes(view),
        "metrics": metrics_chart(view).drawn(),
        "differences": differences_chart(view, found).drawn(),
        "maps": {name: chart.drawn() for name, chart in maps.items()},
        "cell_tables": cells,
        "any_proved": any("proved" in row for _, rows in cells.values() for _, row in rows),
        "weighted": any(sum(not part.certified for part in network.parts) > 1 for network in view.networks.values()),
        "unmapped": [name for name in view.networks if name not in maps],
        "outcomes": OUTCOMES,
        "figures": FIGURES,
        "groupings": _groupings(view),
        "most": MOST,
        "strata": {name: strata_rows(network) for name, network in view.networks.items()},
        "shades": {name: colour(view, name).removeprefix("@") for name in view.networks},
    }
    package = "laxity.artifacts.campaign"
    return render_document(package, "template.html", values, styles=["campaign.css"], scripts=["campaign.js"])


def write_campaign(folder: Path) -> Path:
    """Render the page of a campaign's folder and write it there, whole or not at all.

    Returns:
        Path of the file.

    Raises:
        RunError: the file of the folder is missing or malformed, or the page cannot be written.
    """
    path = folder / REPORT_NAME
    write_atomic(path, render_campaign(folder))
    return path


def metric_rows(view: CampaignView) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, meaning, and for each network value and interval, of every metric that one of them has."""
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for key, name, meaning in wording.METRICS:
        ranges = [getattr(network.metrics, key) for network in view.networks.values()]
        if any(r is not None for r in ranges):
            cells = [("–", "not known") if r is None else (wording.estimate(r), wording.ends(r)) for r in ranges]
            found.append((name, meaning, cells))
    networks = list(view.networks.values())
    found.append(("accuracy lost", "by one fault on average, in points", [_drop(network) for network in networks]))
    found.append(("sites", "that can be struck", [(number(n.size, 12), "") for n in networks]))
    found.append(("critical sites", "per image on average: share times sites", [_sites(n) for n in networks]))
    tried = [(number(n.faults, 12), f"look {n.looks}" if not n.aim.faults else "as asked for") for n in networks]
    found.append(("faults tried", "each on an image of its own", tried))
    right = [(wording.share(n.golden_right, 1), "") for n in networks]
    found.append(("right without faults", "of the images that were drawn", right))
    return found


def _drop(network: Network) -> tuple[str, str]:
    drop = network.accuracy_drop
    value, low, high = (wording.in_points(v, drop.half_width) for v in (drop.estimate, drop.low, drop.high))
    return value, f"{low} to {high}"


def _sites(network: Network) -> tuple[str, str]:
    found = network.metrics.critical
    value, low, high = (wording.rounded(v * network.size) for v in (found.estimate, found.low, found.high))
    return value, f"{low} to {high}"


def _groupings(view: CampaignView) -> list[Grouping]:
    """Sections by place, bit and class; a network with a single place has nothing to compare there."""
    word, population = wording.place_word(view.first), view.first.identity.subject.population
    kinds = {kind.key: kind for network in view.networks.values() for kind in usual_kinds(network, word)}
    found = []
    for key in ("places", "bits", "classes"):
        if key in kinds:
            kind = kinds[key]
            lead = _LEADS.get(f"{key} of {population}", _LEADS[key])
            drawn = [(panel, shares_chart(view, panel)) for panel in panels(view, kind)]
            found.append(
                Grouping(
                    key,
                    f"By {kind.word}",
                    lead.format(word=word, of="network" if word == "layer" else "population"),
                    drawn,
                )
            )
    return found


def _cell_table(network: Network) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Columns, and for each place critical faults of those tried in each bit."""
    found = cell_map(network)
    if found is None:
        return [], []
    columns = ["whole" if bit < 0 else str(bit) for bit in found.bits]
    rows = [
        (
            place,
            [
                ("proved" if known else "–") if s is None else f"{s.cell.critical}/{s.cell.faults}"
                for s, known in zip(cells, proved, strict=True)
            ],
        )
        for place, cells, proved in zip(found.places, found.rows, found.proved, strict=True)
    ]
    return columns, rows


def strata_rows(network: Network) -> list[tuple[Stratum, SiteCheck | None]]:
    """Strata with the check of their drawn sites, where there was one."""
    checks = {check.part: check for check in network.site_checks}
    return [(part, checks.get(part.name)) for part in network.parts]
