"""Folding of batch norms, groups of channels, and the promise that the user's model stays as it is."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from laxity.core.plan import Plan
from laxity.emulate import EmulatedLayer, approximate
from laxity.models.resnet_cifar import cifar_resnet
from laxity.sites import prepare
from laxity.sites.find import run_recorded
from laxity.sites.fold import fold_batch_norm
from laxity.techniques import Integer


def randomise(model):
    """Give all norms statistics of trained networks, some gains negative or zero."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.3)
            if module.affine:
                nn.init.normal_(module.weight, generator=generator)
                nn.init.normal_(module.bias, generator=generator)
                module.weight.data[0] = 0.0
    return model.eval()


def fold(model, x):
    folded = copy.deepcopy(model)
    norms = fold_batch_norm(folded, run_recorded(folded, x))
    return folded, norms


def left(model):
    return [n for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


PAIRS = {
    "conv1d": (nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), (3, 4, 8)),
    "conv2d": (nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), (3, 3, 6, 6)),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4), (3, 4, 6, 6)),
    "conv3d": (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3, affine=False), (3, 2, 4, 4, 4)),
    "transposed1d": (nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2, bias=False), nn.BatchNorm1d(6), (3, 4, 5)),
    "transposed2d": (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1), nn.BatchNorm2d(6), (3, 4, 5, 5)),
    "transposed3d": (nn.ConvTranspose3d(2, 4, 2, groups=2), nn.BatchNorm3d(4, eps=1e-2), (3, 2, 3, 3, 3)),
    "linear": (nn.Linear(7, 5, bias=False), nn.BatchNorm1d(5), (4, 7)),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_folded_layers_give_the_same_output(kind):
    layer, norm, shape = PAIRS[kind]
    model, x = randomise(nn.Sequential(layer, norm, nn.ReLU())), torch.randn(shape)
    folded, norms = fold(model, x[:1])
    assert left(folded) == []
    assert isinstance(folded[1], nn.Identity)
    torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)
    mean, deviation = norms["0"]
    if norm.affine:
        assert torch.equal(mean, norm.bias)
        assert torch.equal(deviation, norm.weight.abs())
    else:
        assert (mean.tolist(), deviation.tolist()) == ([0.0] * 3, [1.0] * 3)


def test_prescribed_statistics_are_those_of_the_output():
    """On data whose statistics are those the norm has stored, outputs have mean beta and deviation abs(gamma)."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-12)), torch.randn(64, 3, 9, 9)
    nn.init.normal_(model[1].weight)
    nn.init.normal_(model[1].bias)
    rows = model[0](x).movedim(1, 0).flatten(1).detach()
    model[1].running_mean.copy_(rows.mean(1))
    model[1].running_var.copy_(rows.var(1, correction=0))
    folded, norms = fold(model.eval(), x[:1])
    out = folded(x).movedim(1, 0).flatten(1)
    torch.testing.assert_close(out.mean(1), norms["0"][0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(out.std(1, correction=0), norms["0"][1], rtol=1e-3, atol=1e-4)


class Wired(nn.Module):
    """A convolution and a norm, joined in the way named."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.other = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        if how == "tied weights":
            self.other.weight = self.conv.weight
        if how == "layer under two names":
            self.other = self.conv
        if how == "parametrised":
            parametrize.register_parametrization(self.conv, "weight", _Halved())

    def forward(self, x):
        y = self.conv(x)
        match self.how:
            case "used elsewhere":
                return self.norm(y) + y
            case "used in a list":
                return torch.cat([self.norm(y), y])
            case "shared layer" | "layer under two names":
                return self.norm(y) + self.other(self.conv(y) if self.how == "shared layer" else y)
            case "functional in between":
                return self.norm(F.relu(y))
            case "in place in between":
                return self.norm(F.relu_(y))
            case "two layers":
                return self.norm(y + self.other(x))
            case "tied weights":
                return self.norm(y) + self.other(x)
            case "parametrised":
                return self.norm(y)
            case "shared norm":
                z = self.other(x)
                return self.norm(y) + self.norm(z) * z
            case "also returned":
                return self.norm(y), y
        raise AssertionError(self.how)


