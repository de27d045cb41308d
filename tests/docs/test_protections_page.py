"""The page on protections of stored weights: its example runs, its tables are what laxity computes."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from laxity import techniques
from laxity.circuits import hsiao
from laxity.circuits.cells import default_library
from laxity.circuits.hsiao import check_bits
from laxity.circuits.protection import reader
from laxity.circuits.timing import delay_ns
from laxity.core.approximation import TECHNIQUES
from laxity.core.slots import Slot
from laxity.task import load_task

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protections.md").read_text(encoding="utf-8")


def rows(first: str) -> dict[str, list[str]]:
    """The first table below a text, by first cell."""
    table = PAGE.split(first)[1].split("\n\n|", 1)[1].split("\n\n", 1)[0]
    lines = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in f"|{table}".splitlines()[2:]]
    return {line[0].strip("`"): line[1:] for line in lines}


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    exec(compile(example, "protections.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert all(line.split()[-2] in {"0", "0.0"} for line in printed)


def test_every_technique_has_its_options() -> None:
    table = rows("## The techniques")
    own = [getattr(techniques, name) for name in techniques.__all__]
    assert set(table) == {t.kind for t in own if t.slot is Slot.MEMORY}
    for kind, (options, *_) in table.items():
        defaults = {f.name: str(f.default).lower() for f in fields(TECHNIQUES[kind])}
        given = re.findall(r"(\w+)=(\"?\w+)", options)
        assert {name for name, _ in given} == set(defaults)
        assert all(value in {defaults[name], '"30'} for name, value in given)
    numbers = re.findall(r"(\d+) per (?:(\d+) data bits|(\d+))", table["secded"][1])
    assert len(numbers) == 4
    assert all(int(check) == check_bits(int(data or more)) for check, data, more in numbers)


def test_triples_that_are_corrected_wrongly() -> None:
    shares = []
    for data in (64, 57):
        columns = [*hsiao.columns(data), *(1 << i for i in range(check_bits(data)))]
        known = set(columns)
        wrong = [(a ^ b ^ c) in known for a, b, c in itertools.combinations(columns, 3)]
        shares.append(f"{100 * sum(wrong) / len(wrong):.1f} %")
    assert f"happens to {shares[0]} of all triples" in PAGE.replace("\n", " ").replace("  ", " ")
    assert shares[1] == "100.0 %"


def test_readers_have_the_area_and_delay_of_the_table() -> None:
    table, library = rows("## What they cost"), default_library()
    assert len(table) == 8
    for name, area, delay, *_ in table.values():
        circuit = reader(name.strip("`"))
        assert float(area) == pytest.approx(library.area_um2(circuit), abs=0.51)
        assert float(delay) == pytest.approx(delay_ns(circuit, library), abs=0.0051)


@pytest.mark.slow
def test_the_benchmark() -> None:
    """With few faults: what does not depend on sampling is what the page says."""
    words = [str(ROOT / "benchmarks" / "protections.py"), "--json", "--faults", "40", "--epochs", "0"]
    done = subprocess.run([sys.executable, "-W", "error", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    stored = sum(p.numel() for p in load_task("digits").model.parameters() if p.dim() > 1)
    found = {(row["format"], row["protection"]): row for row in document["rows"]}
    assert found["fp32", "none"]["bits"] == 32 * stored
    for name, first in (("fp32", "float32, 487 936"), ("int8", "8-bit integers, 121 984")):
        table = rows(first)
        own = [row for key, row in found.items() if key[0] == name]
        assert len(table) == len(own)
        texts = {cells[1] for cells in table.values()}
        for row in own:
            changed, bits = (f"{n:,}".replace(",", " ") for n in (row["flips_that_change_words"], row["bits"]))
            assert any(text.startswith(f"{changed} of {bits}") for text in texts), row["protection"]
    for cells in rows("## What they cost").values():
        (row,) = (r for r in document["rows"] if r.get("reader") == cells[0].strip("`"))
        assert row["reader_fj_per_weight"] == pytest.approx(float(cells[3]), rel=1e-3)
        for cell, ratio in zip(cells[4:], ("energy_ratio", "area_ratio", "memory_ratio"), strict=True):
            assert float(cell.removesuffix(" %")) == pytest.approx(100 * row[ratio], abs=0.0051)
    accuracies = {row["scale"]: row["accuracy"] for row in document["in_place"]}
    assert accuracies == pytest.approx({"none": 0.988, "fitted": 0.988, "kept": 0.486}, abs=0.004)
