"""Faults in activations, neurons and sums against the network run anew, with the value replaced by a hook."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from laxity.campaign import POPULATIONS, Faults, Population
from laxity.campaign.outcomes import draw
from laxity.cli.subject import load_network
from laxity.core.errors import ConfigError, TaskError
from laxity.evaluation.injection import private_copy
from laxity.faults import BitFlip, FaultModel, RandomValue
from laxity.task import Task

TRIALS, IMAGES = 60, 12


@cache
def network(name: str) -> tuple[nn.Module, Task]:
    model, task = load_network("digits", {}, name)
    return private_copy(model, task.example_input)[0], task


def inputs() -> Tensor:
    return network("original")[1].test.fetch(range(IMAGES))[0]


def population(kind: str, name: str, fault: FaultModel | None = None, **options: Any) -> Population:
    fault = fault or BitFlip(0.0)
    return POPULATIONS[kind].of(network(name)[0], fault, inputs()[:3], options)


def faults_of(struck: Population) -> Faults:
    """Some of every part."""
    drawn = [draw(struck, part, IMAGES, 5, 0, TRIALS) for part in struck.parts()]
    return Faults(*(np.concatenate([getattr(d, k) for d in drawn]) for k in ("cell", "site", "random", "image")))


def flipped(value: float, bit: int) -> float:
    word = np.float32(value).view(np.uint32) ^ np.uint32(1 << bit)
    return float(word.view(np.float32))


@pytest.mark.parametrize(("kind", "inside"), [("activations", True), ("neurons", False)])
def test_floating_point_values(kind: str, inside: bool) -> None:
    struck, (model, _) = population(kind, "original"), network("original")
    faults, x = faults_of(struck), inputs()
    found = struck.logits(faults, struck.golden(x))
    for i in range(len(faults)):
        place, bit = struck.cells.place[faults.cell[i]], int(struck.cells.bit[faults.cell[i]])
        layer = model.get_submodule(struck.cells.places[place])

        def replaced(value: Tensor, site: int = int(faults.site[i]), bit: int = bit) -> Tensor:
            flat = value.clone().reshape(1, -1)
            flat[0, site] = flipped(float(flat[0, site]), bit)
            return flat.reshape(value.shape)

        if inside:
            handle = layer.register_forward_pre_hook(lambda _, given, f=replaced: (f(given[0]), *given[1:]))
        else:
            handle = layer.register_forward_hook(lambda _, given, out, f=replaced: f(out))
        with torch.no_grad():
            expected = model(x[faults.image[i]][None])[0]
        handle.remove()
        torch.testing.assert_close(found[i], expected, equal_nan=True, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("width", [32, 20])
def test_sums(width: int) -> None:
    struck, (model, _) = population("accumulators", "int8_exact", width=width), network("int8_exact")
    faults, x = faults_of(struck), inputs()
    found = struck.logits(faults, struck.golden(x))
    for i in range(len(faults)):
        place, bit = struck.cells.place[faults.cell[i]], int(struck.cells.bit[faults.cell[i]])
        layer: Any = model.get_submodule(struck.cells.places[place])

        def replaced(given: Tensor, site: int = int(faults.site[i]), bit: int = bit, layer: Any = layer) -> Tensor:
            sums = layer.integer_sums(layer.operand.input.codes(given)).to(torch.float64)
            flat = sums.reshape(-1)
            held = int(flat[site])
            wrapped = (held + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
            word = (wrapped % (1 << width)) ^ (1 << bit)
            flat[site] = held + (word - (1 << width) if word >> (width - 1) else word) - wrapped
            return layer.scaled(flat.reshape(sums.shape))

        handle = layer.register_forward_hook(lambda _, given, out, f=replaced: f(given[0]))
        with torch.no_grad():
            expected = model(x[faults.image[i]][None])[0]
        handle.remove()
        assert torch.equal(found[i], expected)


def test_populations_count_their_sites() -> None:
    shapes = {"conv1": 8 * 8, "conv2": 16 * 8 * 8, "conv3": 32 * 4 * 4, "linear": 64}
    for kind, width in (("activations", 8), ("accumulators", 32)):
        cells = population(kind, "int8_exact").cells
        assert set(np.bincount(cells.place).tolist()) == {width}
    words = population("activations", "original", RandomValue(0.0)).cells
    assert set(words.bit.tolist()) == {-1}
    assert words.places == tuple(shapes)


def test_refusals() -> None:
    with pytest.raises(TaskError, match="no integer layer"):
        population("accumulators", "original")
    with pytest.raises(ConfigError, match="did you mean 'width'"):
        population("accumulators", "int8_exact", widht=8)
    with pytest.raises(ConfigError, match="2 to 48 bits, not 60"):
        population("accumulators", "int8_exact", width=60)
    with pytest.raises(ConfigError, match="number of bits, not 'wide'"):
        population("accumulators", "int8_exact", width="wide")
