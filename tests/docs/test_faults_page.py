"""The page on fault campaigns: its example runs, and its table names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from laxity.campaign import POPULATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[0], "faults.md", "exec"), {})
    first, *layers = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"0\.\d{4} \(0\.\d{4} \.\. 0\.\d{4}\), \d+ faults", first)
    assert [line.split()[0] for line in layers] == ["conv1", "conv2", "conv3", "linear"]


def test_all_populations_are_named() -> None:
    table = PAGE.split("## What is struck")[1].split("`laxity list")[0]
    assert set(POPULATIONS.names()) <= set(re.findall(r"`([a-z]+)`", table))
