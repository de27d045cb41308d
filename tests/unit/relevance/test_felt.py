"""Criteria of outputs and derivatives against their definitions, one sample and one channel at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.errors import TaskError
from laxity.models.base import build
from laxity.relevance import relevances, subject_of
from laxity.sites.prepare import prepare
from laxity.task.make import make_task


class Small(nn.Module):
    """Two convolutions, one of them run twice, an activation that works in place, a linear layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, padding=1)
        self.again = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.last = nn.Linear(3, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.first(x))
        x = self.relu(self.again(x))
        x = self.relu(self.again(x))
        return self.last(x.mean((2, 3)))


class Steps(nn.Module):
    """Recurrent, with time first; samples are in the second dimension of its input layer's output, mixed with time."""

    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.recurrent = kind(3, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.recurrent(x.transpose(0, 1))[0][-1])


class Tokens(nn.Module):
    """Puts tokens and samples into one dimension."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x.flatten(0, 1))).unflatten(0, (len(x), -1)).mean(1))


def task_of(model, *shape, classes, samples=6, **options):
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
    x, y = torch.randn(20, *shape, generator=generator), torch.arange(20) % classes
    return make_task("small", model, train=(x, y), num_classes=classes, **options), samples


CASES = {
    "twice": lambda: task_of(Small(), 2, 5, 4, classes=4),
    "lstm": lambda: task_of(Steps(), 6, 3, classes=3),
    "gru": lambda: task_of(Steps(nn.GRU), 6, 3, classes=3),
    "tokens": lambda: task_of(Tokens(), 3, 5, classes=3),
}


def defined(task, samples):
    """Values and derivatives of every output of a site, by shifting that output, in float64, for each sample."""
    subject = subject_of(task, samples=samples)
    model = prepare(task.model, task.example_input).model.double()
    found = []
    for x, y in zip(subject.inputs.double().split(1), subject.targets.split(1), strict=True):
        kept = {name: [] for name in subject.layers}
        shifts = {name: [] for name in subject.layers}

        def hook(name, output, kept=kept, shifts=shifts):
            shifts[name].append(torch.zeros_like(output, requires_grad=True))
            kept[name].append(output.detach().clone())
            return output + shifts[name][-1]

        hooks = [
            model.get_submodule(name).register_forward_hook(lambda _m, _i, o, name=name, hook=hook: hook(name, o))
            for name in subject.layers
        ]
        loss = F.cross_entropy(model(x), y)
        for handle in hooks:
            handle.remove()
        flat = [s for calls in shifts.values() for s in calls]
        slopes = iter(torch.autograd.grad(loss, flat))
        found.append({name: [(value, next(slopes)) for value in calls] for name, calls in kept.items()})
    return found


def channel_of(tensor, channel):
    return tensor[:, channel] if tensor.dim() == 4 else tensor[..., channel]


BY_DEFINITION = {
    "taylor": lambda pairs: abs(sum(float((v * g).sum()) for v, g in pairs)),
    "gradient": lambda pairs: sum(float(g.abs().sum()) for _, g in pairs),
    "sensitivity": lambda pairs: sum(float((v * g).abs().sum()) for v, g in pairs),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("criterion", BY_DEFINITION)
def test_definition(case, criterion):
    task, samples = CASES[case]()
    reference = defined(task, samples)
    found = relevances(task, criterion, samples=samples)
    assert found.keys() == reference[0].keys()
    for name, scores in found.items():
        for channel, score in enumerate(scores):
            pairs = [
                [(channel_of(v, channel), channel_of(g, channel)) for v, g in sample[name]] for sample in reference
            ]
            wanted = np.mean([BY_DEFINITION[criterion](sample) for sample in pairs])
            assert score == pytest.approx(wanted, rel=1e-3, abs=1e-7)


def test_derivatives_are_those_of_each_samples_own_loss_whatever_the_reduction():
    task, samples = CASES["twice"]()
    summed, _ = task_of(Small(), 2, 5, 4, classes=4, loss=lambda x, y: F.cross_entropy(x, y, reduction="sum"))
    one, other = relevances(task, "taylor", samples=samples), relevances(summed, "taylor", samples=samples)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)


def test_taylor_is_the_loss_of_removal_to_first_order():
    """A tiny change of one channel in proportion to its output changes the loss as the criterion says."""
    task, _ = CASES["twice"]()
    found = relevances(task, "taylor", samples=1)
    subject = subject_of(task, samples=1)
    model, step = prepare(task.model, task.example_input).model.double(), 1e-6
    x, y = subject.inputs.double(), subject.targets

    def loss(name, channel, scale):
        def hook(_m, _i, output):
            factor = torch.ones_like(output)
            channel_of(factor, channel).fill_(scale)
            return output * factor

        handle = model.get_submodule(name).register_forward_hook(hook)
        with torch.no_grad():
            value = float(F.cross_entropy(model(x), y))
        handle.remove()
        return value

    for name in found:
        for channel, score in enumerate(found[name]):
            change = (loss(name, channel, 1 + step) - loss(name, channel, 1 - step)) / (2 * step)
            assert score == pytest.approx(abs(change), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("criterion", BY_DEFINITION)
def test_vision_transformer(criterion):
    model = build("vit_tiny")
    task, samples = task_of(model, 3, 8, 8, classes=10, samples=3)
    found = relevances(task, criterion, samples=samples)
    assert {name.rpartition(".")[2] for name in found} >= {"patches", "linear1", "linear2", "linear"}
    assert all((scores >= 0).all() and (scores > 0).any() for scores in found.values())


def test_nothing_to_differentiate_is_an_error():
    class Frozen(Tokens):
        @torch.no_grad()
        def forward(self, x):
            return super().forward(x)

    task, _ = task_of(Frozen(), 3, 5, classes=3)
    with pytest.raises(TaskError, match="use the criterion 'magnitude'"):
        relevances(task, "taylor")
