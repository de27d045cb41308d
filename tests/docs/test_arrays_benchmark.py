"""The benchmark of arrays runs, says what it could not measure, and does not simulate again what it has simulated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from laxity.eda.tools import available

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "arrays.py"


def run(*options: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.slow
def test_arrays(tmp_path: Path) -> None:
    if available("iverilog") is None:
        pytest.skip("no iverilog; install the system package iverilog")
    words = ("--sides", 8, "--multipliers", "coltrunc8_6", "--images", 1, "--out", tmp_path)
    done = run(*words, "--figures", "accuracy", "simulation", "xilinx7", "--json", LAXITY_YOSYS="nowhere")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["multiplier"], row["side"]) == ("coltrunc8_6", 8)
    assert row["accuracy"]["accuracy_percent"] == 100 * row["accuracy"]["right"] / row["accuracy"]["images"] > 95
    assert row["simulation"]["verified_images"] == row["simulation"]["images"] == 1
    assert row["simulation"]["mismatches"] == 0 < row["simulation"]["compared"]
    assert "LAXITY_YOSYS is 'nowhere'" in row["xilinx7"]["error"]
    again = run(*words, "--figures", "simulation", LAXITY_IVERILOG="nowhere", LAXITY_YOSYS="nowhere")
    assert again.returncode == 0, again.stderr
    title, line = (text.split() for text in again.stdout.splitlines())
    assert title == ["multiplier", "side", "verified"]
    assert line == ["coltrunc8_6", "8", "1"]
