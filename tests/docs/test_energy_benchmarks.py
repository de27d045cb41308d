"""The benchmarks of energy and of EvoApproxLib run, and their documents are consistent. Nothing is timed."""

from __future__ import annotations

import csv
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from laxity.circuits import adder_catalogue, catalogue, default_library
from laxity.circuits.activity import switching_energy
from laxity.circuits.synthesis import uniform_streams
from laxity.circuits.timing import delay_ns
from laxity.circuits.verilog import to_verilog

FOLDER = Path(__file__).parents[2] / "benchmarks"
CONDITIONS = {f"{operands}/{delays}" for operands in ("uniform", "trace") for delays in ("zero", "inertial")}
FACTORS = {"area_um2": 1.25, "energy_pj": 0.5, "delay_ns": 1.125}
COLUMNS = ("mae", "wce", "ep_pct", "mre_pct", "wcre_pct", "mse")


def run(script: str, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(FOLDER / script), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def evoapprox(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("evoapprox")
    del sys.modules["evoapprox"]


@pytest.mark.slow
def test_energy(tmp_path: Path) -> None:
    done = run("energy.py", "--json", "--quick", "--samples", 100, "--figure", tmp_path / "savings.svg")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    rows = {row["name"]: row for row in document["rows"]}
    assert list(rows) == ["dadda8", "coltrunc8_6", "drum8_4", "mitchell8"]
    assert [layer["macs"] > 0 for layer in document["layers"]] == [True, True]
    for row in rows.values():
        assert row["alone"].keys() == CONDITIONS | {"resting/zero", "resting/inertial"}
        assert row["element"].keys() == CONDITIONS
        for saving in [*row["alone"].values(), *row["element"].values()]:
            assert saving["low"] - 1e-12 <= saving["mean"] <= saving["high"] + 1e-12
        circuit = catalogue.circuit(row["name"])
        settled = switching_energy(circuit, uniform_streams(circuit), default_library(), "zero").energy_pj
        assert row["alone_pj"]["uniform/zero"] == pytest.approx(settled)
    exact = rows["dadda8"]
    assert all(s["mean"] == 0 for scope in ("alone", "element") for s in exact[scope].values())
    for row in rows.values():
        for key, energy in row["alone_pj"].items():
            assert row["alone"][key]["mean"] == pytest.approx(1 - energy / exact["alone_pj"][key])
        for key, parts in row["element_pj"].items():
            total, baseline = sum(parts.values()), sum(exact["element_pj"][key].values())
            assert row["element"][key]["mean"] == pytest.approx(1 - total / baseline)
            assert row["element_pj"][key]["clock"] == exact["element_pj"][key]["clock"]
    turned = [
        n for n, r in rows.items() if r["alone"]["uniform/zero"]["mean"] > 0 > r["alone"]["trace/inertial"]["mean"]
    ]
    assert document["summary"]["alone"]["good_then_bad"] == turned
    drawn = ET.parse(tmp_path / "savings.svg").getroot()
    labels = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"coltrunc8_6", "drum8_4", "mitchell8"} <= set(labels)


def published(name: str, kind: str, **changes: Any) -> dict[str, Any]:
    """A row as the library publishes it, from our own figures times known factors."""
    family = catalogue if kind == "multiplier" else adder_catalogue
    circuit, library = family.circuit(name), default_library()
    energy = switching_energy(circuit, uniform_streams(circuit), library, "zero").energy_pj
    if kind == "multiplier":
        codes = np.arange(256)
        exact, found = np.multiply.outer(codes, codes), catalogue.get(name).table
    else:
        a, b = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
        exact, found = a + b, adder_catalogue.get(name).add(a, b)
    error = np.abs(found - exact)
    relative = error[exact > 0] / exact[exact > 0]
    values = (error.mean(), error.max(), 100 * (error > 0).mean(), 100 * relative.mean(), 100 * relative.max())
    return {
        "name": name,
        "kind": kind,
        "group": "8x8_unsigned" if kind == "multiplier" else "8_unsigned",
        "signed": 0,
        "bits_a": 8,
        **{column: f"{value:.6f}" for column, value in zip(COLUMNS, (*values, (error**2).mean()), strict=True)},
        "area_um2_pdk45": FACTORS["area_um2"] * library.area_um2(circuit),
        "power_mw_pdk45": FACTORS["energy_pj"] * energy,
        "delay_ns_pdk45": FACTORS["delay_ns"] * delay_ns(circuit, library),
        **changes,
    }


def library_of(folder: Path, kind: str, rows: list[dict[str, Any]]) -> list[object]:
    family = catalogue if kind == "multiplier" else adder_catalogue
    for row in rows:
        path = folder / "sub" / f"{row['name']}.v"
        path.parent.mkdir(exist_ok=True)
        path.write_text(to_verilog(family.circuit(row["name"])), encoding="utf-8")
    with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return ["--folder", folder, "--metrics", folder / "metrics.csv", "--flow", "netlist", "--json"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "option", "names"),
    [
        ("multiplier", "mul8", ["dadda8", "coltrunc8_6", "bam8_6_2", "perf8_0_2"]),
        ("adder", "add8", ["ripple8", "loa8_4", "trunc8_2"]),
    ],
)
def test_known_factors_are_found(kind: str, option: str, names: list[str], tmp_path: Path) -> None:
    options = library_of(tmp_path, kind, [published(name, kind) for name in names])
    done = run("evoapprox.py", *options, "--kind", option)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["name"] for row in document["rows"]] == sorted(names)
    summary = document["summary"]
    assert (summary["missing"], summary["metrics_wrong"]) == ([], {})
    assert summary["metrics_checked"] == 6 * len(names)
    for quantity, factor in FACTORS.items():
        found = summary["all"][quantity]
        assert found["factor"] == pytest.approx(factor, rel=1e-3), quantity
        assert found["pearson"] == pytest.approx(1, abs=1e-4)
        assert found["right_order"] == 1
        assert found["mean_relative_error"] < 2e-3


