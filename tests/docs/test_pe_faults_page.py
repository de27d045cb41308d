"""The page about faults in elements: its example runs, and the benchmark finds the logits that it claims."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pe_faults.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(example.replace("faults=2000", "faults=200"), "pe_faults.md", "exec"), {})
    said = capsys.readouterr().out
    assert "64 processing elements (8 x 8, weight-stationary)" in said
    assert "architectural vulnerability factor" in said


def test_figures_of_the_table_fit_each_other() -> None:
    rows = {name: cells for name, *cells in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.M)}
    for column in (0, 1):
        native = float(rows["native float32 inference, ms"][column])
        for trial, share in (
            ("trial of a stuck gate, ms", "its share of a native inference (goal: at most 2)"),
            ("trial of a flip, ms", "its share of a native inference"),
        ):
            assert float(rows[trial][column]) / native == pytest.approx(float(rows[share][column]), abs=0.02)
            assert float(rows[share][column]) <= 2
        for name in ("SDC of stuck gates", "SDC of flips of live registers"):
            point, low, high = (float(x) for x in re.findall(r"([\d.]+) %", rows[name][column]))
            assert low < point < high


def test_files_that_the_page_names_exist() -> None:
    for name in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", PAGE):
        assert (ROOT / name).exists()


@pytest.mark.slow
def test_the_benchmark() -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "pe_faults.py"), "--json", "--task", "digits"]
    command += [
        "--trials",
        "48",
        "--reference",
        "6",
        "--images",
        "16",
        "--rows",
        "8",
        "--columns",
        "8",
        "--rounds",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["dataflow"] for row in found["rows"]] == ["weight-stationary", "output-stationary"]
    for row in found["rows"]:
        assert row["equal"] == row["reference"] == 6
        assert row["gates_ratio"] == pytest.approx(row["gates_ms"] / row["native_ms"])
        assert 0 < row["idle_share"] < 1
