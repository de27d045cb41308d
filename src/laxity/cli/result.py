"""The figures of a run as a table for people; percent appears here only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laxity.cli.output import emit_table, write


def print_result(metrics: Mapping[str, Any], report: Path | None = None) -> None:
    """Print quality and energy of a plan, and the comparison of levels and the report where there are any.

    Args:
        metrics: content of ``metrics.json``, or what `evaluate_saved` returns.
        report: path of the report, or None.
    """
    from laxity.artifacts.page.numbers import duration, number, percent, quantity, signed_points

    energy = metrics["energy_pj"]
    split = f"{metrics['split']} split, {metrics['samples']} samples"
    drop = metrics["drop_interval"]
    rows: list[tuple[str, str, str]] = [
        ("accuracy, original", percent(metrics["baseline"]["value"], 2), _interval(metrics["baseline"])),
        ("accuracy, approximated", percent(metrics["approximated"]["value"], 2), _interval(metrics["approximated"])),
        (
            "drop, points",
            signed_points(metrics["drop"]),
            f"95 % interval {signed_points(drop['low'])} .. {signed_points(drop['high'])}{_budget(metrics)}",
        ),
        ("energy, exact 8-bit", quantity(energy["int8_exact"], "pJ"), "per inference"),
        ("energy, approximated", quantity(energy["approximated"], "pJ"), "per inference"),
        ("energy ratio", f"{energy['ratio']:.4f}", "approximated over exact 8-bit"),
    ]
    rows += _hardening(metrics)
    rows += [(name.upper(), number(value, 6), note) for name, value, note in _resources(metrics)]
    for level, ratio in _levels(metrics).items():
        value = "none" if ratio is None else f"{ratio:.4f}"
        rows.append((f"energy ratio, {level}", value, "best plan within the budget"))
    if "evaluations" in metrics:
        rows.append(("evaluations", str(metrics["evaluations"]), f"in {duration(metrics['seconds'])}"))
    emit_table([f"{metrics['task']} on {metrics['target']}", "value", split], rows)
    if report is not None:
        write(f"\nreport: {report}\n")


def _hardening(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    from laxity.artifacts.page.numbers import percent

    if "hardening" not in metrics:
        return []
    found = metrics["hardening"]
    if found is None:
        return [("faults", "over the limit", "no plan within the budget could be protected well enough")]
    name = {"sdc": "silent data corruption", "critical": "critical faults"}[found["metric"]]
    share = found["share"]
    level, ends = percent(found["confidence"]), f"{percent(share['low'], 3)} .. {percent(share['high'], 3)}"
    return [(name, percent(share["estimate"], 3), f"{level} interval {ends}, limit {percent(found['limit'], 3)}")]


def _resources(metrics: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    from laxity.artifacts.page.numbers import number

    found = metrics.get("resources", {"int8_exact": {}, "approximated": {}})
    exact = found["int8_exact"]
    return [(n, v, f"of the device; exact 8-bit {number(exact.get(n), 6)}") for n, v in found["approximated"].items()]


def _levels(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    if "single_level" not in metrics:
        return {}
    single = {f"{level} alone": ratio for level, ratio in metrics["single_level"].items()}
    return {**single, "all levels": metrics["cross_level"]}


def _interval(value: Mapping[str, float]) -> str:
    from laxity.artifacts.page.numbers import percent

    return f"95 % interval {percent(value['low'], 2)} .. {percent(value['high'], 2)}"


def _budget(metrics: Mapping[str, Any]) -> str:
    from laxity.artifacts.page.numbers import signed_points

    return f", budget {signed_points(metrics['max_drop'])}" if "max_drop" in metrics else ""
