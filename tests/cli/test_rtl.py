"""``laxity rtl``: the accelerator of a finished run, written and simulated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from laxity.eda.tools import available

from .conftest import call


@pytest.fixture(scope="module")
def iverilog() -> None:
    if available("iverilog") is None:
        pytest.skip("no iverilog; install the system package iverilog")


@pytest.mark.parametrize("dataflow", ["weight-stationary", "output-stationary"])
def test_a_run_as_an_accelerator(iverilog: None, finished: Path, tmp_path: Path, dataflow: str) -> None:
    sides = ("--rows", 4, "--columns", 4, "--dataflow", dataflow)
    outcome = call("rtl", finished, "--out", tmp_path / "a", *sides, "--images", 3, "--simulate", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["configuration"]["dataflow"] == dataflow
    assert found["cycles"] == sum(s["counts"]["cycles"] for s in found["steps"])
    simulation = found["simulation"]
    assert simulation["passed"] is True
    assert simulation["images"] == 3
    assert simulation["results"] == 3 * 3
    assert [s["cycles"] for s in simulation["steps"]] == [s["counts"]["cycles"] for s in found["steps"]]
    assert (tmp_path / "a" / "rtl" / "accelerator.v").is_file()


def test_the_table_and_the_place_beside_the_plan(iverilog: None, run_copy: Path) -> None:
    outcome = call("rtl", run_copy, "--images", 1, "--simulate")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].split()[-2:] == ["compared", "different"]
    assert "cycles per image" in outcome.out
    assert "0 different" in outcome.out.splitlines()[-1]
    assert (run_copy / "best" / "accelerator" / "README.txt").is_file()


def test_bad_requests(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = call("rtl", finished, "--out", tmp_path, "--rows", 3)
    assert outcome.code == 2
    assert "one must divide the other" in outcome.err
    outcome = call("rtl", tmp_path, "--out", tmp_path)
    assert outcome.code == 1
    assert "is no run folder" in outcome.err
    monkeypatch.setenv("PATH", str(tmp_path))
    for tool in ("iverilog", "verilator"):
        monkeypatch.delenv(f"LAXITY_{tool.upper()}", raising=False)
        words = ("--out", tmp_path / "a", "--images", 1, "--simulate", "--tool", tool)
        outcome = call("rtl", finished, *words)
        assert outcome.code == 4
        assert f"install the system package {tool}" in outcome.err
        assert outcome.out == ""
