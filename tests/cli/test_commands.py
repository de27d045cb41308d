"""Every command does its job, and standard output carries the result only."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laxity.circuits import adder_catalogue, catalogue
from laxity.kernels import native

from .conftest import TINY, Own, call, execute

COMMANDS = [
    "demo",
    "optimize",
    "evaluate",
    "faults",
    "sweep",
    "harden",
    "report",
    "train",
    "sites",
    "list",
    "doctor",
    "circuits",
    "rtl",
]
METRICS = {"task", "target", "seed", "split", "samples", "baseline", "approximated", "drop", "energy_pj"}
CIRCUIT = {
    *("name", "a_bits", "b_bits", "signed", "gates", "ep", "med", "wce", "mred", "max_red", "nmed", "mse", "bias"),
    "table_sha256",
}


def document(*words: object) -> Any:
    outcome = call(*words, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


@pytest.mark.parametrize("words", [[], *([c] for c in COMMANDS), ["circuits", "list"], ["circuits", "show"]])
def test_help_of_every_command(words: list[str]) -> None:
    outcome = call(*words, "--help")
    assert outcome.code == 0
    assert "Usage: laxity" in outcome.out
    assert outcome.err == ""


def test_the_command_line_is_light() -> None:
    light = "import sys, laxity.cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0
    no_torch = (
        "import sys; from typer.testing import CliRunner; from laxity.cli import app; "
        "r = CliRunner().invoke(app, ['circuits', 'list']); sys.exit(r.exit_code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", no_torch], check=False).returncode == 0


@pytest.mark.slow
def test_optimize_from_end_to_end(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    words = ["optimize", "digits", "--config", "tiny.toml", "--out", "runs/small one", "--workers", "1", "--json"]
    outcome = execute(*words, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "runs" / "small one"
    printed = json.loads(outcome.out)
    stored = json.loads((folder / "best" / "metrics.json").read_text())
    assert {k: v for k, v in printed.items() if k != "report"} == stored
    assert printed.keys() >= METRICS | {"single_level", "cross_level", "evaluations", "seconds"}
    assert printed["report"] == "runs/small one/report.html"
    assert printed["baseline"]["value"] >= 0.97
    assert math.isclose(
        printed["energy_pj"]["ratio"], printed["energy_pj"]["approximated"] / printed["energy_pj"]["int8_exact"]
    )
    for name in ("config.toml", "manifest.json", "evaluations.jsonl", "front.json", "report.html", "log.txt"):
        assert (folder / name).stat().st_size > 0
    for name in ("plan.json", "model.safetensors", "metrics.json", "rtl"):
        assert (folder / "best" / name).exists()
    command = json.loads((folder / "manifest.json").read_text())["command"]
    assert command == "laxity optimize digits --config tiny.toml --out 'runs/small one' --workers 1 --json"
    stages = [line for line in outcome.err.splitlines() if "candidates, everywhere" in line]
    assert len(stages) == 2  # where it begins and where it ends
    assert "best energy ratio in budget" in outcome.err


def test_evaluate_gives_the_figures_of_the_run(finished: Path) -> None:
    stored = json.loads((finished / "best" / "metrics.json").read_text())
    for folder in (finished, finished / "best"):
        found = document("evaluate", folder, "--split", "test")
        assert found.keys() >= METRICS
        assert found == {key: stored[key] for key in found}
    assert document("evaluate", finished, "--split", "validation")["split"] == "validation"


def test_evaluate_prints_percent(finished: Path) -> None:
    accuracy = json.loads((finished / "best" / "metrics.json").read_text())["approximated"]["value"]
    outcome = call("evaluate", finished)
    assert f"{accuracy * 100:.2f}" in outcome.out
    assert "%" in outcome.out
    assert outcome.err == ""


def test_options_win_over_the_file_and_the_file_over_the_effort(own: Own, tmp_path: Path) -> None:
    file, run = tmp_path / "c.toml", tmp_path / "run"
    file.write_text(f"seed = 3\nmax_drop = 0.05\n{TINY}\n[recovery]\nepochs = 3\n")
    words = [file if w == own.config else w for w in own.words(run)]
    assert call(*words, "--seed", 4, "--effort", "quick").code == 0
    written = (run / "config.toml").read_text()
    assert "seed = 4" in written  # option
    assert "max_drop = 0.05" in written  # file
    assert "evaluations = 4" in written  # file, against 20 of the effort
    assert "epochs = 3" in written
    assert 'device = "cpu"' in written  # default


def test_the_task_may_stand_in_the_configuration(own: Own, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[task]\nspec = "mine"\nmodel = "mlp"\nweights = "{own.weights}"\ndata = "{own.data}"\n{TINY}')
    outcome = call("optimize", "--config", file, "--out", tmp_path / "run", "--workers", 1, "--quiet", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["task"] == "mine"
    assert outcome.err == ""  # --quiet


def test_a_table_with_all_levels_and_the_report(own: Own, run_copy: Path) -> None:
    outcome = call(*own.words(run_copy))  # finished already: everything comes from the journal
    assert outcome.code == 0, outcome.err
    for words in ("accuracy, original", "accuracy, approximated", "energy ratio, data alone", "all levels"):
        assert words in outcome.out
    assert f"report: {run_copy / 'report.html'}" in outcome.out


def test_report_is_written_again(run_copy: Path) -> None:
    (run_copy / "report.html").write_text("old")
    outcome = call("report", run_copy)
    assert outcome.code == 0
    assert outcome.out.strip() == str(run_copy / "report.html")
    page = (run_copy / "report.html").read_text()
    assert page.startswith("<!")
    assert "mac-array-45nm" in page


def test_faults_of_a_run_and_of_a_task(finished: Path, own: Own, tmp_path: Path) -> None:
    options = ["--faults", 200, "--workers", 1, "--seed", 1]
    found = document("faults", finished / "best", *options, "--out", tmp_path / "run")
    assert found["networks"].keys() == {"original", "int8_exact", "approximated"}
    for one in found["networks"].values():
        assert one["faults"] == 200
        low, share, high = (one["metrics"]["critical"][k] for k in ("low", "estimate", "high"))
        assert low <= share <= high
    task = ["mine", "--model", "mlp", "--weights", own.weights, "--data", own.data]
    again = document("faults", *task, *options, "--networks", "int8_exact", "--out", tmp_path / "task")
    assert again["networks"].keys() == {"int8_exact"}
    same = ("metrics", "cells", "parts")
    assert all(again["networks"]["int8_exact"][k] == found["networks"]["int8_exact"][k] for k in same)
    rows = (tmp_path / "task" / "int8_exact" / "faults.csv").read_text().splitlines()
    assert len(rows) == 201
    shown = call("faults", finished / "best", *options, "--out", tmp_path / "run")
    assert "accuracy lost" in shown.out
    words = ["--fault", "stuck_at value=1", "--population", "activations", "--networks", "original"]
    stuck = document("faults", "digits", *words, *options, "--out", tmp_path / "stuck")
    sums = document("faults", "digits", "--population", "accumulators", *options, "--out", tmp_path / "sums")
    assert sums["networks"].keys() == {"int8_exact"}
    assert "no integer layer" in sums["left_out"]["original"]
    assert "activations read" in stuck["networks"]["original"]["statement"]


def test_a_network_is_hardened(tmp_path: Path) -> None:
    words = ["harden", "digits", "--fault", "multi_flip count=8", "--max-sdc", 0.004, "--workers", 1]
    words += ["--techniques", "tmr,parity", "--out", tmp_path]
    outcome = call(*words, "--json")
    assert outcome.code in (0, 3), outcome.err
    found = json.loads(outcome.out)
    assert found["chosen"] is None or found["chosen"]["share"]["high"] <= 0.004
    assert (outcome.code == 3) == (found["chosen"] is None)
    page = tmp_path / "report.html"
    assert found.pop("report") == str(page)
    assert found == json.loads((tmp_path / "hardening.json").read_text())
    written = page.read_bytes()
    again = call(*words)
    assert again.code == outcome.code
    assert "within limit" in again.out
    assert f"report: {page}" in again.out
    assert call("report", tmp_path).out.strip() == str(page)
    assert b"laxity harden digits" in written
    for wrong, message in (
        (["--objective", "energy"], "did you mean 'energy_pj'"),
        (["--techniques", "integer"], "protects nothing"),
        (["--max-sdc", 0], "between 0 and 1"),
        (["--metric", "due"], "'critical'"),
    ):
        refused = call("harden", "digits", *wrong, "--out", tmp_path / "refused")
        assert refused.code not in (0, 3)
        assert message in refused.err


def test_faults_that_cannot_be(tmp_path: Path) -> None:
    for words, message in (
        (["--networks", "exact"], "did you mean 'int8_exact'"),
        (["--population", "weight"], "did you mean 'weights'"),
        (["--population", "weights rows=3"], "no option 'rows'"),
        (["--fault", "stuck_at value=2"], "0 or 1"),
        (["--fault", "stuck_at value"], "is no option"),
        (["--half-width", 2], "half_width"),
        (["--confidence", 1], "confidence"),
        (["--population", "neurons", "--networks", "int8_exact"], "'activations'"),
    ):
        outcome = call("faults", "digits", *words, "--out", tmp_path)
        assert outcome.code != 0
        assert message in outcome.err
        assert "Traceback" not in outcome.err


def test_sweep_of_a_run_and_of_a_task(finished: Path, own: Own) -> None:
    options = ["--rates", "0,0.5", "--trials", 3, "--samples", 50]
    found = document("sweep", finished / "best", *options)
    assert found["networks"].keys() == {"original", "int8_exact", "approximated"}
    for clean, broken in found["networks"].values():
        assert (clean["rate_per_bit"], broken["rate_per_bit"]) == (0, 0.5)
        assert clean["sdc"] == 0
        assert clean["value"] == clean["low"] == clean["high"] > 0.9
        assert broken["value"] < clean["value"]
        assert broken["trials"] == 3
        assert broken["samples"] == 50
    task = ["mine", "--model", "mlp", "--weights", own.weights, "--data", own.data]
    again = document("sweep", *task, *options)
    assert again["networks"].keys() == {"original", "int8_exact"}
    assert again["networks"]["int8_exact"] == found["networks"]["int8_exact"]
    assert "0.00 %" in call("sweep", finished, *options).out


def test_sites_of_digits() -> None:
    found = document("sites", "digits")
    assert [(s["name"], s["kind"]) for s in found] == [
        ("conv1", "conv2d"),
        ("conv2", "conv2d"),
        ("conv3", "conv2d"),
        ("linear", "linear"),
    ]
    for site in found:
        if site["kind"] == "conv2d":
            (channels, *_), output, inputs = site["output_shape"], site["output_shape"], site["input_shape"]
            assert site["weights"] == 9 * inputs[0] * channels
            assert site["macs"] == site["weights"] * output[1] * output[2]
        assert "multiplier" in site["slots"]
    assert "conv2" in call("sites", "digits").out


@pytest.mark.parametrize(("options", "width", "signed"), [([], 8, False), (["--width", "4", "--signed"], 4, True)])
def test_circuits_list(options: list[str], width: int, signed: bool) -> None:
    found = document("circuits", "list", *options)
    assert [c["name"] for c in found] == catalogue.names(width, signed=signed)
    for facts in found:
        assert facts.keys() >= CIRCUIT
        assert (facts["a_bits"], facts["b_bits"], facts["signed"]) == (width, width, signed)


def test_circuits_show() -> None:
    found = document("circuits", "show", "coltrunc4_3")
    a, b = np.mgrid[:16, :16]
    product = sum(((a >> i) & 1) * ((b >> j) & 1) << (i + j) for i in range(4) for j in range(4) if i + j >= 3)
    error = product - a * b
    assert found["med"] == pytest.approx(np.abs(error).mean())
    assert found["wce"] == np.abs(error).max()
    assert found["ep"] == pytest.approx((error != 0).mean())
    assert found["bias"] == pytest.approx(error.mean())
    text = call("circuits", "show", "coltrunc4_3", "--verilog").out
    assert "module coltrunc4_3" in text
    assert text.rstrip().endswith("endmodule")
    assert document("circuits", "show", "coltrunc4_3", "--verilog")["verilog"] == text
    assert "table_sha256" in call("circuits", "show", "coltrunc4_3").out


def test_adders_are_listed_and_shown() -> None:
    found = document("circuits", "list", "--kind", "adder", "--width", "8")
    assert [c["name"] for c in found] == adder_catalogue.names(8)
    assert {c["bits"] for c in found} == {8}
    assert document("circuits", "list", "--kind", "adder")[0]["bits"] == 16
    facts = document("circuits", "show", "gear8_2_2")
    assert (facts["ep"], facts["wce"], facts["exhaustive"]) == (0.1875, 64, True)
    assert "module gear8_2_2" in call("circuits", "show", "gear8_2_2", "--verilog").out


def test_list_names_everything() -> None:
    found = document("list")
    names = {kind: {entry["name"] for entry in entries} for kind, entries in found.items()}
    assert names["tasks"] >= {"digits", "mnist", "fashion_mnist", "cifar10"}
    assert names["networks"] >= {"lenet5", "resnet20", "mobilenetv2", "vgg11", "mlp"}
    assert names["targets"] >= {"mac-array-45nm"}
    assert names["techniques"] >= {"integer", "magnitude", "channels", "multiplier", "accumulator", "curable"}
    assert names["adders"] >= {"ripple", "loa", "gear", "aca"}
    assert names["multipliers"] >= {"array", "dadda", "drum", "roba"}
    assert names["fault-models"] >= {"bit_flip"}
    assert all(entry["description"] for entries in found.values() for entry in entries)
    assert document("list", "targets").keys() == {"targets"}


def test_doctor_tells_what_is_there_and_how_to_get_the_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LAXITY_YOSYS", "system")
    monkeypatch.delenv("LAXITY_CHROMIUM", raising=False)
    monkeypatch.chdir(tmp_path)
    found = document("doctor")
    needs = {need["name"]: need for need in found["needs"]}
    assert needs["torch"]["found"]
    assert needs["yosys"]["found"] is None
    assert "yosys" in needs["yosys"]["remedy"]
    assert found["working_folder_writable"] is True
    assert found["devices"][0] == "cpu"
    tool = tmp_path / "iverilog"
    tool.write_text("#!/bin/sh\necho Icarus Verilog version 12.0\n")
    tool.chmod(0o755)
    assert {n["name"]: n["found"] for n in document("doctor")["needs"]}["iverilog"] == "12.0 (system)"
    assert "install the system package yosys" in call("doctor").out


def test_doctor_fails_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc/self")
    outcome = call("doctor")
    assert outcome.code == 1
    assert "cannot be written" in outcome.err


@pytest.fixture
def kernels_looked_for_again() -> Iterator[None]:
    def forget() -> None:
        for cached in (native.compiled, native.levels, native.level):
            cached.cache_clear()

    forget()
    yield
    forget()


@pytest.mark.usefixtures("kernels_looked_for_again")
def test_doctor_says_which_kernels_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(native.VARIABLE, raising=False)
    found = document("doctor")["kernels"]
    assert found["instruction_set"] == found["available"][0]
    assert found["available"][-1] == "torch"
    assert found["compiled"] == (len(found["available"]) > 1)
    assert found["forced"] is None
    assert found["threads"] >= 1


@pytest.mark.usefixtures("kernels_looked_for_again")
def test_doctor_without_compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no error: results are the same."""
    monkeypatch.delenv(native.VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "laxity.kernels._native", None)
    outcome = call("doctor")
    assert outcome.code == 0
    for text in ("no compiled kernels", "C++17 compiler", "same results and slower", "pip install --force-reinstall"):
        assert text in outcome.err
    found = document("doctor")
    assert found["ok"]
    assert len(found["warnings"]) == 1
    assert found["kernels"]["compiled"] is False
    assert found["kernels"]["available"] == ["torch"]
    assert found["kernels"]["instruction_set"] == "torch"


@pytest.mark.usefixtures("kernels_looked_for_again")
def test_doctor_knows_kernels_that_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.VARIABLE, "torch")
    found = document("doctor")
    assert found["ok"]
    assert found["kernels"]["forced"] == found["kernels"]["instruction_set"] == "torch"
    native.level.cache_clear()
    monkeypatch.setenv(native.VARIABLE, "avx1024")
    outcome = call("doctor")
    assert outcome.code == 1
    assert "LAXITY_ISA asks for 'avx1024', which is not available here; choose one of" in outcome.err


def test_train_writes_weights_that_the_task_accepts(tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    found = document("train", "digits", "--epochs", 1, "--seed", 5, "--out", out, "--quiet")
    assert found["weights"] == str(out)
    assert found["epochs"] == found["best_epoch"] == 1
    assert 0.2 < found["test_accuracy"] <= 1
    assert json.loads(out.with_suffix(".json").read_text())["seed"] == 5
    assert len(document("sites", "digits", "--weights", out)) == 4
    outcome = call("train", "digits", "--epochs", 1, "--out", out)
    assert "epoch 1" in outcome.err
    assert "test accuracy" in outcome.out
