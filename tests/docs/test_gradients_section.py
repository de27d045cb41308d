"""The section about gradients: its examples run, and the benchmark of gradients measures what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")
SECTION = PAGE.split("\n## Gradients\n")[1].split("\n## ")[0]


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_run() -> None:
    use, own = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    shown = run("-c", use + own).splitlines()
    assert [line.split()[0] for line in shown[:4]] == ["conv1", "conv2", "conv3", "linear"]
    assert all(re.search(r"tables of rank [1-6] and [1-6] within 0\.05$", line) for line in shown[:4])
    assert all(0.05 < float(loss) < 1 for loss in shown[4:6])
    assert shown[4] != shown[5]
    assert shown[6] == "4"


@pytest.mark.slow
def test_the_benchmark() -> None:
    options = ["--json", "--multipliers", "coltrunc8_10", "--epochs", "1", "--seeds", "1", "--rounds", "2"]
    found = json.loads(run(str(ROOT / "benchmarks" / "gradients.py"), *options))
    assert {row["layer"].split()[0] for row in found["cost"]} == {"convolution", "depthwise", "linear", "product"}
    for row in found["cost"]:
        assert row["backward"] > 0
        assert row["gradient"] != "straight_through" or row["backward"] == row["step"] == 1
    losses = {row["gradient"]: row["loss"] for row in found["training"]}
    assert losses["table_2d"] < losses["straight_through"] < 1
