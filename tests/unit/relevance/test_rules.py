"""Rules against loops over their definitions, kind of layer by kind of layer, and in whole networks by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.relevance import LrpEpsilon, LrpZPlus
from laxity.relevance.lrp import export, propagate

EPSILON = 0.05


def by_epsilon(a, w, b, back, epsilon=EPSILON):
    """``R_i = sum_j a_i w_ij / (z_j + epsilon sign(z_j)) R_j`` for one sample; w is (inputs, outputs)."""
    found, absorbed = np.zeros(len(a)), 0.0
    for j in range(len(back)):
        z = sum(a[i] * w[i, j] for i in range(len(a))) + b[j]
        stabilised = z + epsilon * (1 if z >= 0 else -1)
        for i in range(len(a)):
            found[i] += a[i] * w[i, j] / stabilised * back[j]
        absorbed += (b[j] + stabilised - z) / stabilised * back[j]
    return found, absorbed


def by_alpha_beta(a, w, b, back, alpha=1.0, biases=False):
    """``R_i = sum_j (alpha z_ij+ / sum z+ - beta z_ij- / sum z-) R_j``, all to one side where the other is empty."""
    found, absorbed = np.zeros(len(a)), 0.0
    for j in range(len(back)):
        z = [a[i] * w[i, j] for i in range(len(a))]
        up = [max(x, 0) for x in z] + [max(b[j], 0) if biases else 0]
        down = [min(x, 0) for x in z] + [min(b[j], 0) if biases else 0]
        if sum(up) and sum(down):
            shares = [alpha * u / sum(up) - (alpha - 1) * d / sum(down) for u, d in zip(up, down, strict=True)]
        elif sum(up):
            shares = [u / sum(up) for u in up]
        elif sum(down) and (biases or b[j] <= 0):
            shares = [d / sum(down) for d in down]
        else:
            shares = [0.0] * len(a) + [1.0]
        for i in range(len(a)):
            found[i] += shares[i] * back[j]
        absorbed += shares[-1] * back[j]
    return found, absorbed


RULES = {
    "epsilon": (LrpEpsilon(epsilon=EPSILON), by_epsilon),
    "z+": (LrpZPlus(), by_alpha_beta),
    "z+ with biases": (LrpZPlus(biases=True), lambda *args: by_alpha_beta(*args, biases=True)),
    "alpha 2": (LrpZPlus(alpha=2.0), lambda *args: by_alpha_beta(*args, alpha=2.0)),
    "alpha 1.5 with biases": (
        LrpZPlus(alpha=1.5, biases=True),
        lambda *args: by_alpha_beta(*args, alpha=1.5, biases=True),
    ),
}


class Times(nn.Module):
    """A product with a matrix of weights on one side."""

    def __init__(self, left, function=torch.matmul):
        super().__init__()
        self.left, self.function = left, function
        self.weight = nn.Parameter(torch.empty(3, 4) if left else torch.empty(5, 3))

    def forward(self, x):
        return self.function(self.weight, x) if self.left else self.function(x, self.weight)


LAYERS = {
    "linear": (lambda: nn.Linear(6, 4), (6,)),
    "linear on tokens": (lambda: nn.Linear(3, 4, bias=False), (4, 3)),
    "conv1d": (lambda: nn.Conv1d(2, 4, 3, stride=2, padding=2, groups=2), (2, 7)),
    "conv2d": (lambda: nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1, dilation=(2, 1)), (2, 5, 4)),
    "conv2d same": (lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4), (4, 3, 3)),
    "conv3d": (lambda: nn.Conv3d(2, 2, 2, stride=2, padding=1), (2, 2, 3, 2)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2, output_padding=1), (2, 4)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, groups=2), (4, 2, 3)),
    "transposed 3d": (lambda: nn.ConvTranspose3d(1, 2, 2), (1, 2, 2, 2)),
    "times a weight": (lambda: Times(False), (4, 5)),
    "a weight times": (lambda: Times(True), (4, 2)),
}


def random_weights(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model.eval().requires_grad_(False)


def dense(layer, shape):
    """Matrix and bias of a layer: its results for unit vectors."""
    size = int(np.prod(shape))
    bias = layer(torch.zeros(1, *shape, dtype=torch.float64))
    units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    rows = torch.cat([layer(unit[None]) - bias for unit in units]).flatten(1)
    return rows.numpy(), bias.flatten().numpy()


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    make, shape = LAYERS[name]
    layer = random_weights(make())
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    graph, (weight, bias) = export(layer, x), dense(layer, shape)
    for inputs, (criterion, defined) in itertools.product((x, x.relu()), RULES.values()):
        values = graph.run(inputs)
        back = torch.randn(values[graph.output.name].shape, dtype=torch.float64, generator=generator)
        found = propagate(graph, values, back, criterion.method())
        pairs = zip(inputs.flatten(1).numpy(), back.flatten(1).numpy(), strict=True)
        wanted = [defined(a, weight, bias, r) for a, r in pairs]
        relevance = found.relevance[graph.input.name].flatten(1).numpy()
        np.testing.assert_allclose(relevance, [r for r, _ in wanted], rtol=1e-9, atol=1e-10)
        absorbed = sum(found.absorbed.values())
        assert absorbed == pytest.approx(sum(lost for _, lost in wanted), rel=1e-9, abs=1e-9)


def test_dense_matrices_are_those_of_the_definition_of_a_convolution():
    """The reference itself, for one convolution with everything, by loops over its definition."""
    layer = random_weights(nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2))
    weight, _ = dense(layer, (4, 5, 4))
    height, width = (5 + 2 - 3) // 2 + 1, 4 + 4 - 3 + 1
    wanted = np.zeros((4, 5, 4, 6, height, width))
    for o, i, dy, dx, y, x in np.ndindex(6, 2, 3, 2, height, width):
        row, column = 2 * y + dy - 1, x + 2 * dx - 2
        if 0 <= row < 5 and 0 <= column < 4:
            wanted[2 * (o // 3) + i, row, column, o, y, x] += float(layer.weight[o, i, dy, dx])
    np.testing.assert_allclose(weight, wanted.reshape(weight.shape))


class Block(nn.Module):
    """A residual block, a maximum over pairs, a mean over what is left."""

    def __init__(self):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(3, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.inner(x))
        return self.last(F.max_pool1d(x[:, None], 2).flatten(1))


@pytest.mark.parametrize("rule", RULES)
def test_a_network_by_hand(rule):
    """Residual shares: positive summands for z+; summands, each enlarged towards the sum, for epsilon."""
    model, (criterion, defined) = random_weights(Block(), seed=4), RULES[rule]
    x = torch.randn(1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    graph = export(model, x)
    values = graph.run(x)
    start = values[graph.output.name] * F.one_hot(torch.tensor([2]), 4)
    relevance = propagate(graph, values, start, criterion.method()).relevance

    def back_through(layer, a, r):
        return defined(a, layer.weight.T.numpy(), layer.bias.numpy(), r)[0]

    hidden = torch.relu(model.first(x))[0].numpy()
    summand = model.inner(torch.relu(model.first(x)))[0].numpy()
    after = np.maximum(hidden + summand, 0)
    pooled = after.reshape(3, 2).max(1)
    r_pooled = back_through(model.last, pooled, start[0].numpy())
    r_after = np.zeros((3, 2))
    for k, j in enumerate(after.reshape(3, 2).argmax(1)):
        r_after[k, j] = r_pooled[k]
    r_after = r_after.flatten()
    r_hidden, r_summand = np.zeros(6), np.zeros(6)
    for j, r in enumerate(r_after):
        pair = np.array([hidden[j], summand[j]])
        if rule == "epsilon":
            pair += np.copysign(criterion.cancelling, pair.sum()) * abs(pair)
        else:
            pair = np.maximum(pair, 0)
        r_hidden[j], r_summand[j] = r * pair / pair.sum() if r else (0, 0)
    r_hidden += back_through(model.inner, hidden, r_summand)
    wanted = back_through(model.first, x[0].numpy(), r_hidden)
    assert any((hidden > 0) & (summand < 0) & (after > 0))
    np.testing.assert_allclose(relevance[graph.input.name][0].numpy(), wanted, rtol=1e-9, atol=1e-12)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def back_of(function, x, back, criterion):
    graph = export(Function(function), x)
    found = propagate(graph, graph.run(x), back, criterion.method())
    return found.relevance[graph.input.name], sum(found.absorbed.values())


CONSTANT = torch.tensor([1.0, -2.0, 3.0, 0.0])
X = torch.tensor([[3.0, 1.0, -1.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
BACK = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])


def test_constants_that_are_added_absorb_their_share_where_biases_count():
    proportional = LrpEpsilon(cancelling=0.0)
    found, absorbed = back_of(lambda x: x + CONSTANT, X, BACK, proportional)
    wanted = BACK * X / (X + CONSTANT)
    wanted[0, 3] = 2.0  # nothing is known where both summands are 0: half and half
    wanted[1, 1] = 3.0  # 2 - 2: equal sizes
    torch.testing.assert_close(found, wanted)
    assert absorbed == pytest.approx(float((BACK - wanted).sum()))
    found, absorbed = back_of(lambda x: CONSTANT + x - 1, X, BACK, LrpZPlus())
    torch.testing.assert_close(found, BACK)
    assert absorbed == 0


def test_copies_are_added_up_and_factors_do_not_matter():
    for criterion in (LrpEpsilon(), LrpZPlus()):
        found, absorbed = back_of(lambda x: (x[:, None] * torch.ones(3, 4) / 7).neg(), X, BACK[:, None].expand(2, 3, 4),
                                  criterion)  # fmt: skip
        torch.testing.assert_close(found, 3 * BACK)
        assert absorbed == 0


def test_pads_and_constants_beside_absorb_what_falls_on_them():
    back = torch.arange(12.0).reshape(2, 6)
    for function in (lambda x: F.pad(x, (1, 1)), lambda x: F.pad(x, (1, 1), value=3.0),
                     lambda x: torch.cat([torch.ones(2, 1), x, torch.ones(2, 1)], 1)):  # fmt: skip
        found, absorbed = back_of(function, X, back, LrpZPlus())
        torch.testing.assert_close(found, back[:, 1:5])
        assert absorbed == pytest.approx(float(back[:, 0].sum() + back[:, 5].sum()))
    found, absorbed = back_of(lambda x: F.pad(x[:, None], (1, 1), mode="reflect")[:, 0], X, back, LrpZPlus())
    torch.testing.assert_close(found[0], torch.tensor([1.0, 2.0 + 0.0, 3.0 + 5.0, 4.0]))
    assert absorbed == 0


def test_the_largest_takes_all():
    found, absorbed = back_of(lambda x: torch.maximum(x, CONSTANT), X, BACK, LrpZPlus())
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0, 0.0, 2.0], [5.0, 6.0, 0.0, 8.0]]))
    assert absorbed == pytest.approx(3 + 2 + 7)
    found, _ = back_of(lambda x: x.max(1).values, X[:1], torch.tensor([9.0]), LrpZPlus())
    torch.testing.assert_close(found, torch.tensor([[9.0, 0, 0, 0]]))


def test_a_batch_norm_that_stays_gives_its_constant_a_share():
    norm = nn.BatchNorm1d(4).eval().requires_grad_(False)
    norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5]))
    norm.bias.copy_(torch.tensor([0.5, 0.0, 1.0, -1.0]))
    norm.running_mean.copy_(torch.tensor([1.0, 0.0, 0.5, 2.0]))
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    found, absorbed = back_of(norm, X, BACK, LrpEpsilon(cancelling=0.0))
    wanted = BACK * (X * scale) / (X * scale + shift)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert absorbed == pytest.approx(float((BACK - wanted).sum()), rel=1e-4)
    found, absorbed = back_of(norm, X, BACK, LrpZPlus())
    kept = X != 0
    torch.testing.assert_close(found[kept], BACK[kept])


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("chosen", [LrpEpsilon(epsilon=0.0), LrpZPlus()], ids=["epsilon", "z+"])
def test_nothing_becomes_nan_at_zero(start, chosen):
    layer = random_weights(nn.Linear(4, 4)).float()
    back = torch.full((1, 4), start)
    layer.bias.zero_()
    for function in (layer, lambda x: x + x, lambda x: x.mean(1, keepdim=True).expand(-1, 4)):
        found, absorbed = back_of(function, torch.zeros(1, 4), back, chosen)
        assert torch.isfinite(found).all()
        assert float(found.sum()) + absorbed == pytest.approx(4 * start)
