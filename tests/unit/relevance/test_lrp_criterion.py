"""From relevance of nodes to scores of sites, and networks that relevance cannot go through."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import laxity as lx
from laxity.core.errors import ConfigError, TaskError
from laxity.models.base import build
from laxity.relevance import LrpEpsilon, LrpZPlus, relevances, subject_of
from laxity.relevance.lrp import export, propagate
from laxity.task.make import make_task


class Shared(nn.Module):
    """One convolution runs twice, tokens and samples share a dimension in `mixed`, inside a module of its own."""

    def __init__(self, mixes):
        super().__init__()
        self.mixes = mixes
        self.first = nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular")
        self.body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True))
        self.mixed, self.last = nn.Linear(3, 5), nn.Linear(5, 4)

    def forward(self, x):
        x = self.body(self.body(torch.relu(self.first(x)))).flatten(2).transpose(1, 2)
        x = torch.relu(self.mixed(x.flatten(0, 1)).unflatten(0, x.shape[:2]) if self.mixes else self.mixed(x))
        return self.last(x.mean(1))


def task_of(model, *shape, samples=60):
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
    return make_task(
        "small", model, train=(torch.randn(samples, *shape, generator=generator), torch.arange(samples) % 4)
    )


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("criterion", [LrpZPlus(), LrpEpsilon(start="predicted")], ids=["z+", "epsilon"])
def test_scores_are_means_of_absolute_relevance_of_maps(mixes, criterion):
    """Sample by sample, by nodes that are found by what they compute, not by the names of modules."""
    task = task_of(Shared(mixes), 1, 3, 3)
    samples = 4 if mixes else 34  # more than one batch, the last one not full
    found = relevances(task, criterion, samples=samples)
    subject = subject_of(task, samples=samples)
    model = subject.prepared.model
    graph = export(model, subject.inputs[:1])
    calls = [
        node.name for node in graph.nodes if getattr(node.target, "__name__", "").split(".")[0] in ("conv2d", "linear")
    ]
    names = ["first", "body.0", "body.0", "mixed", "last"]
    assert len(calls) == len(names)
    wanted = dict.fromkeys(names, 0.0)
    for x, y in zip(subject.inputs.split(1), subject.targets, strict=True):
        values = graph.run(x)
        logits = values[graph.output.name]
        chosen = y if criterion.start == "true" else logits[0].argmax()
        relevance = propagate(graph, values, logits * F.one_hot(chosen[None], 4), criterion.method()).relevance
        maps = dict.fromkeys(names, 0.0)
        for name, call in zip(names, calls, strict=True):
            back = relevance[call][0]
            maps[name] = maps[name] + (
                back.flatten(1).sum(1) if back.dim() == 3 else back.reshape(-1, back.shape[-1]).sum(0)
            )
            if name == "mixed" and mixes:
                maps[name] = relevance[call].sum(0)
        wanted = {name: wanted[name] + maps[name].abs().numpy() / samples for name in maps}
    assert found.keys() == wanted.keys()
    for name, scores in found.items():
        np.testing.assert_allclose(scores, wanted[name], rtol=1e-3, atol=1e-5)


def test_sites_of_resnet20_share_out_the_logit():
    """What everything goes through has the whole logit, both convolutions of a block the same, shortcuts the rest."""
    model = build("resnet20", num_classes=4)
    task = task_of(model, 3, 32, 32)
    subject = subject_of(task, samples=5)
    for parameter in subject.prepared.model.parameters():
        if parameter.dim() == 1:
            parameter.zero_()
    found = relevances(task, "lrp_zplus", samples=5, prepared=subject.prepared)
    logits = subject.prepared.model(subject.inputs)
    total = float(logits.gather(1, subject.targets[:, None]).abs().mean())
    sums = {name: scores.sum() for name, scores in found.items()}
    assert len(sums) == 20
    assert sums["conv1"] == pytest.approx(total, rel=1e-4)
    assert sums["linear"] == pytest.approx(total, rel=1e-4)
    for name, value in sums.items():
        if name.endswith("conv2"):
            assert value == pytest.approx(sums[name.replace("conv2", "conv1")], rel=1e-3)
            assert 0 < value < total


def test_options():
    for make in (lambda: LrpZPlus(alpha=0.5), lambda: LrpEpsilon(epsilon=-1), lambda: LrpEpsilon(cancelling=2)):
        with pytest.raises(ConfigError, match=r"from [01]"):
            make()
    with pytest.raises(ConfigError, match="'true' or 'predicted', not 'loss'"):
        relevances(lx.load_task("digits"), "lrp_zplus", start="loss")


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (
            lambda: build("vit_tiny", num_classes=4),
            (3, 8, 8),
            r"node 'layer_norm\w*' \(function 'layer_norm' in module",
        ),
        (lambda: build("gru", num_classes=4, input_shape=(3, 5)), (3, 5), r"function '\w+' in module 'recurrent'"),
    ],
)
def test_what_it_cannot_go_through(model, shape, message):
    task = task_of(model(), *shape)
    with pytest.raises(TaskError, match=message) as raised:
        relevances(task, "lrp_zplus", samples=2)
    assert "use a criterion that needs only derivatives, such as 'taylor'" in str(raised.value)
    assert relevances(task, "taylor", samples=2)


class Odd(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.last(self.function(self.first(x), self.first.weight))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, w: x * torch.sigmoid(x), "multiplies or divides by an activation"),
        (lambda x, w: 1 / (2 + x.abs()), "no rule"),
        (lambda x, w: x @ (x.T @ x), "multiplies two activations"),
        (lambda x, w: F.linear(x, w * x.mean()), "whose weight depends on the data"),
        (lambda x, w: x if float(x.sum()) > 0 else -x, "torch.export fails: .*use a criterion that needs none"),
        (lambda x, w: F.batch_norm(x, None, None, training=True), "no rule|depend on the batch"),
    ],
)
def test_what_else_it_cannot_go_through(function, message):
    model = Odd(function).requires_grad_(False).eval()
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TaskError, match=message):
        back_through(model, x)


def back_through(model, x):
    graph = export(model, x)
    values = graph.run(x)
    return propagate(graph, values, values[graph.output.name], LrpZPlus().method())
