"""The table of treatments in small, on digits: its orders, and that finished cells are not computed again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "recovery.py"
MULTIPLIERS = ("coltrunc8_12", "optrunc8_5")
SPREAD = 0.005
"""Differences of means below this are within the spread of three seeds."""


def run(out: Path, *options: object) -> tuple[dict[str, Any], str]:
    words = ("--out", out, "--json", "--task", "digits", "--multipliers", *MULTIPLIERS, "--weight-bits", 4)
    length = ("--epochs", 3, "--samples", 384, "--learning-rate", 1e-3)
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, (*words, *length, *options))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document, done.stderr


@pytest.mark.slow
def test_orders_and_resumption(tmp_path: Path) -> None:
    names = ("none", "batch-norm re-estimation", "fine-tuning", "distillation + gradient", "two stages")
    first, told = run(tmp_path, "--seeds", 1, "--treatments", *names)
    assert "12/12" in told
    document, told = run(tmp_path, "--seeds", 3, "--treatments", *names)
    assert "16/16" in told  # exact, fine-tuned exact, and three trainings of two multipliers, for two more seeds
    rows = {row["multiplier"]: row["treatments"] for row in document["rows"]}
    assert set(rows) == {"exact", *MULTIPLIERS}
    for name in MULTIPLIERS:
        assert rows[name]["fine-tuning"]["values"][0] == _row(first, name)["fine-tuning"]["values"][0]
        mean = {treatment: rows[name][treatment]["mean"] for treatment in names}
        assert mean["none"] < 0.5 < mean["batch-norm re-estimation"] < mean["fine-tuning"] + SPREAD
        assert mean["fine-tuning"] <= mean["distillation + gradient"] + SPREAD
        assert mean["distillation + gradient"] <= mean["two stages"] + SPREAD
    assert [order["holds"] for order in document["orders"]] == [True, True]
    assert [r["multiplier"] for r in document["regained"]] == ["optrunc8_5"]
    energies = [row["energy"] for row in document["rows"] if row["energy"]]
    assert all(0 < e["multiplier"] <= e["element"] <= e["total"] < 1 for e in energies)


def _row(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row["treatments"] for row in document["rows"] if row["multiplier"] == name)
    return found


@pytest.mark.slow
def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "--seeds", 1, "--treatments", "none")
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--task", "digits", "--multipliers", "drum8_3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cells of other settings" in done.stderr
