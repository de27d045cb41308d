"""Filters, layers and the whole network in small, on digits, and that finished searches are not done again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kernelwise.py"
CIRCUITS = ("gated8_0_0", "gated8_3_3", "gated8_4_4")


def run(out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    words = ("--out", out, "--json", "--circuits", *CIRCUITS, "--weight-bits", 8, 5, 3, "--probe-samples", 128)
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, (*words, *options))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_rows_and_resumption(tmp_path: Path) -> None:
    options = (
        "--parts",
        "modes",
        "axnn",
        "--seeds",
        1,
        "--epochs",
        1,
        "--samples",
        256,
        "--max-drop",
        0.02,
        "--blocks",
    )
    done = run(tmp_path, *options, "--criteria", "taylor")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    rows = document["modes"]
    assert list(rows) == ["one mode", "layer by layer", "taylor", "random 0"]
    for row in rows.values():
        assert row["met"]
        assert row["validation_drop"] <= 0.02
        assert row["base"] == rows["taylor"]["base"]
        assert 0 < row["chosen"]["multiplier_ratio"] < row["chosen"]["energy_ratio"] < 0.9
    assert rows["layer by layer"]["chosen"]["energy_ratio"] <= rows["one mode"]["chosen"]["energy_ratio"]
    assert set(document["axnn"]) == {"AxNN", "inverse", "random 0", "exact"}
    ratios = {name: row["before"]["energy_ratio"] for name, row in document["axnn"].items()}
    assert max(ratios, key=ratios.__getitem__) == "exact"

    again = run(tmp_path, *options, "--criteria", "taylor", "magnitude")
    assert again.returncode == 0, again.stderr
    assert [line for line in again.stderr.splitlines() if line.endswith("...")] == ["digits, modes: magnitude ..."]
    found = json.loads(again.stdout)
    assert {**found["modes"], "magnitude": None} == {**rows, "magnitude": None}

    other = run(tmp_path, "--max-drop", 0.05)
    assert other.returncode == 1
    assert "max_drop is 0.02 there, not 0.05" in other.stderr
