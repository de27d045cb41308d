"""The summary, and both as a table and as JSON."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from speed.cases import CASES, Row
from speed.tables import SEED


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch_isa": torch.backends.cpu.get_cpu_capability(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": version("torch"),
        "laxity": version("laxity"),
    }


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def summary(rows: Sequence[Row], state: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """Geometric means by case and number of threads, with goals, machine and seed."""
    return {
        "geometric_means": _means(rows),
        "all_exact": all(row.exact for row in rows),
        "machine": state,
        "seed": SEED,
        "notes": list(notes),
    }


def _means(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found = []
    for title, threads, isa in dict.fromkeys((row.case, row.threads, row.isa) for row in rows):
        own = [row for row in rows if (row.case, row.threads, row.isa) == (title, threads, isa)]
        case = next(c for c in CASES.values() if title.startswith(c.title))
        figures = [row.ratio if row.speedup is None else row.speedup for row in own]
        mean = math.exp(sum(map(math.log, figures)) / len(figures))
        met = mean >= case.goal if case.better == "at least" else mean <= case.goal
        found.append(
            {
                "case": title,
                "threads": threads,
                "isa": isa,
                "rows": len(own),
                "figure": "ratio" if case.better == "at most" else "speedup",
                "geometric_mean": mean,
                "goal": case.goal,
                "stretch": case.stretch,
                "met": met,
            }
        )
    return found


def document(rows: Sequence[Row], total: dict[str, Any]) -> dict[str, Any]:
    """Everything, for JSON."""
    return {"benchmark": "emulation", "rows": [asdict(row) for row in rows], "summary": total}


def text(rows: Sequence[Row], total: dict[str, Any]) -> str:
    """Everything, for people."""
    times = ("native, ms", "laxity, ms", "ratio", "Gproducts/s")
    head = ("case", "layer", "threads", "isa", *times, "exact", "others", "layouts")
    lines = [
        (
            row.case, row.layer, str(row.threads), row.isa, f"{row.native_ms:.2f}", f"{row.laxity_ms:.2f}",
            f"{row.ratio:.2f}" if row.speedup is None else f"{row.ratio:.2f} (loop {row.speedup:.1f}x)",
            f"{row.giga_products_per_s:.1f}", "yes" if row.exact else "NO",
            "" if row.others is None else f"{row.others:.1f}", f"{row.native_layout}, {row.laxity_layout}",
        )
        for row in rows
    ]  # fmt: skip
    means = ("geometric mean", "threads", "isa", "measured", "goal", "stretch", "met")
    short = [
        (
            mean["case"], str(mean["threads"]), mean["isa"], f"{mean['geometric_mean']:.2f}", f"{mean['goal']:g}",
            "" if mean["stretch"] is None else f"{mean['stretch']:g}", "yes" if mean["met"] else "no",
        )
        for mean in total["geometric_means"]
    ]  # fmt: skip
    facts = ", ".join(f"{key} {value}" for key, value in total["machine"].items())
    return "\n".join([facts, "", _columns(head, lines), "", _columns(means, short), *total["notes"]])


def _columns(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    table = [head, *lines]
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in table)