@pytest.mark.slow
def test_wrong_metrics_and_missing_files_are_told(tmp_path: Path) -> None:
    rows = [published(name, "multiplier") for name in ("dadda8", "coltrunc8_6", "bam8_6_2")]
    rows[1]["wce"] = 1 + float(rows[1]["wce"])
    options = library_of(tmp_path, "multiplier", rows)
    done = run("evoapprox.py", *options)
    assert done.returncode == 1
    assert "coltrunc8_6" in done.stderr.splitlines()[-1]
    assert json.loads(done.stdout)["summary"]["metrics_wrong"] == {"coltrunc8_6": ["wce"]}
    done = run("evoapprox.py", *options, "--without", "coltrunc8_6,drum8_4")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("--without names drum8_4, not among the circuits of mul8")
    (tmp_path / "sub" / "dadda8.v").unlink()
    done = run("evoapprox.py", *options)
    assert done.returncode == 2
    assert "holds 2 of the 3 circuits" in done.stderr


def test_agreement(evoapprox: ModuleType) -> None:
    """By hand: factor 14 / 14 = 1 for ours (1, 2, 3) and theirs (3, 1, 3); one of two unequal pairs is right."""
    ours, theirs = (1.0, 2.0, 3.0), (3.0, 1.0, 3.0)
    base = evoapprox.Row("x", "g", 1, 0.0, 0.0, 0.0, 0.0, {}, None, 0.0, 0.0)
    rows = [
        replace(base, name=str(k), area_um2=x, published={"area_um2": y})
        for k, (x, y) in enumerate(zip(ours, theirs, strict=True))
    ]
    found = evoapprox.agreement(rows, "area_um2")
    assert found["factor"] == pytest.approx((3 + 2 + 9) / 14)
    assert (found["pairs"], found["right_order"]) == (2, 0.5)
    assert found["mean_relative_error"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["pearson"] == pytest.approx(0)
    assert list(found["worst"]) == ["1", "0", "2"]


def test_adder_metrics_without_carry_out_leave_overflow_out(evoapprox: ModuleType) -> None:
    full = adder_catalogue.circuit("ripple8")
    carry_less = replace(full, outputs=(replace(full.outputs[0], nets=full.outputs[0].nets[:8]),))
    found = evoapprox._addition_errors(carry_less, signed=True)
    assert (found.wce, found.pairs) == (0, sum(256 - abs(a) for a in range(-128, 128)))
