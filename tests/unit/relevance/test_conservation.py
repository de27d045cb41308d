"""Relevance is conserved in random networks of all kinds of nodes; without epsilon it is gradient times input."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from laxity.relevance import LrpEpsilon, LrpZPlus
from laxity.relevance.lrp import export, propagate

CLASSES = 4
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example is exported, which takes half a second; a failing network is small as it is."""

METHODS = {
    "epsilon": LrpEpsilon(epsilon=1e-14),
    "epsilon, shares in proportion": LrpEpsilon(epsilon=1e-14, cancelling=0.0),
    "epsilon, held back": LrpEpsilon(epsilon=0.1, cancelling=0.1),
    "z+": LrpZPlus(),
    "z+ with biases": LrpZPlus(biases=True),
    "alpha 2": LrpZPlus(alpha=2.0),
    "alpha 2 with biases": LrpZPlus(alpha=2.0, biases=True),
}


class Residual(nn.Module):
    """An addition of two convolutions, or of one and the input; or, with a stride, the shortcut of CIFAR networks."""

    def __init__(self, channels, kind, bias):
        super().__init__()
        self.kind, self.extra = kind, channels // 2
        stride, more = (2, 2 * self.extra) if kind == "option A" else (1, 0)
        self.conv = nn.Conv2d(channels, channels + more, 3, stride=stride, padding=1, bias=bias)
        self.other = nn.Conv2d(channels, channels, 1, bias=bias) if kind == "two" else nn.Identity()

    def forward(self, x):
        if self.kind == "option A":
            return self.conv(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        if self.kind == "difference":
            return torch.sub(x, self.conv(x), alpha=0.5)
        return self.conv(x) + self.other(x)


class Branches(nn.Module):
    """Parts of the channels, changed differently and put together again."""

    def __init__(self, channels, bias):
        super().__init__()
        self.conv = nn.Conv2d(channels - channels // 2, 3, 3, padding=1, bias=bias)

    def forward(self, x):
        left, right = x.split([x.shape[1] // 2, x.shape[1] - x.shape[1] // 2], 1)
        return torch.cat([self.conv(right), left.flip(2), right.roll(1, 3)], 1)


class Shapes(nn.Module):
    """There and back through other shapes."""

    def forward(self, x):
        y = x.permute(0, 2, 3, 1).reshape(len(x), -1, x.shape[1]).transpose(1, 2)
        return torch.stack(y.unbind(1), 1).view(x.shape).contiguous() * 0.5


class Last(nn.Module):
    """A linear layer on means or on everything, written as a product with the weight or as a layer."""

    def __init__(self, features, how, bias):
        super().__init__()
        self.how = how
        self.linear = nn.Linear(features, CLASSES, bias=bias)

    def forward(self, x):
        x = x.mean((2, 3)) if self.how == "mean" else F.adaptive_avg_pool2d(x, 1).flatten(1)
        return x @ self.linear.weight.T if self.how == "product" else self.linear(x)


def activation(name):
    return {"relu": nn.ReLU(inplace=True), "relu6": nn.ReLU6(), "leaky": nn.LeakyReLU(0.2), "gelu": nn.GELU()}[name]


def block(kind, channels, bias):
    """A module and how many channels come out of it."""
    conv = {
        "conv": {"out_channels": 5, "kernel_size": 3, "padding": 1},
        "strided": {"out_channels": 4, "kernel_size": 2, "stride": 2},
        "dilated": {"out_channels": 6, "kernel_size": 3, "padding": 2, "dilation": 2, "padding_mode": "replicate"},
        "depthwise": {"out_channels": 2 * channels, "kernel_size": 3, "padding": "same", "groups": channels},
    }
    if kind == "transposed":
        return nn.ConvTranspose2d(channels, 4, 3, stride=1, padding=1, bias=bias), 4
    if kind in conv:
        return nn.Conv2d(channels, bias=bias, **conv[kind]), conv[kind]["out_channels"]
    if kind == "norm":
        return nn.BatchNorm2d(channels, affine=bias), channels
    plain = {
        "max": nn.MaxPool2d(2),
        "average": nn.AvgPool2d(3, 1, 1),
        "adaptive max": nn.AdaptiveMaxPool2d(3),
        "dropout": nn.Dropout(),
        "shapes": Shapes(),
    }
    if kind in plain:
        return plain[kind], channels
    if kind == "branches":
        return Branches(channels, bias), channels + 3
    return Residual(channels, kind, bias), channels + (2 * (channels // 2) if kind == "option A" else 0)


KINDS = (
    "conv", "strided", "dilated", "depthwise", "transposed", "max", "average", "adaptive max", "dropout", "shapes",
    "branches", "identity", "two", "difference", "option A",
)  # fmt: skip


@st.composite
def networks(draw, activations=("relu", "relu6", "leaky", "gelu"), kinds=KINDS, bias=None):
    """A network in float64, a batch of two inputs, and whether it has biases."""
    biased = draw(st.booleans()) if bias is None else bias
    kinds = [*kinds, "norm"] if biased else kinds
    parts, channels, size = [], 3, 8
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4)):
        if kind in ("strided", "max", "option A", "adaptive max"):
            if size < 4:
                continue
            size = 3 if kind == "adaptive max" else size // 2
        made, channels = block(kind, channels, biased)
        parts += [made, activation(draw(st.sampled_from(activations)))]
        if channels > 12:
            break
    how = draw(st.sampled_from(["mean", "pool"] if biased else ["mean", "pool", "product"]))
    model = nn.Sequential(*parts, Last(channels, how, biased)).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64) * 0.6
            value.copy_(drawn.abs() + 0.1 if name.endswith("running_var") else drawn)
            if not biased and name.endswith("running_mean"):
                value.zero_()
    return model, torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64), biased


def exported(model, x):
    """The graph, its values, and the logits of the predicted classes as start."""
    graph = export(model, x)
    values = graph.run(x)
    logits = values[graph.output.name]
    start = logits * F.one_hot(logits.argmax(1), CLASSES)
    assume(float(start.abs().sum()) > 1e-3)
    return graph, values, start


def layers(graph):
    """The nodes through which everything has to go: while they are alive, nothing else is."""
    order = [node for node in graph.nodes if node.name in graph.active]
    position = {node: i for i, node in enumerate(order)}
    last_use = {node: max((position.get(user, len(order)) for user in node.users), default=0) for node in order}
    for i, node in enumerate(order):
        if last_use[node] > i and not any(last_use[earlier] > i for earlier in order[:i]):
            yield node


def check(graph, values, start, criterion, biased):
    found = propagate(graph, values, start, criterion.method())
    wanted, scale = float(start.sum()), float(start.abs().sum())
    order = [node.name for node in graph.nodes]
    cut = [node for node in layers(graph) if isinstance(values[node.name], torch.Tensor)]
    assert cut[0] is graph.input
    assert len(cut) > 3
    for node in cut:
        absorbed = sum(lost for name, lost in found.absorbed.items() if order.index(name) > order.index(node.name))
        total = float(found.relevance[node.name].sum())
        assert total + absorbed == pytest.approx(wanted, rel=1e-5, abs=1e-5 * scale)
        if not biased and getattr(criterion, "epsilon", 0) < 1e-9:
            assert total == pytest.approx(wanted, rel=1e-5, abs=1e-5 * scale)
        if criterion == METHODS["z+"] and len(found.relevance[node.name]) == len(start):
            by_sample = found.relevance[node.name].flatten(1) * start.sum(1, keepdim=True).sign()
            assert (by_sample >= 0).all()


@pytest.mark.slow
@given(drawn=networks())
@settings(max_examples=20, deadline=None, phases=UNSHRUNK)
def test_sums_of_layers_and_what_is_absorbed(drawn):
    model, x, biased = drawn
    graph, values, start = exported(model, x)
    for criterion in METHODS.values():
        check(graph, values, start, criterion, biased)


@pytest.mark.slow
@given(drawn=networks(activations=("relu", "relu6"), bias=True) | networks(activations=("relu", "leaky"), bias=False))
@settings(max_examples=12, deadline=None, phases=UNSHRUNK)
def test_the_epsilon_rule_without_epsilon_is_gradient_times_input(drawn):
    """Source: M. Ancona et al., ICLR 2018, proposition 1; for piecewise linear activations through the origin."""
    model, x, _ = drawn
    clipped = any(isinstance(part, nn.ReLU6) for part in model)
    graph, values, start = exported(model, x)
    found = propagate(graph, values, start, METHODS["epsilon, shares in proportion"].method())
    for part in model.modules():
        if getattr(part, "inplace", False):
            part.inplace = False  # autograd refuses some orders of such layers; the graph has none of them
    x.requires_grad_()
    logits = model(x)
    (slope,) = torch.autograd.grad(logits.max(1).values.sum(), x)
    assume(not clipped or not any((part > 6).any() for part in _before_clipping(model, x)))
    wanted = (x * slope).detach()
    assert torch.allclose(found.relevance[graph.input.name], wanted, rtol=1e-5, atol=1e-7 * float(wanted.abs().max()))


def _before_clipping(model, x):
    for part, following in itertools.pairwise(model):
        x = part(x)
        if isinstance(following, nn.ReLU6):
            yield x


@pytest.mark.parametrize("criterion", [METHODS["epsilon"], METHODS["z+"], METHODS["alpha 2"]], ids=["eps", "z+", "a2"])
def test_conserved_where_summands_cancel(criterion):
    """The sum is tiny or 0, and nothing is lost and nothing explodes."""

    class Cancels(nn.Module):
        def forward(self, x):
            return torch.cat([x + (-x), x + (-x * (1 - 1e-12)), x], 1).sum(1, keepdim=True).expand(-1, CLASSES)

    x = torch.tensor([[1.0, -2.0, 3.0, 0.5]], dtype=torch.float64)
    graph = export(Cancels(), x)
    start = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    found = propagate(graph, graph.run(x), start, criterion.method())
    relevance = found.relevance[graph.input.name]
    assert float(relevance.sum()) + sum(found.absorbed.values()) == pytest.approx(10, rel=1e-5)
    assert float(relevance.sum()) == pytest.approx(10, rel=1e-5)
    assert float(relevance.abs().max()) < 1e4


def test_conserved_in_float32_through_resnet20():
    from laxity.models.base import build
    from laxity.sites.prepare import prepare

    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = prepare(build("resnet20"), x).model
    for name, value in model.named_parameters():
        if name.endswith("bias"):
            value.zero_()
    graph = export(model, x)
    values = graph.run(x)
    start = values[graph.output.name] * F.one_hot(torch.tensor([1, 2, 3, 4]), 10)
    for criterion in (LrpZPlus(), LrpEpsilon(epsilon=1e-9)):
        found = propagate(graph, values, start, criterion.method())
        cut = list(layers(graph))
        assert len(cut) > 20
        for node in cut:
            total = found.relevance[node.name].flatten(1).sum(1)
            assert torch.allclose(
                total, start.sum(1), rtol=1e-5 if isinstance(criterion, LrpZPlus) else 1e-3, atol=1e-6
            )
