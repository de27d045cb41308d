"""The page on statistics: its examples run, its names exist, and the benchmark behind its table works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import laxity.statistics as package

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[number], "statistics.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_shifted_table_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[-1], "statistics.md", "exec"), {})
    plausible, findings = capsys.readouterr().out.splitlines()
    assert plausible == "True"
    assert "moving outcomes by 31 rows" in findings


def test_names_of_the_table_exist() -> None:
    table = PAGE.split("## Which interval when")[1].split("\n\nAn interval is about")[0]
    names = set(re.findall(r"`([A-Za-z]\w+)[`(]", table)) - {"method", "defensive"}
    assert len(names) > 12
    assert names <= set(package.__all__)


@pytest.mark.slow
def test_the_benchmark(data_dir: Path) -> None:
    if not (data_dir / "dnn_benchmarks").is_dir():
        pytest.skip("no dnn_benchmarks in the data folder")
    script = ROOT / "benchmarks" / "coverage.py"
    command = [sys.executable, "-W", "error", str(script), "--json", "--replicates", "60", "--data-dir", str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    summary = document["summary"]
    assert summary["replicates"] == 60
    assert summary["min_coverage"] >= 0.95
    assert summary["faults_needed"] < summary["faults_wald_unstratified"] / 3
    assert summary["faults_needed_asymptotic"] < summary["faults_needed"]
    populations = {r["population"] for r in document["rows"]}
    assert {"p = 0.0001", "p = 0.5", "ResNet20, 1 image", "ResNet20, all images"} <= populations
