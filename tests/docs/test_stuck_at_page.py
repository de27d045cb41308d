"""The page about stuck-at faults: its example runs, its tables are what laxity counts, and so does the benchmark."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from laxity.circuits import catalogue, default_library
from laxity.circuits.stuck_at import stuck_at

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "stuck_at.md").read_text(encoding="utf-8")
NUMBER = r" ([\d.]+) \|"
ROWS = re.findall(rf"^\| ([a-z]\w*) \|{NUMBER * 10}$", PAGE, re.M)


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(example, "stuck_at.md", "exec"), {})
    study = stuck_at("drum8_4")
    assert capsys.readouterr().out.split()[0] == str(len(study))


def test_every_figure_of_a_fault_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", PAGE.split("## What is counted")[1].split("## How")[0]))
    study = stuck_at("dadda2")
    told = {"fault", "line", "value", "place", "detected", "equivalent_to"}
    assert set(study.row(0)) - told <= explained
    assert "equivalent_to" in PAGE


def test_there_is_a_table() -> None:
    assert len(ROWS) == 12
    areas = [float(row[1]) for row in ROWS]
    assert areas == sorted(areas)


@pytest.mark.parametrize("row", ROWS[::4], ids=lambda row: row[0])
def test_figures_of_the_table(row: tuple[str, ...]) -> None:
    study = stuck_at(row[0])
    facts, area = study.summary(), default_library().area_um2(catalogue.circuit(row[0]))
    exact = stuck_at("dadda8").summary()
    reference = default_library().area_um2(catalogue.circuit("dadda8")) * exact["fault_med_mean"]
    assert float(row[1]) == pytest.approx(area, abs=0.51)
    assert [int(x) for x in row[2:6]] == [facts["gates"], facts["faults"], facts["undetectable"], facts["distinct"]]
    for text, key in zip(row[6:10], ("med", "fault_med_median", "fault_med_p90", "fault_med_mean"), strict=True):
        assert float(text) == float(f"{facts[key]:.4g}")
    assert float(row[10]) == pytest.approx(area * facts["fault_med_mean"] / reference, abs=0.0051)


def test_the_benchmark() -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "stuck_at.py"), "--json", "--rounds", "1"]
    command += ["--names", "dadda4,drum4_3,bam4_2_1,wallace4", "--engines", "auto,numpy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {row["name"]: row for row in found["rows"]}
    assert found["summary"]["circuits"] == len(rows) == 4
    assert found["summary"]["faults"] == sum(row["faults"] for row in rows.values())
    for name, row in rows.items():
        facts = stuck_at(name).summary()
        assert {key: row[key] for key in ("faults", "classes", "distinct", "fault_med_mean")} == {
            key: facts[key] for key in ("faults", "classes", "distinct", "fault_med_mean")
        }
        assert row["damage"] == pytest.approx(row["area_um2"] * row["fault_med_mean"])
        assert row["numpy_ms_per_fault"] > 0
    assert abs(found["summary"]["spearman_faults_area_um2"]) <= 1
