"""Batches of different weight faults give what a network with each fault gives, re-run from its start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.campaign import Replay, WeightEngine, WeightTrials
from laxity.core.approximation import Approximation
from laxity.core.errors import TaskError
from laxity.core.plan import Plan
from laxity.emulate.apply import realise
from laxity.evaluation.injection import private_copy
from laxity.evaluation.memory import WeightMemory
from laxity.sites.prepare import prepare

SAMPLES = 12

PLANS: dict[str, tuple[dict[str, Any], ...]] = {
    "integers": ({"kind": "integer"},),
    "4-bit weights": ({"kind": "integer", "weight_bits": 4},),
    "affine": ({"kind": "integer", "weight_scheme": "affine", "input_scheme": "affine"},),
    "logarithmic products": ({"kind": "integer"}, {"kind": "multiplier", "name": "mitchell8"}),
    "products that are not 0 for 0": ({"kind": "integer"}, {"kind": "multiplier", "name": "coltruncv8_8"}),
    "16-bit operands": (
        {"kind": "integer", "weight_bits": 12, "input_bits": 12},
        {"kind": "multiplier", "name": "drum16_6"},
    ),
    "saturating sums": ({"kind": "integer"}, {"kind": "accumulator", "adder": "ripple14", "overflow": "saturate"}),
    "composed products": ({"kind": "integer"}, {"kind": "composed_multiplier", "name": "drum4_3"}),
    "minifloat": ({"kind": "minifloat", "specials": "none"},),
}


class Net(nn.Module):
    """Strided, padded, dilated, grouped and depthwise convolutions, a residual addition, sizes taken from the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=4, bias=False)
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.depthwise = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8)
        self.hidden = nn.Linear(8 * 16, 10)
        self.last = nn.Linear(10, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.grouped(F.relu(self.first(x))))
        y = F.relu(self.dilated(y) + y)
        y = F.relu(self.depthwise(y)).reshape(y.size(0), -1)
        return self.last(torch.tanh(self.hidden(y)))


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.randn(SAMPLES, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def network() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


def built(inputs: Tensor, plan: str) -> nn.Module:
    choices = [Approximation.from_json(choice) for choice in PLANS[plan]]
    model = network()
    prepared = prepare(model, inputs[:1])
    return realise(prepared, Plan.assign(prepared.sites, choices), [inputs])


def drawn(memories: list[WeightMemory], count: int, seed: int = 0) -> WeightTrials:
    rng = np.random.default_rng(seed)
    memory = rng.integers(0, len(memories), count)
    word = np.array([rng.integers(0, memories[m].words.size) for m in memory])
    bit = np.array([rng.integers(0, memories[m].width_bits) for m in memory])
    words = [int(memories[m].words[w]) ^ (1 << int(b)) for m, w, b in zip(memory, word, bit, strict=True)]
    return WeightTrials(memory, word, np.array(words, dtype=np.uint64), rng.integers(0, SAMPLES, count))


def naive(model: nn.Module, memories: list[WeightMemory], trials: WeightTrials, inputs: Tensor) -> Tensor:
    """Every fault written into the network, which is run from its start."""
    found = []
    for m, w, value, image in zip(trials.memory, trials.word, trials.words, trials.image, strict=True):
        words = memories[m].words.copy()
        words[w] = value
        memories[m].write(words)
        found.append(model(inputs[image : image + 1]))
        memories[m].restore()
    return torch.cat(found)


@pytest.mark.parametrize("plan", PLANS)
@torch.no_grad()
def test_integer_networks_give_the_same_logits_bit_for_bit(plan: str, inputs: Tensor) -> None:
    model, memories = private_copy(built(inputs, plan), inputs[:1])
    trials = drawn(memories, 150)
    engine = WeightEngine(model, memories, inputs)
    found = engine.run(trials, engine.golden(inputs))
    assert torch.equal(found, naive(model, memories, trials, inputs))
    assert not torch.equal(found, engine.golden(inputs).logits[torch.from_numpy(trials.image)])


@torch.no_grad()
def test_floating_point_networks_give_the_same_logits_to_rounding(inputs: Tensor) -> None:
    model, memories = private_copy(network(), inputs[:1])
    trials = drawn(memories, 300)
    engine = WeightEngine(model, memories, inputs)
    found, wanted = engine.run(trials, engine.golden(inputs)), naive(model, memories, trials, inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4, equal_nan=True)


@torch.no_grad()
def test_nothing_is_changed(inputs: Tensor) -> None:
    model, memories = private_copy(network(), inputs[:1])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    given = inputs.clone()
    engine = WeightEngine(model, memories, inputs)
    engine.run(drawn(memories, 50), engine.golden(inputs))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(given, inputs)


def test_a_layer_that_runs_twice_is_refused(inputs: Tensor) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x)).flatten(1)

    with pytest.raises(TaskError, match="'layer' runs 2 times"):
        Replay(Twice().eval(), ["layer"], inputs)


def test_a_network_that_cannot_be_traced_is_refused(inputs: Tensor) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.flatten(1)[:, :8]) if x.sum() > 0 else x

    with pytest.raises(TaskError, match="cannot be traced"):
        Replay(Branching().eval(), ["layer"], inputs)
