"""The page on filters by mode and control variates: its example runs and prints what the page says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from laxity.techniques import ControlVariate, FilterMultipliers
from laxity.techniques.hardware.filter_multipliers import FilterCores

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "filters.md", "exec"), names)
    (said,) = re.findall(r"This prints `([^`]+)` and `([^`]+)`: ", PAGE)
    assert capsys.readouterr().out.splitlines() == list(said)
    model, first = names["by_filter"], names["first"]
    assert isinstance(model, torch.nn.Module)
    layer = model.get_submodule(first.name)  # type: ignore[attr-defined]
    assert isinstance(layer.multiplier, FilterCores)
    assert [c.name for c in layer.multiplier.circuits] == ["dadda8", "gated8_2_2", "gated8_3_3"]


def test_fields_are_those_of_the_techniques() -> None:
    sections = PAGE.split("\n## ")[1:]
    for section, technique in zip(sections, (FilterMultipliers, ControlVariate), strict=True):
        rows = section.split("| field |")[1].split("\n\n")[0]
        assert re.findall(r"^\| `(\w+)` \|", rows, flags=re.MULTILINE) == [f.name for f in fields(technique)]
