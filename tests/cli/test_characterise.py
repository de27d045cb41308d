"""``laxity circuits characterise``: tables, JSON, several names, families, libraries, and bad requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laxity.eda.tools import available

from .conftest import call

COMMAND = ("circuits", "characterise")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAXITY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def yosys() -> None:
    if available("yosys") is None:
        pytest.skip("no yosys; pip install 'laxity[rtl]'")


def document(*words: object) -> Any:
    outcome = call(*COMMAND, *words, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_a_table_with_units_and_its_origin() -> None:
    outcome = call(*COMMAND, "dadda8", "loa16_4")
    assert outcome.code == 0
    header, _, first, second = outcome.out.splitlines()
    assert header.split()[:5] == ["name", "cells", "area_um2", "delay_ns", "leakage_nw"]
    assert "uniform inertial pJ" in header
    assert first.split()[:3] == ["dadda8", "120", "615.7"]
    assert second.split()[0] == "loa16_4"
    assert "gscl45nm" in outcome.err
    assert "no wires" in outcome.err
    assert "[2/2] loa16_4" in outcome.err


def test_families_are_spelt_out() -> None:
    assert [found["name"] for found in document("drum", "--width", 6)] == ["drum6_3", "drum6_4", "drum6_5"]
    assert {found["name"].split("_")[0] for found in document("loa")} == {"loa16"}
    assert call(*COMMAND, "drum", "--width", 99).code == 2


def test_operands_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "o.npz"
    np.savez(path, a=np.zeros(10, int), b=np.arange(10))
    (found,) = document("dadda8", "--trace", path)
    energy = {(e["operands"], e["delays"]): e["energy_pj"] for e in found["energies"]}
    assert energy["trace", "zero"] < 0.05 * energy["uniform", "zero"]
    assert "trace zero pJ" in call(*COMMAND, "dadda8", "--trace", path).out
    outcome = call(*COMMAND, "dadda8", "--trace", tmp_path / "none.npz")
    assert outcome.code == 1
    assert "none.npz is no .npz file" in outcome.err


def test_mapped(yosys: None) -> None:
    (found,) = document("dadda8", "--flow", "yosys")
    assert found["cells"] == {"AND2": 64, "FA": 48, "HA": 8}
    assert found["proof"] == "equal on all 65536 inputs"
    assert found["tool"].startswith("yosys ")


def test_fpga(yosys: None) -> None:
    outcome = call(*COMMAND, "dadda8", "--target", "ice40")
    assert outcome.code == 0
    assert outcome.out.splitlines()[2].split()[:6] == ["dadda8", "145", "0", "0", "0", "0"]
    assert "it is no power" in outcome.err


@pytest.mark.slow
def test_xilinx_counts_as_the_study_did_and_says_that_it_is_counts_only(yosys: None) -> None:
    outcome = call(*COMMAND, "dadda8", "--target", "xilinx7")
    assert outcome.code == 0
    assert outcome.out.splitlines()[2].split()[:6] == ["dadda8", "114", "0", "0", "0", "0"]
    assert "resource counts only" in outcome.err


def test_a_missing_tool_ends_with_4(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAXITY_YOSYS", "system")
    monkeypatch.setenv("PATH", str(tmp_path))
    for words in (("--flow", "yosys"), ("--target", "ecp5"), ("--target", "ecp5", "--flow", "yosys")):
        outcome = call(*COMMAND, "dadda4", *words)
        assert outcome.code == 4
        assert "pip install 'laxity[rtl]'" in outcome.err
        assert outcome.out == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nosuch8",), 2, "unknown multiplier 'nosuch8'"),
        (("dadda8", "--target", "asic7"), 2, "is no target"),
        (("dadda8", "--target", "none.lib"), 1, "cannot read Liberty file none.lib"),
        (("dadda8", "--place"), 2, "not placed and routed"),
        (("dadda8", "--target", "xilinx7", "--place"), 1, "no open place and route"),
        (("dadda8", "--target", "ecp5", "--flow", "netlist"), 2, "leave out --flow"),
        ((), 2, "Missing argument"),
    ],
)
def test_bad_requests(words: tuple[str, ...], code: int, message: str) -> None:
    outcome = call(*COMMAND, *words)
    assert outcome.code == code
    assert message in " ".join(outcome.err.replace("│", " ").split())


def test_a_bad_library_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.lib"
    path.write_text("library (x) {\n cell (a) {\n")
    outcome = call(*COMMAND, "dadda8", "--target", path)
    assert outcome.code == 1
    assert f"{path}, line 3: the Liberty file ends inside cell (a) of line 2" in outcome.err
