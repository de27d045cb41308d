"""What a campaign found: intervals of all metrics, by place, bit and class, and whether sites were drawn fairly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laxity.campaign.outcomes import Outcomes
from laxity.campaign.population import NO_BIT
from laxity.campaign.run import Campaign
from laxity.core.errors import DataError
from laxity.core.serial import to_json
from laxity.statistics import Interval, check_population
from laxity.statistics.mixture import mixture_bounds
from laxity.statistics.stratified import stratified_interval

METRICS = ("critical", "sdc", "due", "sdc_top5", "lost", "gained")
"""Properties of `Outcomes` whose shares every campaign reports."""


@dataclass(frozen=True, slots=True)
class Share:
    """Critical faults of one group.

    Attributes:
        name: of the group.
        faults: tried.
        critical, sdc, due: how many of them were.
        value: share of critical faults of the group's sites, strata weighted, fraction; None where no fault was tried.
        low, high: its interval, which holds at any time.
    """

    name: str
    faults: int
    critical: int
    sdc: int
    due: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CellShare:
    """Critical faults of one cell: attributes as of `Share`, with the cell's place and bit instead of a name."""

    place: str
    bit: int
    faults: int
    critical: int
    sdc: int
    due: int
    low: float
    high: float


def accuracy_drop(campaign: Campaign) -> Interval:
    """Accuracy lost by one fault: share of samples that become wrong less share of those that become right.

    Both have half the error probability (Bonferroni).
    """
    error = campaign.plan.errors[campaign.look]
    lost, gained = (stratified_interval(campaign.strata(what), 1 - error / 2) for what in ("lost", "gained"))
    return Interval(
        lost.estimate - gained.estimate,
        lost.low - gained.high,
        lost.high - gained.low,
        campaign.aim.confidence,
        lost.samples,
        "difference of two stratified shares, Bonferroni",
    )


def by_cell(campaign: Campaign) -> list[CellShare]:
    """Every cell of the population in which a fault was tried."""
    rows = Outcomes.joined(campaign.outcomes)
    found = []
    for cell in np.unique(rows.cell):
        some = rows.cell == cell
        faults, critical = int(some.sum()), int(rows.critical[some].sum())
        low, high = mixture_bounds(critical, faults, campaign.aim.confidence)
        place = campaign.cells.places[campaign.cells.place[cell]]
        sdc, due = (int(x[some].sum()) for x in (rows.sdc, rows.due))
        found.append(
            CellShare(place, int(campaign.cells.bit[cell]), faults, critical, sdc, due, float(low), float(high))
        )
    return found


def by_place(campaign: Campaign) -> list[Share]:
    """Every place of the population, for example every layer."""
    cells = campaign.cells
    return [_group(campaign, name, cells.place == p) for p, name in enumerate(cells.places)]


def by_bit(campaign: Campaign) -> list[Share]:
    """Every bit position, where the population has such."""
    bits = [b for b in np.unique(campaign.cells.bit).tolist() if b != NO_BIT]
    return [_group(campaign, str(b), campaign.cells.bit == b) for b in bits]


def by_class(campaign: Campaign) -> list[Share]:
    """Every class that the network predicts without faults."""
    classes = np.unique(np.concatenate([o.golden for o in campaign.outcomes])).tolist()
    everywhere = np.ones(len(campaign.cells.sites), np.bool_)
    return [_group(campaign, str(c), everywhere, golden=c) for c in classes]


