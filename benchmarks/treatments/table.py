"""The table of treatments from its cells: means and spreads over seeds, orders, and what comes back within a point."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from treatments.cells import EXACT, NONE, Cell

POINT = 0.01
LARGE_LOSS = 0.3
ORDERS = ((NONE, "fine-tuning"), ("fine-tuning", "distillation + gradient"))


def summary(
    found: Mapping[Cell, Mapping[str, Any]],
    energies: Mapping[str, Mapping[str, float | None]],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """All rows with what follows from them.

    Args:
        found: finished cells.
        energies: as `Worker.energies` gives them.
        settings: of the table.

    Returns:
        settings, ``rows`` (multiplier, weight_bits, energy, treatments: mean, spread and values), ``orders`` (mean
        accuracies over all multipliers of the treatments that are compared), ``regained`` (multipliers that lose more
        than 30 points untreated and come back within a point of the exact untreated network, by which treatment), and
        ``cpu_s``.
    """
    places = dict.fromkeys((c.weight_bits, c.multiplier) for c in found)
    rows = [_row(bits, name, found, energies) for bits, name in places]
    exact = {row["weight_bits"]: row["treatments"][NONE]["mean"] for row in rows if row["multiplier"] == EXACT}
    approximate = [row for row in rows if row["multiplier"] != EXACT]
    known = [row for row in approximate if row["weight_bits"] in exact]
    regained = [r for row in known if (r := _regained(row, exact[row["weight_bits"]]))]
    orders = [o for bits in exact for order in ORDERS if (o := _order(approximate, bits, *order))]
    return {
        "settings": settings,
        "exact": exact,
        "rows": rows,
        "orders": orders,
        "regained": regained,
        "cpu_s": sum(result["cpu_s"] for result in found.values()),
    }


def _row(
    bits: int,
    name: str,
    found: Mapping[Cell, Mapping[str, Any]],
    energies: Mapping[str, Mapping[str, float | None]],
) -> dict[str, Any]:
    values: dict[str, list[float]] = {}
    for cell, result in found.items():
        if (cell.weight_bits, cell.multiplier) == (bits, name):
            values.setdefault(cell.treatment, []).append(result["accuracy"])
    treated = {t: {"mean": statistics.fmean(v), "spread": _spread(v), "values": v} for t, v in values.items()}
    return {"multiplier": name, "weight_bits": bits, "energy": energies.get(f"{name} {bits}"), "treatments": treated}


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _regained(row: Mapping[str, Any], exact: float) -> dict[str, Any] | None:
    """The best treatment, where untreated accuracy is lost and it comes back."""
    means = {t: v["mean"] for t, v in row["treatments"].items()}
    best = max(means, key=means.__getitem__)
    if NONE not in means or exact - means[NONE] <= LARGE_LOSS or exact - means[best] > POINT:
        return None
    lost = {"untreated_drop": exact - means[NONE], "drop": exact - means[best]}
    return {k: row[k] for k in ("multiplier", "weight_bits", "energy")} | {"treatment": best} | lost


def _order(rows: Sequence[Mapping[str, Any]], bits: int, less: str, more: str) -> dict[str, Any] | None:
    """Mean accuracies of two treatments over the multipliers that have both."""
    both = [r["treatments"] for r in rows if r["weight_bits"] == bits and {less, more} <= set(r["treatments"])]
    if not both:
        return None
    means = {t: statistics.fmean(v[t]["mean"] for v in both) for t in (less, more)}
    exceptions = [
        r["multiplier"]
        for r in rows
        if r["treatments"] in both and r["treatments"][less]["mean"] > r["treatments"][more]["mean"]
    ]
    return {"weight_bits": bits, "treatments": means, "holds": means[less] <= means[more], "exceptions": exceptions}


def text(document: Mapping[str, Any]) -> str:
    """The document as Markdown."""
    lines = []
    for bits, exact in document["exact"].items():
        rows = [row for row in document["rows"] if row["weight_bits"] == int(bits)]
        names = list(dict.fromkeys(t for row in rows for t in row["treatments"]))
        lines += [f"{bits}-bit weights, exact circuits {100 * exact:.2f} %", ""]
        lines += [f"| multiplier | {' | '.join(names)} | energy of products | of elements | total |"]
        lines += ["|---" * (len(names) + 4) + "|"]
        lines += [_line(row, names) for row in rows] + [""]
    for order in document["orders"]:
        means = ", ".join(f"{name} {100 * mean:.2f} %" for name, mean in order["treatments"].items())
        except_for = f", except for {', '.join(order['exceptions'])}" if order["exceptions"] else ""
        lines.append(f"{order['weight_bits']}-bit weights, mean over multipliers: {means}{except_for}")
    for row in document["regained"]:
        lines.append(
            f"{row['multiplier']}, {row['weight_bits']}-bit weights: {100 * row['untreated_drop']:.1f} points lost, "
            f"{100 * row['drop']:.2f} after {row['treatment']}"
        )
    return "\n".join([*lines, f"{document['cpu_s'] / 3600:.2f} hours of one core"])


def _line(row: Mapping[str, Any], names: Sequence[str]) -> str:
    cells = [_cell(row["treatments"].get(name)) for name in names]
    energy = row["energy"] or {}
    shares = ["" if energy.get(k) is None else f"{energy[k]:.3f}" for k in ("multiplier", "element", "total")]
    return f"| {' | '.join([row['multiplier'], *cells, *shares])} |"


def _cell(treated: Mapping[str, Any] | None) -> str:
    if treated is None:
        return ""
    spread = "" if treated["spread"] is None else f" ± {100 * treated['spread']:.2f}"
    return f"{100 * treated['mean']:.2f}{spread}"