class _Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


@pytest.mark.parametrize(
    "how",
    [
        "used elsewhere", "used in a list", "shared layer", "layer under two names", "functional in between",
        "in place in between", "two layers", "tied weights", "parametrised", "shared norm", "also returned",
    ],
)  # fmt: skip
def test_norms_stay_where_folding_would_change_something(how):
    torch.manual_seed(1)
    model, x = randomise(Wired(how)), torch.randn(2, 3, 5, 5)
    folded, norms = fold(model, x[:1])
    assert left(folded) == ["norm"]
    assert norms == {}
    torch.testing.assert_close(folded(x.clone()), model(x.clone()))


def test_norm_over_tokens_is_not_taken_for_one_over_features():
    """BatchNorm1d after a linear layer on (n, tokens, features) normalises tokens."""
    model = randomise(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)))
    x = torch.randn(3, 5, 4)
    folded, _ = fold(model, x[:1])
    torch.testing.assert_close(folded(x), model(x))
    other = randomise(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(6)))
    assert left(fold(other, torch.randn(1, 6, 4))[0]) == ["1"]


def test_norms_without_stored_statistics_stay():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)).eval()
    assert left(fold(model, torch.randn(1, 2, 5, 5))[0]) == ["1"]


def test_norms_in_nested_modules_are_found():
    inner = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    model, x = randomise(nn.Sequential(nn.Sequential(inner), nn.ReLU())), torch.randn(2, 2, 5, 5)
    folded, norms = fold(model, x[:1])
    assert left(folded) == []
    assert list(norms) == ["0.0.0"]
    torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_whole_networks_stay_the_same_function(seed):
    torch.manual_seed(seed)
    model, x = randomise(cifar_resnet(8)), torch.randn(2, 3, 16, 16)
    folded, norms = fold(model, x[:1])
    assert left(folded) == []
    assert len(norms) == 7
    expected = model(x)
    torch.testing.assert_close(folded(x), expected, rtol=1e-3, atol=1e-4 * float(expected.detach().abs().max()))


def test_the_users_model_is_never_changed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 3, 3), nn.Flatten())
    model.append(nn.Linear(3 * 16, 2))
    model.train()
    model[5].weight.requires_grad_(False)
    x = torch.randn(4, 2, 8, 8)
    before = copy.deepcopy(model)
    modules = list(model.modules())
    prepare(model, x[:1])
    approximate(model, Plan().with_("0", Integer()).with_("5", Integer()), calibration=x)
    assert list(model.modules()) == modules
    for (name, module), (_, old) in zip(model.named_modules(), before.named_modules(), strict=True):
        assert type(module) is type(old), name
        assert module.training == old.training
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    for name, value in before.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert [p.requires_grad for p in model.parameters()] == [p.requires_grad for p in before.parameters()]
    assert all(p.grad is None for p in model.parameters())


def test_prepared_models_are_frozen_and_in_evaluation_mode():
    prepared = prepare(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).train(), torch.randn(1, 3))
    assert not prepared.model.training
    assert not any(p.requires_grad for p in prepared.model.parameters())
    assert [(s.name, s.group, s.removable) for s in prepared.sites] == [("0", "0", True), ("2", "2", False)]


def test_a_layer_under_two_names_is_replaced_under_both():
    torch.manual_seed(0)
    layer = nn.Linear(5, 5)
    x = torch.randn(6, 5)
    model = approximate(nn.Sequential(layer, nn.ReLU(), layer), Plan().with_("0", Integer(3, 3)), calibration=x)
    assert model[0] is model[2]
    assert isinstance(model[2], EmulatedLayer)
    assert torch.equal(model(x), model[0](model[1](model[0](x))))


def test_a_model_that_is_a_single_layer():
    torch.manual_seed(0)
    layer, x = nn.Linear(5, 3), torch.randn(6, 5)
    model = approximate(layer, Plan().with_("", Integer()), calibration=x)
    assert isinstance(model, EmulatedLayer)
    torch.testing.assert_close(model(x), layer(x), atol=0.05, rtol=0.05)
