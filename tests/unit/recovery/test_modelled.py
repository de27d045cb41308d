"""Passes through the error model: values, gradients, noise, and that nothing of it stays."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from laxity.circuits import catalogue
from laxity.core.errors import PlanError
from laxity.core.plan import Recovery
from laxity.emulate.build import emulated
from laxity.evaluation.quality import compare, predict
from laxity.models import build_for
from laxity.recovery import ErrorModel, error_models, modelled
from laxity.recovery.train import retrain

LAYERS = {
    "conv": (lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 3, 5, 5)),
    "depthwise": (lambda: nn.Conv1d(4, 4, 3, groups=4, bias=False), (2, 4, 8)),
    "linear": (lambda: nn.Linear(7, 4), (5, 7)),
    "tokens": (lambda: nn.Linear(7, 4, bias=False), (2, 3, 7)),
}


def constant_model(site, slope, offset, low, high, spread=0.0):
    """A model with the same numbers for all kernels, or lists of one for each."""
    return ErrorModel(site, *(torch.tensor(v).reshape(-1) for v in (slope, offset, low, high, spread)), 0.5)


def build(ref, kind):
    """Layer with a gain, input, and its exact twin's output without bias, as (batch, kernels, rest)."""
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    x = torch.randn(shape)
    model = ref.quantised(nn.Sequential(make()), x)
    layer = ref.site(model)
    layer.gain.copy_(torch.linspace(0.5, 2, len(layer.gain)))
    return model, layer, x


def spread(layer, values):
    """Values per kernel against the layer's output."""
    return values.reshape(-1, *([1] * (0 if layer.form.linear else len(layer.form.kernel))))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("per_kernel", [False, True])
def test_values_and_gradients(ref, kind, per_kernel):
    model, layer, x = build(ref, kind)
    slope, offset, low, high = (
        ([-0.3, 0.1, 0.0, 0.2], [40.0, -30.0, 20.0, 0.0], [-500.0] * 4, [300.0, 200.0, 50.0, 800.0])
        if per_kernel
        else (-0.3, 40.0, -500.0, 300.0)
    )
    given = constant_model("0", slope, offset, low, high)
    for tensor in (x, *layer.parameters()):
        tensor.requires_grad_(True)
    exact = model(x)
    bias = 0 if layer.bias is None else spread(layer, layer.bias.detach())
    scale = layer.operand.weight.scale_and_zero(layer.weight)[0] * layer.operand.input.scale * layer.gain
    unit = spread(layer, scale)
    a, c, lo, hi = (
        spread(layer, v) if v.numel() > 1 else v for v in (given.slope, given.offset, given.low, given.high)
    )
    sums = (exact.detach() - bias) / unit
    line = a * sums + c
    layer.multiplier = catalogue.get("drum8_3")
    with modelled(model, {"0": given}):
        got = model(x)
    assert torch.allclose(got, exact + torch.clamp(line, lo, hi) * unit, atol=1e-5)
    inside = (line > lo) & (line < hi)
    assert 0.05 < float(inside.float().mean()) < 1
    upstream = torch.randn_like(exact)
    wanted = [layer.weight, x] if layer.bias is None else [layer.weight, x, layer.bias]
    mine = torch.autograd.grad(got, wanted, upstream)
    theirs = torch.autograd.grad(exact, wanted[:2], upstream * (1 + a * inside))
    for left, right in zip(mine, theirs, strict=False):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-4 * float(right.abs().max()))
    if layer.bias is not None:
        over = [d for d in range(upstream.dim()) if d != upstream.dim() - 1 - (bias.dim() - 1)]
        assert torch.allclose(mine[2], upstream.sum(over), atol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("noise_seed", [None, 5])
def test_straight_lines_are_clipped_lines_that_reach_far(ref, kind, noise_seed):
    model, layer, x = build(ref, kind)
    x.requires_grad_(True)
    model.requires_grad_(True)
    given = constant_model("0", [-0.3, 0.1, 0.0, 0.2], [40.0, -30.0, 20.0, 0.0], [-1e9] * 4, [1e9] * 4, [7.0] * 4)
    wanted = [t for t in (x, layer.weight, layer.bias) if t is not None]
    found = []
    for clips in (True, False):
        with modelled(model, {"0": given}, noise_seed=noise_seed, clips=clips):
            y = model(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), wanted)])
    for left, right in zip(*found, strict=True):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-5 * float(right.detach().abs().max()))


def test_exact_multipliers_change_nothing(digits):
    model = digits.build()
    x = digits.inputs[0]
    models = error_models(model, digits.inputs, seed=0)
    plain = model(x)
    plain_gradient = torch.autograd.grad(model(x.requires_grad_(True)).square().sum(), x)[0]
    with modelled(model, models, noise_seed=0):
        assert torch.equal(model(x), plain)
        assert torch.equal(torch.autograd.grad(model(x).square().sum(), x)[0], plain_gradient)
    x.requires_grad_(False)


@pytest.mark.parametrize("name", ["optrunc8_3", "coltrunc8_8", "mitchell8"])
def test_models_come_nearer_to_the_circuit_than_exact_products(digits, name):
    model, x = digits.build(), digits.inputs[0]
    with torch.no_grad():
        exact = model(x)
        for layer in emulated(model):
            layer.multiplier = catalogue.get(name)
        true = model(x)
        for per_kernel, most in ((False, 0.6), (True, 0.45)):
            with modelled(model, error_models(model, digits.inputs, seed=0, per_kernel=per_kernel)):
                assert float((model(x) - true).norm()) < most * float((exact - true).norm())
        assert torch.equal(model(x), true)


