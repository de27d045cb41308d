"""A deterministic, clearly synthetic run folder with every part that a report shows."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.circuits import catalogue
from laxity.core.estimate import Basis, Estimate
from laxity.core.plan import Recovery
from laxity.core.records import Evaluation, Quality, Reliability
from laxity.core.seeds import stream
from laxity.core.serial import content_key, to_json

SAMPLES = 540
BASE = 0.978
SITES = (
    ("stem.conv", "conv2d", 92_160, 144),
    ("stage1.0.conv1", "conv2d", 589_824, 2_304),
    ("stage1.0.conv2", "conv2d", 589_824, 2_304),
    ("stage2.0.conv1", "conv2d", 294_912, 4_608),
    ("stage2.0.conv2", "conv2d", 589_824, 9_216),
    ("head.fc1", "linear", 32_768, 32_768),
    ("head.fc2", "linear", 640, 640),
)
CHOICES = {
    "stem.conv": {"operand": "INT8", "multiplier": "drum8_4"},
    "stage1.0.conv1": {"structure": "keep 75 %", "operand": "w4 a8", "multiplier": "bam8_6_2"},
    "stage1.0.conv2": {"operand": "w4 a6", "multiplier": "drum8_4"},
    "stage2.0.conv1": {"structure": "keep 50 %", "operand": "w4 a8", "multiplier": "bam8_6_2"},
    "stage2.0.conv2": {"structure": "keep 50 %", "operand": "w3 a6", "skip": "perforate 1/4", "multiplier": "drum8_4"},
    "head.fc1": {"structure": "keep 25 %", "operand": "w4 a8"},
    "head.fc2": {},
}
CANDIDATES = (
    ("data", "operand", "w6 a8", 0.0004),
    ("data", "operand", "w4 a8", 0.012),
    ("data", "operand", "w4 a6", 0.03),
    ("data", "operand", "w3 a6", 0.11),
    ("software", "structure", "keep 75 %", 0.006),
    ("software", "structure", "keep 50 %", 0.05),
    ("software", "structure", "keep 25 %", 0.4),
    ("software", "skip", "perforate 1/4", 0.02),
    ("hardware", "multiplier", "drum8_6", -0.0002),
    ("hardware", "multiplier", "drum8_4", 0.004),
    ("hardware", "multiplier", "bam8_6_2", 0.015),
    ("hardware", "multiplier", "mitchell8", 0.08),
)
COMPONENTS = (
    ("multiplier", 0.24, Basis.SYNTHESISED, "synthetic cell library, typical corner"),
    ("adder", 0.08, Basis.SYNTHESISED, "synthetic cell library, typical corner"),
    ("registers", 0.17, Basis.PUBLISHED, "an invented table of register energies, for tests only"),
    ("sram", 0.28, Basis.SCALED, "an invented memory figure scaled from 65 nm to 45 nm"),
    ("dram", 0.23, Basis.MODELLED, "an invented constant per bit"),
)
LEVEL_FLOORS = {"data": 0.56, "software": 0.6, "hardware": 0.71, "cross": 0.33}


def interval(value: float, samples: int = SAMPLES) -> tuple[float, float]:
    """A normal interval, good enough for drawing."""
    half = 1.96 * math.sqrt(max(value * (1 - value), 1e-4) / samples)
    return max(0.0, value - half), min(1.0, value + half)


def quality(value: float, split: str = "validation") -> Quality:
    low, high = interval(value)
    return Quality("accuracy", value, low, high, 3.2 * (1 - value), SAMPLES, split)


def search_points() -> list[dict[str, Any]]:
    """Plans of all four searches: cheap plans lose accuracy, cross-layer plans least."""
    rng = stream(7, "report fixture")
    found = []
    for level, floor in LEVEL_FLOORS.items():
        for index in range(70 if level == "cross" else 26):
            ratio = floor + (1 - floor) * float(rng.beta(1.2, 1.5))
            edge = math.exp(-8.5 * (ratio - floor * 0.93) / (1 - floor))
            value = BASE - 0.32 * edge - abs(float(rng.normal(0, 0.006))) - 0.4 * float(rng.random() < 0.06)
            stage = "sensitivity" if index % 5 == 0 else "recovery" if index % 11 == 3 else "search"
            found.append(point(level, stage, min(1.0, round(value * SAMPLES) / SAMPLES), ratio, index))
    return found


def select(points: list[dict[str, Any]], key: str, ratio: float) -> None:
    """Stretch the cross-layer plans so that the best one in budget costs `ratio`, give it `key`, mark the front."""
    best = min(
        (p for p in points if p["level"] == "cross" and BASE - p["quality"] <= 0.01), key=lambda p: p["energy_ratio"]
    )
    stretch = (1 - ratio) / (1 - best["energy_ratio"])
    for p in points:
        if p["level"] == "cross":
            p["energy_ratio"] = 1 - (1 - p["energy_ratio"]) * stretch
    best["plan_key"] = key
    for p in points:
        p["on_front"] = not any(q["quality"] >= p["quality"] and q["energy_ratio"] < p["energy_ratio"] for q in points)


def point(level: str, stage: str, value: float, ratio: float, index: int) -> dict[str, Any]:
    low, high = interval(value)
    return {
        "plan_key": content_key([level, index]),
        "level": level,
        "stage": stage,
        "quality": value,
        "low": low,
        "high": high,
        "energy_ratio": ratio,
        "energy_pj": ratio * 2_400_000.0,
        "area_um2": 310_000 * (0.5 + ratio / 2),
        "latency_cycles": 61_000 * (0.6 + 0.4 * ratio),
        "on_front": False,
        "label": f"{level} plan {index}: w4 a8, drum8_4 in 5 of 7 sites",
    }


def best_of(points: list[dict[str, Any]], level: str, budget: float) -> dict[str, Any]:
    members = [p for p in points if p["level"] == level and BASE - p["quality"] <= budget]
    best = min(members, key=lambda p: p["energy_ratio"])
    return {k: best[k] for k in ("plan_key", "energy_ratio", "quality", "label")} | {
        "drop": BASE - best["quality"],
        "met": True,
    }


def energies(macs: float, factor: dict[str, float]) -> dict[str, Estimate]:
    parts = {}
    for name, share, basis, source in COMPONENTS:
        value = macs * share * factor.get(name, 1.0)
        spread = 0.0 if basis is Basis.SYNTHESISED else 0.2
        parts[name] = Estimate(value, value * (1 - spread), value * (1 + spread), "pJ", basis, source)
    return parts


def details() -> dict[str, Any]:
    sites = []
    for name, kind, macs, weights in SITES:
        choices = CHOICES[name]
        saved = 0.85 - 0.13 * len(choices) if choices else 1.0
        factor = {"multiplier": saved * (0.55 if "multiplier" in choices else 1), "adder": saved, "registers": saved}
        factor |= {"sram": saved * 0.95, "dram": saved * 0.7 if "operand" in choices else 1.0}
        exact, after = energies(macs, {}), energies(macs, factor)
        sites.append(
            {"name": name, "kind": kind, "macs": macs, "weights": weights, "choices": choices}
            | {"int8_exact": exact, "approximated": after}
        )
    totals = {
        key: total_of([s[key] for s in sites], scale) for key, scale in (("int8_exact", 1), ("approximated", 0.6))
    }
    used = {"drum8_4": ["stem.conv", "stage1.0.conv2", "stage2.0.conv2"], "bam8_6_2": ["stage1.0.conv1"]}
    keys = ("name", "area_um2", "delay_ns", "gates", "ep", "med", "wce", "mred", "nmed", "bias", "table_sha256")
    circuits = []
    for name, places in used.items():
        facts = catalogue.describe(name)
        circuits.append({k: facts[k] for k in keys} | {"sites": places})
    return {"sites": sites, "totals": totals, "circuits": circuits, "faults": faults()}


def total_of(sites: list[dict[str, Estimate]], scale: float) -> dict[str, Estimate]:
    model = "an invented array of 16 x 16 elements"
    return {
        "energy_pj": Estimate.total((e for s in sites for e in s.values()), "pJ"),
        "area_um2": Estimate(310_000 * scale, 290_000 * scale, 340_000 * scale, "um2", Basis.SYNTHESISED, model),
        "latency_cycles": Estimate.point(round(61_440 * (0.5 + scale / 2)), "cycles", Basis.MODELLED, model),
        "memory_bits": Estimate.point(round(415_872 * scale), "bit", Basis.MEASURED, "size of the stored weights"),
    }


def faults() -> dict[str, list[Reliability]]:
    found = {}
    for name, knee in (("original", 3e-6), ("int8_exact", 6e-4), ("approximated", 4e-4)):
        rows = []
        for rate in (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2):
            value = 0.1 + (BASE - 0.11) / (1 + (rate / (knee * 3)) ** 1.3)
            half = 0.05 * math.exp(-((math.log10(max(rate, 1e-9)) - math.log10(knee * 3)) ** 2) / 1.2) + 0.003
            rows.append(
                Reliability("bits of stored weights", rate, value, value - half, value + half, 40, 270, BASE - value)
            )
        found[name] = rows
    return found


def journal(points: list[dict[str, Any]]) -> str:
    lines = []
    for p in points:
        record = Evaluation(
            plan_key=p["plan_key"],
            plan={"sites": {}, "recovery": None},
            task="synthetic digits",
            fingerprint="0123456789abcdef",
            target="invented-array",
            seed=7,
            stage=p["stage"],
            level=p["level"],
            quality=quality(p["quality"]),
            drop=BASE - p["quality"],
            drop_error=0.004,
            disagreement=0.02,
            divergence=0.01,
            energy_pj=p["energy_pj"],
            energy_ratio=p["energy_ratio"],
            area_um2=p["area_um2"],
            latency_cycles=p["latency_cycles"],
            memory_bits=250_000.0,
            seconds=0.4,
            versions={"laxity": "0.1.0"},
        )
        lines.append(json.dumps(record.to_json()))
    return "\n".join(lines) + "\n"


def hardware(cost: dict[str, Any]) -> dict[str, Any]:
    """What lies behind the costs; cycles add up to the latency."""
    found = {}
    for key, scale, units in (("int8_exact", 1.0, ["dadda8"]), ("approximated", 0.7, ["bam8_6_2", "drum8_4"])):
        left = cost["totals"][key]["latency_cycles"].value
        uses = []
        for index, (name, _, macs, _) in enumerate(SITES):
            cycles = left if index == len(SITES) - 1 else left // 3
            left -= cycles
            product = {"multiplier": 0.4 * scale, "adder": 0.25, "registers": 0.2, "clock": 0.5 + 0.01 * index}
            uses.append(
                {
                    "site": name,
                    "unit": units[index % len(units)],
                    "macs": macs * scale,
                    "cycles": cycles,
                    "utilisation": 0.1 + 0.1 * index,
                    "moved_bits": {"sram": 9.0 * macs * scale, "dram": 64.0 * (index + 1)},
                    "product_pj": product,
                    "uniform_pj": {part: 1.5 * value for part, value in product.items()},
                    "sampled": True,
                }
            )
        element = {
            "units": units,
            "instances": 256,
            "flip_flops": 39,
            "area_um2": {"multiplier": 610.0 * scale, "adder": 270.0, "selection": 0.0, "registers": 311.0},
            "delay_ns": {unit: 2.3 + 0.3 * i for i, unit in enumerate(units)},
            "register_ns": 0.2,
            "period_ns": 5.0,
        }
        found[key] = {"element": element, "sites": uses}
    return found


STEPS = (("conv1", "product", 1202, 9216), (":pool#0", "pool", 300, 0), ("linear", "product", 292, 1280))


def accelerator() -> dict[str, Any]:
    """Every file that ``laxity rtl`` writes beside the plan, with invented figures that add up."""
    steps, checks, energies = [], [], []
    for index, (name, kind, cycles, macs) in enumerate(STEPS):
        step = {"name": name, "kind": kind, "cycles": cycles}
        words = {
            "weight_reads": macs // 64,
            "activation_reads": 1152,
            "activation_writes": 128,
            "accumulator_reads": 1024 * (macs > 0),
            "accumulator_writes": 1024 * (macs > 0),
        }
        steps.append(step | {"passes": 2, "macs": macs, "utilisation": macs / (64 * cycles)} | words)
        codes = {"codes": 4096 + index, "wrong_codes": 0, "sums": 2048 * (macs > 0), "wrong_sums": 0}
        checks.append({"name": name, "kind": kind, "cycles": cycles, "planned_cycles": cycles} | codes)
        logic = 20.0 * cycles + macs
        parts = {"logic_glitch_pj": 1.25 * logic, "clock_pj": 5.0 * cycles, "memory_pj": 900.0, "leakage_pj": 40.0}
        interval = {"logic_glitch_low_pj": 1.2 * logic, "logic_glitch_high_pj": 1.31 * logic}
        energies.append(step | {"logic_pj": logic} | parts | interval | {"energy_pj": sum(parts.values())})
    cycles = sum(s["cycles"] for s in steps)
    utilisation = sum(s["macs"] for s in steps) / (64 * cycles)
    size = {"rows": 8, "columns": 8, "dataflow": "weight-stationary", "accumulator_words": None}
    facts = {"configuration": size, "images": 3, "input_shape": [1, 8, 8], "multipliers": ["drum8_4", "bam8_6_2"]}
    facts |= {"cycles": cycles, "utilisation": utilisation, "parameters": {"ROWS": 8}, "steps": steps}
    simulation = {"tool": "simulator 12.0", "images": 3, "steps": checks, "results": 30, "wrong_results": 0}
    simulation |= {"passed": True, "message": "PASS 3 images", "time_s": 4.2, "mismatches": 0}
    simulation["compared"] = 30 + sum(c["codes"] + c["sums"] for c in checks)
    return {"accelerator.json": facts, "simulation.json": simulation, **fpga(), "silicon.json": silicon(energies)}


def fpga() -> dict[str, Any]:
    module = {"instances": 64, "lut": 290, "carry": 12, "ff": 39, "bram": 0, "lutram": 0, "dsp": 0}
    total = {"lut": 21_507, "carry": 1_310, "ff": 4_711, "dsp": 0, "bram": 6.5, "lutram": 96}
    total |= {"modules": {"element": module}, "tool": "synthesis 0.1"}
    placement = {"device": "LFE5U-85F", "frequency_mhz": 51.7, "bitstream_bytes": 1_938_771, "seed": 1, "tools": "P 1"}
    return {
        "fpga_xilinx7.json": {"family": "xilinx7", **total, "placement": None},
        "fpga_ecp5.json": {"family": "ecp5", **total, "placement": placement},
    }


def silicon(steps: list[dict[str, Any]]) -> dict[str, Any]:
    part = {"cells": 1000, "flip_flops": 100, "leakage_nw": 1e5}
    parts = (("vector", 2), ("array", 4), ("control", 1))
    memory = {"words": 448, "bits": 64, "area_um2": 44_000.0, "read_pj": 5.1, "write_pj": 6.2, "leakage_nw": 3e5}
    return {
        "library": "an invented cell table",
        "tool": "mapper 0.9",
        "area_um2": 161_000.0,
        "memory_area_um2": 88_000.0,
        "delay_ns": 3.1,
        "critical_path": ["array.element.a[0]", "array.element.p[15]"],
        "leakage_nw": 1.2e6,
        "flip_flops": 4_711,
        "parts": [{"name": name, "area_um2": 23_000.0 * k, **part} for name, k in parts],
        "memories": [{"name": name, **memory} for name in ("activations", "weights")],
        "images": 3,
        "frequency_mhz": 200.0,
        "steps": steps,
        "energy_pj": sum(step["energy_pj"] for step in steps),
    }


def manifest() -> dict[str, Any]:
    constants = [
        {"name": f"{n} energy", "value": round(share * 3.1, 3), "unit": "pJ", "basis": basis.value, "source": source}
        for n, share, basis, source in COMPONENTS
    ]
    versions = {"python": "3.11.2", "torch": "2.13.0", "numpy": "2.4.1", "optuna": "4.5.0", "torch-pruning": None}
    return {
        "laxity": "0.1.0",
        "command": "laxity optimize synthetic-digits --target invented-array --max-drop 0.01 --seed 7",
        "created": "2026-01-02T03:04:05+00:00",
        "seed": 7,
        "versions": versions,
        "task": {
            "name": "synthetic digits",
            "fingerprint": "0123456789abcdef",
            "notes": "An invented task: every figure of this run is synthetic.",
            "samples": {"train": 1000, "calibration": 128, "validation": SAMPLES, "test": SAMPLES},
        },
        "target": {
            "name": "invented-array",
            "description": "A weight-stationary array that does not exist.",
            "constants": constants,
        },
        "max_drop": 0.01,
        "options": {"searcher": "evolutionary", "trials": 148},
        "seconds": 84.2,
    }


def metrics(cost: dict[str, Any], evaluations: int) -> dict[str, Any]:
    before, after = (cost["totals"][k]["energy_pj"].value for k in ("int8_exact", "approximated"))
    base, value = 0.9759, 0.9722
    return {
        "task": "synthetic digits",
        "target": "invented-array",
        "seed": 7,
        "split": "test",
        "samples": SAMPLES,
        "baseline": dict(zip(("value", "low", "high"), (base, *interval(base)), strict=True)),
        "approximated": dict(zip(("value", "low", "high"), (value, *interval(value)), strict=True)),
        "drop": base - value,
        "drop_interval": {"low": -0.0045, "high": 0.0119},
        "energy_pj": {"int8_exact": before, "approximated": after, "ratio": after / before},
        "single_level": {"data": None, "software": None, "hardware": None},
        "cross_level": None,
        "evaluations": evaluations,
        "seconds": 84.2,
        "met": True,
    }


def sensitivity() -> list[dict[str, Any]]:
    rng = stream(7, "report fixture", "sensitivity")
    return [
        {
            "site": name,
            "slot": slot,
            "level": level,
            "kind": slot,
            "label": label,
            "loss_increase": loss * float(rng.lognormal(0, 0.8)) * (2 if index == 0 else 1),
            "energy_ratio": 1 - 0.3 * macs / 1e6,
        }
        for index, (name, _, macs, _) in enumerate(SITES)
        for level, slot, label, loss in CANDIDATES
        if not (slot == "skip" and name.startswith("head"))
    ]


def repair(index: int, after: float, **more: Any) -> dict[str, Any]:
    way = Recovery(epochs=3, learning_rate=1e-3 * (index + 1))
    return {
        "plan_key": content_key(["repair", index]),
        "label": f"w4a8 x{index}",
        "recovery": to_json(way),
        "energy_ratio": 0.4 + 0.1 * index,
        "before": after - 0.3,
        "after": after,
        "divergence_before": 0.5,
        "divergence": 0.01 * (index + 1),
        "drop": BASE - after,
        "curve": [{"loss": 1 / (e + 1), "accuracy": after - 0.1 / (e + 1)} for e in range(3)],
        **more,
    }


def recovery() -> dict[str, Any]:
    """How accuracy was repaired, with invented figures."""
    rows = [repair(i, 0.94 + 0.01 * i, level=level, met=i > 1) for i, level in enumerate(LEVEL_FLOORS)]
    names = ("original", "exact INT8", "approximated, untreated", "statistics re-estimated", "trained")
    values = (0.9759, 0.97, 0.41, 0.88, 0.9722)
    stages = [
        {"name": n, "value": v, "low": interval(v)[0], "high": interval(v)[1], "drop": values[0] - v}
        for n, v in zip(names, values, strict=True)
    ]
    trial = [repair(i, 0.96, chosen=i == 1) for i in range(3)]
    return {
        "max_drop": 0.01,
        "original": BASE,
        "usual": to_json(Recovery(epochs=3)),
        "circuits": None,
        "trials": [{"question": "recovery of all plans", "rows": trial}],
        "repaired": rows,
        "selected": rows[2]["plan_key"],
        "stages": stages,
    }


def documents() -> dict[str, Any]:
    """Every file of the run: path to its value, or to its text."""
    points, cost = search_points(), details()
    cost["hardware"] = hardware(cost)
    before = cost["totals"]["int8_exact"]["energy_pj"].value
    plan = {n: {s: {"kind": "synthetic", "label": v} for s, v in c.items()} for n, c in CHOICES.items() if c}
    key = content_key({"sites": plan, "recovery": None})
    select(points, key, cost["totals"]["approximated"]["energy_pj"].value / before)
    levels = {level: best_of(points, level, 0.01) for level in LEVEL_FLOORS}
    return {
        "manifest.json": manifest(),
        "evaluations.jsonl": journal(points),
        "front.json": {
            "baseline": {"quality": quality(BASE), "energy_pj": 9.3 * before},
            "int8_exact": {"quality": quality(0.9765), "energy_pj": before, "energy_ratio": 1.0},
            "points": points,
            "levels": levels,
            "selected": key,
        },
        "sensitivity.json": sensitivity(),
        "recovery.json": recovery(),
        "best/plan.json": {"sites": plan, "recovery": None},
        "best/metrics.json": metrics(cost, len(points)),
        "best/details.json": cost,
        **{f"best/accelerator/{name}": document for name, document in accelerator().items()},
        "config.toml": 'task = "synthetic-digits"\ntarget = "invented-array"\nmax_drop = 0.01\nseed = 7\n',
    }


def write_run(folder: Path, files: dict[str, Any]) -> Path:
    """Write the files of a run."""
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(to_json(value)), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("report") / "run", documents())


@pytest.fixture
def run_folder(_pristine: Path, tmp_path: Path) -> Path:
    """A fresh copy of the synthetic run, free to be changed."""
    return shutil.copytree(_pristine, tmp_path / "run")


@pytest.fixture
def edit() -> Callable[[Path, Callable[[Any], None]], None]:
    """Change a JSON file in place: ``edit(path, change)`` calls ``change(document)``."""

    def apply(path: Path, change: Callable[[Any], None]) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(json.dumps(document), encoding="utf-8")

    return apply
