"""What all single stuck-at faults of multipliers do, and how long their exhaustive simulation takes.

For every named multiplier of the catalogue, or every netlist of a folder: each input net and gate output, with adders
as gates, is stuck at 0 and at 1 and simulated over all operand pairs. Times are those of one process on one core,
set-up and list of faults included, the netlist itself not; the shortest of some rounds counts. With
``--engines native,numpy`` both simulations are timed, round and round, and have to count the same.

Correlations are Spearman's over the circuits of the table. ``damage`` is the area times the mean error distance that a
fault causes: what a defect anywhere does, times how likely there is one, if defects are spread evenly over the area.

Usage: ``python benchmarks/stuck_at.py [--json] [--signed] [--names A,B] [--folder DIR] [--engines native,numpy]
[--rounds 3]``
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from laxity.circuits import Circuit, Multiplier, catalogue, default_library
from laxity.circuits.importers import load
from laxity.circuits.stuck_at import StuckAtStudy, stuck_at
from laxity.circuits.stuck_at.engine import Kind

GOAL_MS = 0.7
"""Time for one fault that must not be exceeded."""

FIGURES = ("faults", "fault_med_median", "fault_med_mean", "fault_med_p90", "observability", "damage")
"""What is correlated with the area and with the error without fault."""


@dataclass(frozen=True, slots=True)
class Row:
    """One multiplier; error distances in units of the last place of the product.

    Attributes:
        name: in the catalogue, or of the file.
        area_um2: of the netlist as it is, without expanding adders.
        gates: with adders as gates.
        faults, classes: listed faults, and those left after collapsing.
        undetectable: faults that no operand pair shows.
        distinct: different tables of the others.
        med: mean error distance without fault.
        med_added_median, med_added_p90: of the mean error distance with fault minus `med`, over faults.
        fault_med_median, fault_med_mean, fault_med_p90: of the mean distance from the result without fault.
        observability: mean fraction of operand pairs that show a fault.
        damage: `area_um2` times `fault_med_mean`.
        ms_per_fault: time for each listed fault, all of them simulated; first engine.
        ms_per_fault_collapsed: the same where one fault of each class is simulated.
        numpy_ms_per_fault: as the first, by numpy; None where it was not timed.
        engine: the first engine.
    """

    name: str
    area_um2: float
    gates: int
    faults: int
    classes: int
    undetectable: int
    distinct: int
    med: float
    med_added_median: float
    med_added_p90: float
    fault_med_median: float
    fault_med_mean: float
    fault_med_p90: float
    observability: float
    damage: float
    ms_per_fault: float
    ms_per_fault_collapsed: float
    numpy_ms_per_fault: float | None
    engine: str


def measure(multiplier: Multiplier, engines: Sequence[Kind], rounds: int) -> Row:
    """Simulate all faults of a multiplier with every engine, in turns."""
    ways = [(engine, False) for engine in engines] + [(engines[0], True)]
    best: dict[tuple[Kind, bool], float] = {}
    studies: dict[tuple[Kind, bool], StuckAtStudy] = {}
    for _ in range(rounds):
        for way in ways:
            start = time.process_time()
            studies[way] = stuck_at(multiplier, engine=way[0], collapsing=way[1])
            best[way] = min(best.get(way, np.inf), time.process_time() - start)
    first, *others = (studies[way] for way in ways)
    if any(_differ(first, other) for other in others):
        raise SystemExit(f"{multiplier.name}: the engines count different faults")
    facts, ms = first.summary(), {way: 1e3 * seconds / len(first) for way, seconds in best.items()}
    area = default_library().area_um2(catalogue.require_circuit(multiplier))
    keys = ("med", "med_added_median", "med_added_p90", "fault_med_median", "fault_med_mean", "fault_med_p90")
    return Row(
        name=multiplier.name,
        area_um2=area,
        gates=facts["gates"],
        faults=facts["faults"],
        classes=facts["classes"],
        undetectable=facts["undetectable"],
        distinct=facts["distinct"],
        **{key: facts[key] for key in keys},
        observability=facts["observability_mean"],
        damage=area * facts["fault_med_mean"],
        ms_per_fault=ms[engines[0], False],
        ms_per_fault_collapsed=ms[engines[0], True],
        numpy_ms_per_fault=ms.get(("numpy", False)),
        engine=facts["engine"],
    )


def _differ(first: StuckAtStudy, other: StuckAtStudy) -> bool:
    parts = ("shown", "changed", "signatures")
    return any(not np.array_equal(getattr(first, part), getattr(other, part)) for part in parts)


def subjects(options: argparse.Namespace) -> list[Multiplier]:
    """The multipliers: of the folder, by name, or all of the catalogue; one of those with equal gates.

    Raises:
        SystemExit: a folder without netlists.
    """
    if options.folder:
        files = sorted(options.folder.glob("*.v"))
        if not files:
            raise SystemExit(f"there are no .v files in {options.folder}")
        return [load(file).multiplier for file in files]
    names = options.names.split(",") if options.names else catalogue.names(8, signed=options.signed)
    found: dict[str, Multiplier] = {}
    for name in names:
        multiplier = catalogue.get(name)
        circuit: Circuit = catalogue.require_circuit(multiplier)
        found.setdefault(circuit.key, multiplier)
    return list(found.values())


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Totals, times and correlations."""
    ms = np.array([row.ms_per_fault for row in rows])
    faults = np.array([row.faults for row in rows])
    reference = [row.numpy_ms_per_fault for row in rows if row.numpy_ms_per_fault is not None]
    found: dict[str, Any] = {
        "circuits": len(rows),
        "faults": int(faults.sum()),
        "distinct": sum(row.distinct for row in rows),
        "undetectable": sum(row.undetectable for row in rows),
        "cpu_s": float((ms * faults).sum() / 1e3),
        "ms_per_fault_mean": float((ms * faults).sum() / faults.sum()),
        "ms_per_fault_max": float(ms.max()),
        "numpy_ms_per_fault_max": max(reference, default=None),
        "goal_ms": GOAL_MS,
        "goal_met": bool(ms.max() <= GOAL_MS),
        "machine": platform.machine(),
        "numpy": np.__version__,
    }
    if len(rows) > 2:
        for figure in FIGURES:
            values = [getattr(row, figure) for row in rows]
            for against in ("area_um2", "med"):
                with_other = [getattr(row, against) for row in rows]
                found[f"spearman_{figure}_{against}"] = float(spearmanr(values, with_other).statistic)
    return found


