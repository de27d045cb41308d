"""Faults in activations, many in a batch, give what a network gives whose layer is handed the faulty value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from laxity.campaign import ActivationEngine, ActivationTrials
from laxity.core.errors import PlanError, TaskError
from laxity.core.plan import Plan
from laxity.emulate.apply import realise
from laxity.faults import FLOAT32, Layout
from laxity.sites.prepare import prepare
from laxity.techniques import CircuitMultiplier, Integer

SAMPLES, TRIALS = 9, 120
NAMES = ["first", "second", "last"]


class Net(nn.Module):
    """A signed first input, unsigned ones after, a residual addition."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Linear(6 * 36, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x))
        return self.last(torch.relu(self.second(y) + y).flatten(1))


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.randn(SAMPLES, 2, 6, 6, generator=torch.Generator().manual_seed(3))


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


def integers(inputs: Tensor, **options: Any) -> nn.Module:
    prepared = prepare(network(), inputs[:1])
    plan = Plan.assign(prepared.sites, [Integer(**options), CircuitMultiplier("mitchell8")])
    return realise(prepared, plan, [inputs])


def trials(engine: ActivationEngine, inputs: Tensor) -> tuple[ActivationTrials, np.ndarray]:
    rng = np.random.default_rng(5)
    elements = engine.elements(engine.golden(inputs))
    layer = rng.integers(0, len(NAMES), TRIALS)
    bits = rng.integers(0, [engine.words[n].width_bits for n in layer])

    def corrupt(words: np.ndarray, some: np.ndarray, width: int) -> np.ndarray:
        assert bits[some].max() < width
        return words ^ (np.uint32(1) << bits[some].astype(np.uint32))

    return ActivationTrials(layer, rng.integers(0, elements[layer]), rng.integers(0, SAMPLES, TRIALS), corrupt), bits


def with_hook(model: nn.Module, name: str, x: Tensor, change: Any, *, before: bool) -> Tensor:
    layer = model.get_submodule(name)
    if before:
        handle = layer.register_forward_pre_hook(lambda _, given: (change(given[0].clone()),))
    else:
        handle = layer.register_forward_hook(lambda *given: change(given[2].clone()))
    try:
        return model(x)
    finally:
        handle.remove()


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@torch.no_grad()
def test_codes_that_layers_read(scheme: str, inputs: Tensor) -> None:
    model = integers(inputs, input_scheme=scheme, weight_scheme=scheme)
    engine = ActivationEngine(model, NAMES, inputs)
    some, bits = trials(engine, inputs)
    found = engine.run(some, engine.golden(inputs))
    for i in range(TRIALS):
        layer: Any = model.get_submodule(NAMES[some.layer[i]])
        coder = layer.operand.input
        top = coder.code_range[1]

        def change(x: Tensor, i: int = i, coder: Any = coder, top: int = top) -> Tensor:
            place = x.view(-1)[some.element[i] : some.element[i] + 1]
            code, bit = int(coder.codes(place)), int(bits[i])
            if coder.code_range[0] < 0:  # sign and magnitude
                code = -code if bit == coder.bits - 1 else (-1 if code < 0 else 1) * (abs(code) ^ (1 << bit))
            else:
                code ^= 1 << bit
            assert abs(code) <= top
            place.fill_((code - float(coder.zero)) * float(coder.scale))
            return x

        image = inputs[some.image[i] : some.image[i] + 1]
        wanted = with_hook(model, NAMES[some.layer[i]], image, change, before=True)
        assert torch.equal(found[i : i + 1], wanted)


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@torch.no_grad()
def test_the_layout_says_what_words_mean(scheme: str, inputs: Tensor) -> None:
    """A fault that adds 1 to the value of the word adds one step of the scale to the activation."""
    model = integers(inputs, input_scheme=scheme)
    for name, words in zip(NAMES, ActivationEngine(model, NAMES, inputs).words, strict=True):
        layer: Any = model.get_submodule(name)
        coder, layout = layer.operand.input, words.layout
        top = coder.code_range[1]
        values = torch.linspace(-1, 1, 41) * coder.scale * (top // 2 - 1)
        before = coder.represent(values, coder.codes(values))

        def add(given: np.ndarray, width: int, layout: Layout = layout) -> np.ndarray:
            assert width == layout.width_bits
            found = layout.values(given)
            assert not found[20], "the middle activation is 0"
            return np.asarray(layout.words(found + 1, given.dtype))

        room = coder.codes(values) < top
        after = words.corrupted(values, add)
        torch.testing.assert_close(after[room], before[room] + coder.scale)
    assert ActivationEngine(network(), NAMES, inputs).words[0].layout is FLOAT32


@pytest.mark.parametrize("where", ["input", "output"])
@torch.no_grad()
def test_floating_point(where: str, inputs: Tensor) -> None:
    model = network()
    engine = ActivationEngine(model, NAMES, inputs, where)
    some, bits = trials(engine, inputs)
    found = engine.run(some, engine.golden(inputs))
    for i in range(TRIALS):

        def change(x: Tensor, i: int = i) -> Tensor:
            place = x.contiguous().view(-1)
            place.view(torch.int32)[some.element[i]] ^= torch.tensor(
                np.array(1 << int(bits[i]), dtype=np.uint32).view(np.int32)
            )
            return place.view(x.shape)

        image = inputs[some.image[i] : some.image[i] + 1]
        wanted = with_hook(model, NAMES[some.layer[i]], image, change, before=where == "input")
        torch.testing.assert_close(found[i : i + 1], wanted, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_what_cannot_be_struck(inputs: Tensor) -> None:
    with pytest.raises(PlanError, match="'first' computes with codes"):
        ActivationEngine(integers(inputs), NAMES, inputs, "output")
    with pytest.raises(TaskError, match="not at 'middle'"):
        ActivationEngine(network(), NAMES, inputs, "middle")
