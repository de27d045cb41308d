"""Area, power, delay and error metrics of EvoApproxLib's netlists against the published 45 nm figures.

Reads the Verilog files of one kind of circuit from a copy of the library (https://github.com/ehw-fit/evoapproxlib,
version 1), measures them on the built-in cell table, and compares. Published figures are those of a table with columns
``name, kind, group, signed, bits_a, mae, wce, wcre_pct, ep_pct, mre_pct, mse, power_mw_pdk45, area_um2_pdk45,
delay_ns_pdk45``, as printed in the headers of the files. One factor for each quantity, the same for all circuits of a
kind, turns our figures into published units.

Usage: ``python benchmarks/evoapprox.py --folder DIR --metrics FILE.csv [--kind mul8|add8|mul12|mul16]
[--flow yosys|netlist] [--without NAMES] [--json]``
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from laxity.circuits import Circuit, default_library
from laxity.circuits.importers import load, load_circuit
from laxity.circuits.metrics import ErrorMetrics, error_metrics
from laxity.circuits.simulate import evaluate
from laxity.circuits.synthesis import Flow, characterise

KINDS = {
    "mul8": ("multiplier", ("8x8_unsigned", "8x8_signed")),
    "add8": ("adder", ("8_unsigned", "8_signed", "8_signed_extended")),
    "mul12": ("multiplier", ("12x12_unsigned", "12x12_signed")),
    "mul16": ("multiplier", ("16x16_unsigned", "16x16_signed")),
}
QUANTITIES = {"area_um2": "area_um2_pdk45", "energy_pj": "power_mw_pdk45", "delay_ns": "delay_ns_pdk45"}
"""Our figures, and the published ones that they ought to be proportional to."""

METRICS = {"mae": "med", "wce": "wce", "ep_pct": "ep", "mre_pct": "mred", "wcre_pct": "max_red", "mse": "mse"}
SMALL = 0.2
"""Smallest part of the largest published figure with which a circuit enters the relative error; others are rounded."""

MOSTLY_ADDERS = 0.6
"""Share of full adders in the area from which on a circuit counts as made of them."""

OUTLIERS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One circuit.

    Attributes:
        name, group: in the library.
        gates: of the measured netlist.
        full_adder_share: part of the area that full adders take.
        area_um2, delay_ns, energy_pj: ours; energy per operation by settled values, uniform operands.
        published: the library's area (um2), power (mW) and delay (ns) by our names.
        wrong_metrics: error metrics that are not the published ones; None where they were not computed.
        import_s, characterise_s: time.
    """

    name: str
    group: str
    gates: int
    full_adder_share: float
    area_um2: float
    delay_ns: float
    energy_pj: float
    published: dict[str, float]
    wrong_metrics: list[str] | None
    import_s: float
    characterise_s: float


def measure(published: Mapping[str, str], path: Path, flow: Flow) -> Row:
    """Import and measure one circuit."""
    start = time.perf_counter()
    circuit, metrics = _imported(published, path)
    read = time.perf_counter()
    figures = characterise(circuit, flow=flow, delays=("zero",))
    return Row(
        published["name"],
        published["group"],
        sum(figures.cells.values()),
        figures.cells.get("FA", 0) * default_library().cells["FA"].area_um2 / (figures.area_um2 or 1),
        figures.area_um2,
        figures.delay_ns,
        figures.energy_pj("zero"),
        {ours: float(published[theirs]) for ours, theirs in QUANTITIES.items()},
        None if metrics is None else [m for m, ours in METRICS.items() if not _printed(published[m], m, ours, metrics)],
        read - start,
        time.perf_counter() - read,
    )


def _imported(published: Mapping[str, str], path: Path) -> tuple[Circuit, ErrorMetrics | None]:
    signed = published["signed"] == "1"
    if published["bits_a"] != "8":
        return load_circuit(path), None
    if published["kind"] == "adder":
        circuit = load_circuit(path)
        return circuit, _addition_errors(circuit, signed)
    multiplier = load(path, a_bits=8, b_bits=8, signed=signed, compare=False).multiplier
    if multiplier.circuit is None:
        raise SystemExit(f"{path} holds no netlist")
    return multiplier.circuit, multiplier.metrics()


def _addition_errors(circuit: Circuit, signed: bool) -> ErrorMetrics:
    """Error metrics of an 8-bit adder; without carry out, over the pairs whose exact sum fits the output."""
    codes = np.arange(256, dtype=np.int64)
    a, b = (side.ravel() for side in np.meshgrid(codes, codes, indexing="ij"))
    sums = evaluate(circuit, dict(zip((port.name for port in circuit.inputs), (a, b), strict=True)))
    output = circuit.outputs[0]
    found = sums[output.name]
    if signed:
        half = 1 << (output.width - 1)
        a, b, found = (np.where(x >= h, x - 2 * h, x) for x, h in ((a, 128), (b, 128), (found, half)))
        fits = (a + b >= -half) & (a + b < half)
        a, b, found = a[fits], b[fits], found[fits]
    return error_metrics(found[None], (a + b)[None])


def _printed(text: str, metric: str, ours: str, metrics: ErrorMetrics) -> bool:
    """Whether our value is within one unit of the last printed digit."""
    value = float(getattr(metrics, ours)) * (100 if metric.endswith("_pct") else 1)
    mantissa, _, exponent = text.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(text) - value) <= unit * (1 + 1e-9)