@pytest.mark.parametrize("name", ["gru", "vit_tiny"])
def test_recurrent_and_attention_networks(ref, name):
    torch.manual_seed(0)
    x = torch.randn(8, 1, 8, 8)
    model = ref.quantised(build_for(name, (1, 8, 8), 5), x)
    exact = model(x)
    for layer in emulated(model):
        layer.multiplier = catalogue.get("optrunc8_3")
    true = model(x)
    with modelled(model, error_models(model, [x], seed=0, patches=128, per_kernel=True)):
        got = model(x)
    assert float((got - true).norm()) < 0.6 * float((exact - true).norm())


def test_noise_has_the_spread_of_the_residual(ref):
    model, layer, x = build(ref, "linear")
    model_of = constant_model("0", 0.0, 0.0, 0.0, 0.0, [10.0, 0.0, 40.0, 20.0])
    exact = model(x)
    unit = layer.operand.weight.scale_and_zero(layer.weight)[0] * layer.operand.input.scale * layer.gain
    many = x.expand(4000, 5, 7)
    with modelled(model, {"0": model_of}, noise_seed=3):
        noise = (model(many) - exact).flatten(0, 1) / unit
        second = (model(many) - exact).flatten(0, 1) / unit
    assert noise.std(0).tolist() == pytest.approx([10, 0, 40, 20], rel=0.03, abs=1e-4)
    assert not torch.equal(noise, second)
    for seed, same in ((3, True), (4, False)):
        with modelled(model, {"0": model_of}, noise_seed=seed):
            assert torch.equal((model(many) - exact).flatten(0, 1) / unit, noise) == same


def test_nothing_of_it_stays(ref):
    model, layer, x = build(ref, "conv")
    layer.multiplier = catalogue.get("mitchell8")
    state, true = copy.deepcopy(model.state_dict()), model(x)
    given = {"0": constant_model("0", -0.5, 0.0, -1e6, 1e6)}

    def interrupted():
        with modelled(model, given):
            assert not torch.equal(model(x), true)
            assert model.state_dict().keys() == state.keys()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert layer.multiplier is catalogue.get("mitchell8")
    assert torch.equal(model(x), true)
    assert torch.equal(copy.deepcopy(model)(x), true)
    assert torch.equal(torch.export.export(model, (x,)).module()(x), true)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda model, x: copy.deepcopy(model),
        lambda model, x: pickle.dumps(model),
        lambda model, x: torch.save(model, io.BytesIO()),
        lambda model, x: torch.export.export(model, (x,), strict=False),
    ],
    ids=["copy", "pickle", "save", "export"],
)
def test_the_model_cannot_leave_the_context(ref, attempt):
    model, _, x = build(ref, "conv")
    with (
        modelled(model, {"0": constant_model("0", -0.5, 0.0, -1e6, 1e6)}),
        pytest.raises(PlanError, match=r"'0'.*leave the context 'modelled'"),
    ):
        attempt(model, x)


def test_models_of_another_network_are_refused(ref):
    model, _, _ = build(ref, "conv")
    with (
        pytest.raises(PlanError, match="'head', which is no site"),
        modelled(model, {"head": constant_model("head", 0.0, 0.0, 0.0, 0.0)}),
    ):
        pass
    with (
        pytest.raises(PlanError, match="2 kernels, the site has 4"),
        modelled(model, {"0": constant_model("0", [0.0, 0.0], 0.0, 0.0, 0.0)}),
    ):
        pass


@pytest.mark.slow
def test_training_with_the_model_is_as_good_as_with_the_table(digits):
    """A multiplier that costs most of the accuracy; both kinds of training, judged by the true table."""
    validation = {}
    recovery = Recovery(epochs=4, learning_rate=1e-3, batch_size=64)
    exact = predict(digits.build(), digits.task, "validation")
    for way in ("none", "table", "model"):
        model = digits.build()
        for layer in emulated(model):
            layer.multiplier = catalogue.get("coltrunc8_10")
        if way == "table":
            retrain(model, digits.task, recovery, seed=0)
        elif way == "model":
            for epoch in range(2):
                models = error_models(model, digits.inputs, seed=epoch, per_kernel=True)
                with modelled(model, models, noise_seed=epoch):
                    retrain(model, digits.task, Recovery(epochs=2, learning_rate=1e-3, batch_size=64), seed=epoch)
        validation[way] = compare(exact, predict(model, digits.task, "validation")).drop
    assert validation["none"] > 0.1
    assert validation["model"] < 0.02
    assert validation["model"] <= validation["table"] + 0.01


def test_models_follow_the_weights(digits):
    """Fitted anew inside the context, to the multiplier that the sites have outside of it."""
    model = digits.build()
    for layer in emulated(model):
        layer.multiplier = catalogue.get("mitchell8")
    before = error_models(model, digits.inputs, seed=0)
    with modelled(model, before) as session:
        next(emulated(model)).weight.mul_(torch.linspace(-1, 1, 9).reshape(3, 3))
        session.refit(digits.inputs, seed=0)
        after = session.models
    wanted = error_models(model, digits.inputs, seed=0)
    first = next(emulated(model)).site.name
    assert torch.equal(after[first].slope, wanted[first].slope)
    assert torch.equal(after[first].offset, wanted[first].offset)
    assert not torch.equal(after[first].slope, before[first].slope)
    assert all(len(found.slope) == 1 for found in after.values())
