"""The page about recovery: its example of error models runs, and the benchmark measures what the page says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_of_error_models_runs() -> None:
    section = PAGE.split("## Error models")[1].split("\n## ")[0]
    (example,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    shown = run("-c", example).splitlines()
    assert shown[0].split()[0] == "drum8_6"
    assert shown[2].split()[0] == "coltrunc8_10"
    slopes = dict(line.split() for line in shown[3:7])
    assert slopes.keys() == {"conv1", "conv2", "conv3", "linear"}
    assert all(-0.045 < float(slope) < 0 for slope in slopes.values())


@pytest.mark.slow
def test_the_benchmark_of_error_models() -> None:
    options = ["--json", "--task", "digits", "--weight-bits", "8", "--samples", "100", "--train-samples", "128"]
    parts = json.loads(run(str(ROOT / "benchmarks" / "error_model.py"), *options))["bits"]["8"]
    ranking = parts["ranking"]
    assert ranking["multipliers"] == len(ranking["rows"]) > 100
    assert ranking["divergence_with_divergence"] > 0.95
    assert {row["name"] for row in parts["relations"]} >= {"mitchell8", "roba8", "optrunc8_3"}
    assert all(abs(row["sampled_spread"] - 1) < 0.1 for row in parts["relations"])
    for row in parts["speed"]:
        assert row["gain"] == row["table_s"] / row["straight_model_s"] > 0
    assert all(row["none_drop"] >= row["table_drop"] - 0.05 for row in parts["training"])
