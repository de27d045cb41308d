"""The benchmark of emulation: its document, and the reference that its results are compared with. Nothing is timed."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from laxity.core.approximation import TECHNIQUES

FOLDER = Path(__file__).parents[2] / "benchmarks"
FIELDS = {"case", "layer", "threads", "isa", "native_ms", "laxity_ms", "ratio", "giga_products_per_s", "exact"}


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(FOLDER / "emulation.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the benchmark, without leaving its technique registered."""
    monkeypatch.setattr(TECHNIQUES, "_entries", dict(TECHNIQUES._entries))
    monkeypatch.syspath_prepend(FOLDER)
    yield {name: importlib.import_module(f"speed.{name}") for name in ("tables", "subjects", "reference")}
    for name in [name for name in sys.modules if name.partition(".")[0] == "speed"]:
        del sys.modules[name]


@pytest.mark.slow
def test_the_document() -> None:
    done = run("--json", "--quick", "--cases", "depthwise8,gather7", "--threads", "1")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    compiler = any(map(shutil.which, ("c++", "g++", "clang++")))
    titles = ["depthwise 3x3, 8-bit", "speed-up over the gather loop, 7-bit"][: 1 + compiler]
    assert [row["case"] for row in document["rows"]] == titles
    for row in document["rows"]:
        assert row.keys() >= FIELDS
        assert row["exact"] is True
        assert row["threads"] == 1
        assert row["ratio"] == pytest.approx(row["laxity_ms"] / row["native_ms"])
    depthwise = document["rows"][0]
    products = 2 * 384 * 14 * 14 * 9
    assert depthwise["giga_products_per_s"] == pytest.approx(products / depthwise["laxity_ms"] / 1e6)
    summary = document["summary"]
    assert summary.keys() == {"geometric_means", "all_exact", "machine", "seed", "notes"}
    assert summary["machine"]["torch"] == torch.__version__
    assert len(summary["notes"]) == 1 - compiler
    means = {mean["case"]: mean for mean in summary["geometric_means"]}
    assert list(means) == titles
    own = means[titles[0]]
    assert own["geometric_mean"] == pytest.approx(depthwise["ratio"])
    assert (own["goal"], own["stretch"], own["threads"]) == (1.0, 0.8, 1)
    assert own["met"] is (own["geometric_mean"] <= 1.0)
    if compiler:
        loop = document["rows"][1]
        assert means[titles[1]]["geometric_mean"] == pytest.approx(loop["gather_ms"] / loop["laxity_ms"])


@pytest.mark.slow
def test_options_that_make_no_sense_are_refused() -> None:
    for options, named in ((("--cases", "9bit"), "9bit"), (("--threads", "0"), "'0'")):
        done = run(*options)
        assert done.returncode == 2
        assert named in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("bits", "row_bits"), [(7, 14), (8, 16)])
def test_tables_cannot_be_factored(speed: dict[str, ModuleType], bits: int, row_bits: int) -> None:
    table = speed["tables"].arbitrary(bits).table
    assert table.shape == (2**bits, 256)
    assert np.linalg.matrix_rank(table.astype(float)) == 2**bits - 1
    ranges = table.max(0) - table.min(0)
    assert 2 ** (row_bits - 2) < ranges.max() < 2**row_bits
    slopes = np.arange(-200, 201)[:, None, None]
    residuals = table.T[None, 8::8] - slopes * np.arange(2**bits)
    assert (residuals.max(2) - residuals.min(2)).min() >= 256
    assert table.min() >= -(2**15)
    assert table.max() < 2**15
    assert not table[0].any()
    assert speed["tables"].arbitrary(bits, clears=False).table[0].all()


@pytest.mark.parametrize("groups", [1, 8])
def test_the_reference_agrees_and_notices_one_wrong_channel(speed: dict[str, ModuleType], groups: int) -> None:
    x = speed["subjects"].normal(2, 16, 5, 7)
    model = nn.Sequential(nn.Conv2d(16, 24, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=groups))
    emulated = speed["subjects"].approximated(model.eval(), x, 8)
    assert _check(speed, emulated, x)
    emulated[0].register_forward_hook(_one_bit_off)
    assert not _check(speed, emulated, x)


@pytest.mark.parametrize("name", ["vit_tiny", "lstm"])
def test_the_reference_agrees_in_whole_networks(speed: dict[str, ModuleType], name: str) -> None:
    from laxity.emulate.slots import Slots
    from laxity.models.base import build

    x = speed["subjects"].normal(2, *((3, 8, 8) if name == "vit_tiny" else (5, 6)))
    model = build(name) if name == "vit_tiny" else build(name, input_shape=(5, 6), hidden=8)
    emulated = speed["subjects"].approximated(model, x, 7)
    assert _check(speed, emulated, x)
    sites = [m for m in emulated.modules() if isinstance(m, Slots)]
    for site in (sites[1], sites[-2]):
        handle = site.register_forward_hook(_one_bit_off)
        assert not _check(speed, emulated, x)
        handle.remove()


def _check(speed: dict[str, ModuleType], model: nn.Module, x: torch.Tensor) -> bool:
    found = speed["reference"].check(model, x, samples=500, calls=1, rng=np.random.default_rng(1))
    assert found.compared >= 500
    return bool(found.exact)


def _one_bit_off(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
    """The next larger numbers in a third of the outputs."""
    changed = output.clone()
    part = changed.movedim(1, 0)[::3] if changed.dim() == 4 else changed[..., ::3]
    part.copy_(torch.nextafter(part, torch.full_like(part, math.inf)))
    return changed
