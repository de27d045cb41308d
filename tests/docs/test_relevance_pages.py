"""The pages about relevance: examples run as printed, tables name everything there is."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from laxity.core.errors import ConfigError
from laxity.relevance import CRITERIA
from laxity.relevance.lrp import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "relevance.md").read_text(encoding="utf-8")


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def registries(monkeypatch):
    monkeypatch.setattr(CRITERIA, "_entries", dict(CRITERIA._entries))
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def test_the_examples_of_the_page(registries, capsys):
    first, own_rule = blocks(PAGE)
    exec(compile(first, "relevance.md", "exec"), {})
    assert "'conv1': (16,)" in capsys.readouterr().out
    assert "softplus" not in RULES
    exec(compile(own_rule, "relevance.md", "exec"), {})
    assert "softplus" in RULES


def test_the_table_has_every_criterion_with_its_options():
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.split("## Criteria")[1].split("##")[0], re.MULTILINE))
    assert sorted(rows) == CRITERIA.names()
    for name, row in rows.items():
        for field in fields(CRITERIA[name]):
            stated = re.search(rf"`{field.name}`(?: \((.*?)\))?", row)
            assert stated, f"{name} {field.name}"
            assert stated[1] is None or float(eval(stated[1])) == float(field.default)


def test_a_criterion_of_ones_own(registries, tmp_path, monkeypatch):
    file, check, use = blocks((ROOT / "docs" / "extend-relevance.md").read_text(encoding="utf-8"))
    assert 20 <= len(file.strip().splitlines()) <= 45
    (tmp_path / "page_extend_relevance.py").write_text(file, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        module = importlib.import_module("page_extend_relevance")
        exec(compile(check, "extend-relevance.md", "exec"), {})
        names: dict[str, object] = {}
        exec(compile(use, "extend-relevance.md", "exec"), names)
    finally:
        sys.modules.pop("page_extend_relevance", None)
    assert names["accuracies"]["fisher"] > names["accuracies"]["random"]
    with pytest.raises(ConfigError, match="above 0"):
        module.Fisher(power=0)


@pytest.mark.slow
def test_the_benchmark():
    script = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "relevance.py")]
    options = [
        "--criteria",
        "taylor",
        "random",
        "lrp_zplus:alpha=2.0,biases=true",
        "--samples",
        "64",
        "--images",
        "200",
    ]
    done = subprocess.run([*script, *options, "--seeds", "2", "--shares", "0.1,0.3", "--json"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["task"], found["images"], found["shares"]) == ("digits", 200, [0.1, 0.3])
    assert [(row["criterion"], row["across"]) for row in found["rows"]] == [
        (name, across) for name in options[1:4] for across in ("site", "network")
    ]
    for row in found["rows"]:
        first, second = row["least_accuracy"]
        area = (0.1 * (found["accuracy"] + first) / 2 + 0.2 * (first + second) / 2) / 0.3
        assert row["least_area"] == pytest.approx(area)
        assert row["least_area_std"] >= 0
    areas = {(row["criterion"], row["across"]): row["least_area"] - row["most_area"] for row in found["rows"]}
    assert areas["taylor", "network"] > 0.1
    table = subprocess.run([*script, "--criteria", "magnitude", "--seeds", "1", "--images", "100", "--shares", "0.5"],
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert table.returncode == 0, table.stderr
    assert len(table.stdout.splitlines()) == 4
    wrong = subprocess.run([*script, "--criteria", "tailor"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "did you mean 'taylor'" in wrong.stderr
