"""The examples of the pages on extending laxity work as printed, and compute what they claim."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import laxity as lx
from laxity.campaign import POPULATIONS
from laxity.circuits import ADDERS, MULTIPLIERS, adder_catalogue, catalogue
from laxity.core.approximation import TECHNIQUES
from laxity.core.errors import CircuitError, PlanError

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``page(name)`` imports the file that a page prints and runs its check; it returns the module and the usage."""
    for registry in (TECHNIQUES, MULTIPLIERS, ADDERS, POPULATIONS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    loaded: list[str] = []

    def load(name: str) -> tuple[ModuleType, str]:
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        file, check, use = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
        assert 20 <= len(file.strip().splitlines()) <= 45, "a complete example is short"
        module = f"page_{name.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(file, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        loaded.append(module)
        imported = importlib.import_module(module)
        exec(compile(check, f"{name}.md", "exec"), {})
        return imported, use

    yield load
    for module in loaded:
        sys.modules.pop(module, None)


def run(use: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(use, "page", "exec"), names)
    return names


def with_choices(*choices: Any) -> torch.nn.Module:
    task = lx.load_task("digits")
    return lx.approximate(task, lx.Plan.assign(lx.find_sites(task.model, task.example_input), choices))


@pytest.mark.slow
def test_technique(page: Any) -> None:
    module, use = page("extend-technique")
    model = with_choices(lx.Integer(), module.NOfM(2, 4))
    for name in ("conv2", "conv3"):
        layer = model.get_submodule(name)
        groups = (layer.used_weight() != 0).reshape(-1, 4)
        assert groups.sum(1).tolist() == [2] * len(groups)
        largest = layer.weight.abs().reshape(-1, 4).topk(2).values.sum(1)
        assert torch.equal(layer.used_weight().abs().reshape(-1, 4).sum(1).float(), largest)
    with pytest.raises(PlanError, match="keeps 1 to 3 of 4"):
        module.NOfM(4, 4)
    names = run(use)
    assert names["judged"]["drop"] < 0.03
    assert names["judged"]["energy_pj"]["ratio"] < 1
    assert names["found"].met
    kinds = {choice.kind for _, _, choice in names["found"].plan}
    assert kinds <= {"integer", "n_of_m"}


def test_number_format(page: Any) -> None:
    module, use = page("extend-number-format")
    model = with_choices(module.PowerOfTwo(8))
    allowed = {0.0} | {sign * 2.0**e for sign in (-1, 1) for e in range(7)}
    for layer in (model.conv1, model.conv2, model.conv3, model.linear):
        codes, bits, signed = layer.stored_codes()
        assert set(codes.flatten().tolist()) <= allowed
        assert codes.abs().max() == 64
        assert (bits, signed) == (8, True)
    names = run(use)
    assert names["judged"]["drop"] < 0.05
    assert names["judged"]["energy_pj"]["ratio"] < 1


def test_multiplier(page: Any) -> None:
    _, use = page("extend-multiplier")
    names = run(use)
    a, b = np.indices((256, 256))
    low = np.zeros_like(a)
    for i in range(8):
        for j in range(8 - i):
            if i + j < 4:
                low |= ((a >> i) & (b >> j) & 1) << (i + j)
    high = sum((((a >> i) & (b >> j) & 1) << (i + j)) for i in range(8) for j in range(8) if i + j >= 4)
    assert np.array_equal(catalogue.get("orcol8_4").table, high + low)
    assert names["facts"]["area_um2"] < catalogue.describe("dadda8")["area_um2"]
    assert "module orcol8_4" in names["verilog"]
    assert names["judged"]["drop"] < 0.02
    with pytest.raises(CircuitError, match=r"use 0\.\.8"):
        catalogue.get("orcol8_9")


def test_adder(page: Any) -> None:
    _, use = page("extend-adder")
    names = run(use)
    a, b = np.indices((256, 256))
    for low in (1, 3, 7):
        rounded = (b + (1 << (low - 1)) >> low) << low
        wanted = ((a >> low) + (rounded >> low) << low) + a % (1 << low)
        assert np.array_equal(adder_catalogue.get(f"roundb8_{low}").add(a, b), wanted)
    assert adder_catalogue.get("roundb8_0").errors().ep == 0
    assert names["facts"]["area_um2"] < adder_catalogue.describe("ripple20")["area_um2"]
    assert "module roundb20_6" in names["verilog"]
    assert names["judged"]["drop"] < 0.02
    assert names["judged"]["energy_pj"]["ratio"] < 1
    with pytest.raises(CircuitError, match=r"use 0\.\.7"):
        adder_catalogue.get("roundb8_8")


def test_biases(page: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, use = page("extend-population")
    names = run(use)
    found = names["campaign"]
    assert found.cells.size == 32 * sum(p.numel() for n, p in names["task"].model.named_parameters() if "bias" in n)
    assert "float32 biases" in capsys.readouterr().out
    assert len(found.outcomes[0]) == 200