def agreement(rows: Sequence[Row], quantity: str) -> dict[str, Any]:
    """How our figures agree with the published ones after one factor, the least-squares line through the origin."""
    ours = np.array([getattr(row, quantity) for row in rows])
    theirs = np.array([row.published[quantity] for row in rows])
    factor = float(ours @ theirs / (ours @ ours))
    pairs = [(i, j) for i, j in itertools.combinations(range(len(rows)), 2) if theirs[i] != theirs[j]]
    right = sum((ours[i] - ours[j]) * (theirs[i] - theirs[j]) > 0 for i, j in pairs)
    large = theirs > SMALL * theirs.max()
    relative = np.zeros_like(ours)
    np.divide(factor * ours, theirs, out=relative, where=theirs > 0)
    relative[theirs > 0] -= 1
    worst = [k for k in np.argsort(-np.abs(relative)) if large[k]][:OUTLIERS]
    return {
        "circuits": len(rows),
        "factor": factor,
        "pearson": float(np.corrcoef(ours, theirs)[0, 1]),
        "spearman": float(spearmanr(ours, theirs).statistic),
        "mean_relative_error": float(np.abs(relative[large]).mean()),
        "circuits_in_it": int(large.sum()),
        "right_order": float(right / len(pairs)),
        "pairs": len(pairs),
        "worst": {rows[k].name: float(relative[k]) for k in worst},
        "mean_difference_of_largest": float(np.abs(factor * ours - theirs).mean() / theirs.max()),
    }


def documents(path: Path, kind: str) -> list[dict[str, str]]:
    """Published rows of one kind."""
    family, groups = KINDS[kind]
    with path.open(newline="", encoding="utf-8") as handle:
        found = [row for row in csv.DictReader(handle) if row["kind"] == family and row["group"] in groups]
    return sorted(found, key=lambda row: (groups.index(row["group"]), row["name"]))


def files(folder: Path) -> dict[str, Path]:
    """Verilog files by name; circuits of several sub-sets are stored several times."""
    return {path.stem: path for path in sorted(folder.rglob("*.v"), reverse=True)}


def show(rows: Sequence[Row], summary: Mapping[str, Any]) -> None:
    """Tables for people."""
    print(f"{'circuit':14} {'gates':>6} {'um2':>8} {'published':>9} {'pJ':>8} {'mW':>7} {'ns':>6} {'published':>9}")
    for r in rows:
        print(
            f"{r.name:14} {r.gates:6} {r.area_um2:8.1f} {r.published['area_um2']:9.1f} {r.energy_pj:8.4f} "
            f"{r.published['energy_pj']:7.3f} {r.delay_ns:6.3f} {r.published['delay_ns']:9.2f}"
        )
    for key, value in summary.items():
        print(f"{key}: {value}")


def summarise(rows: Sequence[Row], missing: Sequence[str], flow: Flow, wall_s: float) -> dict[str, Any]:
    """Agreement over all circuits, over each group and by structure, and error metrics."""
    checked = [row for row in rows if row.wrong_metrics is not None]
    groups = {row.group: [r for r in rows if r.group == row.group] for row in rows}
    groups["mostly full adders"] = [row for row in rows if row.full_adder_share >= MOSTLY_ADDERS]
    groups["other structures"] = [row for row in rows if row.full_adder_share < MOSTLY_ADDERS]
    return {
        "flow": flow,
        "missing": list(missing),
        "all": {quantity: agreement(rows, quantity) for quantity in QUANTITIES},
        "groups": {
            name: {quantity: agreement(several, quantity) for quantity in QUANTITIES}
            for name, several in groups.items()
            if 2 < len(several) < len(rows) and all(len({r.published[q] for r in several}) > 1 for q in QUANTITIES)
        },
        "pearson_of_area_and_published_power": float(
            np.corrcoef([r.area_um2 for r in rows], [r.published["energy_pj"] for r in rows])[0, 1]
        ),
        "metrics_checked": len(METRICS) * len(checked),
        "metrics_wrong": {row.name: row.wrong_metrics for row in checked if row.wrong_metrics},
        "import_s": sum(row.import_s for row in rows),
        "characterise_s": sum(row.characterise_s for row in rows),
        "wall_s": wall_s,
    }


def main() -> None:
    """Measure all circuits of one kind and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="copy of the library")
    parser.add_argument("--metrics", type=Path, required=True, help="table of published figures")
    parser.add_argument("--kind", choices=KINDS, default="mul8", help="which circuits; mul8 if not given")
    parser.add_argument("--flow", choices=("yosys", "netlist"), default="yosys", help="mapped, or as in the file")
    parser.add_argument("--without", default="", help="circuits left out, joined by commas")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    published, paths = documents(options.metrics, options.kind), files(options.folder)
    without = set(filter(None, options.without.split(",")))
    if unknown := without - {row["name"] for row in published}:
        parser.error(f"--without names {', '.join(sorted(unknown))}, not among the circuits of {options.kind}")
    published = [row for row in published if row["name"] not in without]
    present = [row for row in published if row["name"] in paths]
    if len(present) < 3:
        parser.error(f"{options.folder} holds {len(present)} of the {len(published)} circuits; 3 or more are needed")
    start = time.perf_counter()
    rows = []
    for i, row in enumerate(present, start=1):
        print(f"{i} of {len(present)}: {row['name']}", file=sys.stderr, flush=True)
        rows.append(measure(row, paths[row["name"]], options.flow))
    missing = [row["name"] for row in published if row["name"] not in paths]
    summary = summarise(rows, missing, options.flow, time.perf_counter() - start)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "summary": summary}))
    else:
        show(rows, summary)
    if summary["metrics_wrong"]:
        raise SystemExit(f"other error metrics than published: {', '.join(summary['metrics_wrong'])}")


if __name__ == "__main__":
    main()