def main() -> None:
    """Measure all circuits and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--signed", action="store_true", help="the signed multipliers of the catalogue")
    parser.add_argument("--names", help="names of multipliers, joined by commas, instead of all 8 x 8 ones")
    parser.add_argument("--folder", type=Path, help="folder of Verilog netlists, instead of the catalogue")
    parser.add_argument("--engines", default="auto", help="simulations joined by commas: auto, native, numpy")
    parser.add_argument("--rounds", type=int, default=3, help="times that every circuit is simulated; 3 if not given")
    options = parser.parse_args()
    rows = []
    multipliers = subjects(options)
    for index, multiplier in enumerate(multipliers, 1):
        print(f"{index} of {len(multipliers)}: {multiplier.name}", file=sys.stderr, flush=True)
        rows.append(measure(multiplier, options.engines.split(","), options.rounds))
    rows.sort(key=lambda row: row.area_um2)
    total = summary(rows)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "summary": total}))
        return
    columns = [name for name in Row.__slots__ if name not in ("engine", "numpy_ms_per_fault")]
    print(" ".join(columns))
    for row in rows:
        values = [getattr(row, column) for column in columns]
        print(" ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values))
    for key, value in total.items():
        print(f"{key:40} {value:.4g}" if isinstance(value, float) else f"{key:40} {value}")


if __name__ == "__main__":
    main()
