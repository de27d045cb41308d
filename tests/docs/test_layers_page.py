"""The page on layers: its examples run and show what the page says, and its table is that of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from laxity.sites.composites import COMPOSITES
from laxity.sites.lowering import LOWERINGS

PAGE = (Path(__file__).parents[2] / "docs" / "layers.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def run(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(compile(example, "layers.md", "exec"), names)
    return names


def test_leaving_parts_exact(capsys: pytest.CaptureFixture[str]) -> None:
    names = run(EXAMPLES[0])
    assert [s.name for s in names["sites"]] == ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "head"]
    assert names["sites"][1].op.calls == 5
    error = float(capsys.readouterr().out.splitlines()[-1].split("(")[1].split(",")[0])
    assert 0 < error < 0.1


def test_opening_a_module_of_ones_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(COMPOSITES, "_entries", dict(COMPOSITES._entries))
    names = run(EXAMPLES[1])
    assert capsys.readouterr().out == "['0', '1.pairs']\n"
    x = torch.randn(3, 4, 7)
    torch.testing.assert_close(names["OpenGram"]()(x), names["Gram"]()(x))


def test_the_table_names_what_is_lowered_and_opened() -> None:
    for lowering in LOWERINGS.values():
        assert lowering.name in PAGE
    for name in COMPOSITES.names():
        for kind in COMPOSITES[name].kinds:
            assert f"nn.{kind.__name__}`" in PAGE
