"""The page about integer-only inference: its example runs, its tables name what there is, its benchmark measures."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

from laxity.core.program import STEPS, Addition, MultiplierUse, Program, Register, Requantiser, Step, Window

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "integer.md").read_text(encoding="utf-8")


def names(kind: type) -> set[str]:
    return {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]


def test_the_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "torch.Size([8, 16, 8, 8])" in done.stdout
    assert (tmp_path / "digits.npz").is_file()


def test_the_table_of_steps_is_complete() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(?:\w+)` \| ?(.*)\|$", PAGE, re.MULTILINE))
    assert rows.keys() == STEPS.keys()
    for kind, text in rows.items():
        own = names(STEPS[kind]) - names(Step)
        outside = re.sub(r"\(.*?\)", "", text).partition(":")[0]
        assert set(re.findall(r"`(\w+)`", outside)) == own, kind


def test_other_values_are_named_with_all_their_fields() -> None:
    section = PAGE.split("## The program")[1].split("\n## ")[0]
    for kind in (Program, MultiplierUse, Window, Requantiser, Register, Addition):
        assert all(f"`{name}`" in section for name in names(kind)), kind


def test_the_benchmark() -> None:
    script = ROOT / "benchmarks" / "integer_only.py"
    options = ["--json", "--samples", "40", "--interpreted", "1", "--plans", "drum8_4;affine both"]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [(r["task"], r["plan"], r["samples"], r["equal"]) for r in rows] == [
        ("digits", "drum8_4", 40, True), ("digits", "affine both", 40, True),
    ]  # fmt: skip
    assert all(r["differ"] <= 1 and r["integers"] > 8000 for r in rows)
