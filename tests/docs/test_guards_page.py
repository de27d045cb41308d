"""The page about guards: its examples run and say what they say, its tables name what there is, its benchmark works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from laxity import techniques
from laxity.core.approximation import TECHNIQUES
from laxity.core.slots import Slot
from laxity.techniques.hardware.abft import RESPONSES, THRESHOLDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guards.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
PRINTED = re.findall(r"^```text\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    said = []
    for example in EXAMPLES:
        exec(compile(example, "guards.md", "exec"), names)
        said.append(capsys.readouterr().out)
    assert said[0] == PRINTED[0]
    rows = [line.split() for line in said[1].splitlines()]
    assert [row[0] for row in rows] == ["conv1", "conv2", "conv3", "linear"]
    for _, share, high, stated in rows:
        assert float(share) <= float(high) <= 1
        assert float(share) <= float(stated) < 0.05


def test_the_tables_name_everything() -> None:
    classes = {n for n in techniques.__all__ if getattr(techniques, n).slot is Slot.GUARD}
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE, re.M)
    assert {name for name, _ in rows} == classes
    assert all(TECHNIQUES[kind] is getattr(techniques, name) for name, kind in rows)
    assert all(f"| `{threshold}` |" in PAGE for threshold in THRESHOLDS)
    assert all(f"| `{response}`" in PAGE for response in RESPONSES)


@pytest.mark.slow
def test_the_campaigns_of_the_benchmark() -> None:
    script = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "guards.py"), "--json", "--faults", "60"]
    done = subprocess.run([*script, "--only", "campaigns"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["campaigns"]
    assert {row["network"] for row in rows} == {"fp32", "int8", "approximate"}
    for row in rows:
        assert row["accuracy"] > 0.9
        assert row["sdc"][1] <= row["sdc"][0] <= row["sdc"][2]
        if row["network"] == "int8" and row["guard"].startswith("abft") and row["struck"] != "activations":
            assert row["noticed_or_masked"] == 1


@pytest.mark.slow
def test_the_benchmark() -> None:
    script = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "guards.py"), "--json", "--faults", "300"]
    done = subprocess.run(
        [*script, "--circuits", "coltrunc8_6", "--only", "clean", "circuits", "cost"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["alarms"] for row in found["clean"]] == [0, 0, 0]
    assert all(row["outputs"] > 1_000_000 for row in found["clean"])
    rows = {row["guard"]: row for row in found["circuits"]}
    for name, row in rows.items():
        low, high = row["worst"][1:]
        assert low <= row["worst"][0] <= high
        if "predicted" not in name:
            assert low <= row["stated"], "what was stated is not contradicted"
        if name in ("abft", "abft fitted"):
            assert row["worst"][0] == row["stated"] == 0
    assert rows["abft measured fitted"]["weights"][0] >= rows["abft"]["weights"][0]
    energies = [row["energy"] for row in found["cost"]]
    assert all(1 < e < 1.2 for e in energies[:4])
    assert 2 < energies[4] < 2.1
    assert 3 < energies[5] < 3.1