def _group(campaign: Campaign, name: str, cells: NDArray[np.bool_], golden: int | None = None) -> Share:
    """Strata weighted by the sites that the group has in them; each has its share of the error probability."""
    sites = campaign.cells.sites
    total = int(sites[cells].sum())
    inside = [np.array(p.cells, np.int64)[cells[list(p.cells)]] for p in campaign.parts]
    present = [p for p, c in enumerate(inside) if len(c)]
    sampled = max(1, sum(not campaign.parts[p].certified for p in present))
    confidence = 1 - (1 - campaign.aim.confidence) / sampled
    value, low, high, counts, unknown = 0.0, 0.0, 0.0, np.zeros(4, np.int64), False
    for p in present:
        weight, rows = int(sites[inside[p]].sum()) / total, campaign.outcomes[p]
        if campaign.parts[p].certified:
            continue
        some = np.isin(rows.cell, inside[p]) & (True if golden is None else rows.golden == golden)
        n, hits = int(some.sum()), int(rows.critical[some].sum())
        ends = mixture_bounds(hits, n, confidence)
        low, high = low + weight * float(ends[0]), high + weight * float(ends[1])
        counts += np.array([n, hits, rows.sdc[some].sum(), rows.due[some].sum()])
        unknown |= n == 0
        value += weight * hits / n if n else 0.0
    faults, critical, sdc, due = (int(c) for c in counts)
    return Share(name, faults, critical, sdc, due, None if unknown else value, low, high)


def site_checks(campaign: Campaign) -> list[dict[str, Any]]:
    """Chi-square tests of the drawn cells against the declared population, one for each stratum that allows one."""
    found = []
    for part, rows in zip(campaign.parts, campaign.outcomes, strict=True):
        declared = {str(c): float(campaign.cells.sites[c]) for c in part.cells}
        cells, counts = np.unique(rows.cell, return_counts=True)
        try:
            check = check_population(dict(zip(map(str, cells.tolist()), counts.tolist(), strict=True)), declared)
        except DataError:  # too few faults, or a single cell: nothing to compare
            continue
        found.append({"part": part.name, **to_json(check), "plausible": check.plausible})
    return found


def summary(campaign: Campaign) -> dict[str, Any]:
    """Everything above as one JSON object."""
    metrics = {name: campaign.interval(name) for name in METRICS}
    if campaign.exact:
        metrics["masked"] = campaign.interval("masked")
    parts = [
        {"name": p.name, "weight": w, "certified": p.certified, "faults": len(o), "critical": int(o.critical.sum())}
        for p, w, o in zip(campaign.parts, campaign.weights, campaign.outcomes, strict=True)
    ]
    golden = np.concatenate([o.golden == o.label for o in campaign.outcomes])
    document = {
        "key": campaign.key,
        "identity": dict(campaign.identity),
        "statement": campaign.statement,
        "size": campaign.cells.size,
        "aim": campaign.aim,
        "met": campaign.met,
        "faults": sum(len(o) for o in campaign.outcomes),
        "looks": campaign.look + 1,
        "parts": parts,
        "metrics": metrics,
        "accuracy_drop": accuracy_drop(campaign),
        "golden_right": float(golden.mean()),
        "places": by_place(campaign),
        "bits": by_bit(campaign),
        "classes": by_class(campaign),
        "cells": by_cell(campaign),
        "site_checks": site_checks(campaign),
    }
    found: dict[str, Any] = to_json(document)
    return found


def table(campaign: Campaign) -> tuple[Sequence[str], list[list[str | int]]]:
    """Every fault as one row: header and rows, ordered by stratum and number."""
    header = (
        "fault",
        "part",
        "number",
        "place",
        "bit",
        "site",
        "image",
        "label",
        "golden",
        "struck",
        "top5",
        "noticed",
        "same",
    )
    rows: list[list[str | int]] = []
    cells = campaign.cells
    for part, o in zip(campaign.parts, campaign.outcomes, strict=True):
        columns = (o.index, o.cell, o.site, o.image, o.label, o.golden, o.struck, o.top, o.noticed, o.same)
        for index, cell, site, image, *rest in zip(*(c.tolist() for c in columns), strict=True):
            place, bit = cells.places[cells.place[cell]], int(cells.bit[cell])
            text = f"{campaign.key} {part.name} {index} {place} {bit} {site} {image}"
            name = hashlib.sha256(text.encode()).hexdigest()[:16]
            rows.append([name, part.name, index, place, bit, site, image, *rest])
    return header, rows
