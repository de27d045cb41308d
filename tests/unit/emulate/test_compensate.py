"""Compensation takes the mean error of every channel out of the bias, and nothing else."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.plan import Plan, Recovery
from laxity.emulate import approximate
from laxity.emulate.build import build, calibrate, emulated
from laxity.emulate.compensate import compensate
from laxity.emulate.product import EmulatedProduct
from laxity.sites import find_sites, prepare
from laxity.techniques import CircuitMultiplier, Integer

NETWORKS = {
    "conv": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=False)),
        (2, 7, 7),
    ),
    "depthwise": (lambda: nn.Sequential(nn.Conv1d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv1d(4, 2, 1)), (4, 9)),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 3, stride=2), nn.ReLU(), nn.Conv2d(3, 2, 3)),
        (2, 5, 5),
    ),
    "tokens": (lambda: nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3)), (4, 6)),
}


def built(network, x, *choices):
    prepared = prepare(network, x[:1])
    model = build(prepared, Plan.assign(prepared.sites, choices))
    calibrate(model, [x])
    return model


def errors(model, x):
    """Mean error of each channel of each layer on the operands that reach it: approximate less exact output."""
    found = {}

    def watch(layer, args, output):
        circuit, layer.multiplier = layer.multiplier, None
        exact = layer.forward(*args)
        layer.multiplier = circuit
        tail = 0 if layer.form.linear else len(layer.form.kernel)
        found[layer.site.name] = (output - exact).movedim(-1 - tail, 0).flatten(1).double().mean(1)

    handles = [layer.register_forward_hook(watch) for layer in emulated(model)]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("circuit", ["coltrunc8_10", "mitchell8"])
def test_mean_errors_on_the_calibration_inputs_vanish(kind, circuit):
    torch.manual_seed(0)
    make, shape = NETWORKS[kind]
    x = torch.rand(40, *shape)
    model = built(make(), x, Integer(), CircuitMultiplier(circuit))
    before = {
        layer.site.name: torch.zeros_like(layer.gain) if layer.bias is None else layer.bias.detach().clone()
        for layer in emulated(model)
    }
    untreated = errors(model, x)
    taken = compensate(model, [x[:13], x[13:]])
    left = errors(model, x)
    for layer in emulated(model):
        name = layer.site.name
        shift = layer.bias - before[name]
        assert torch.allclose(shift, -taken[name], atol=1e-6)
        remaining = left[name] + shift  # rounding moves a few codes of later layers
        assert float(remaining.abs().max()) < 1e-5 + 0.02 * float(untreated[name].abs().max())
        assert float(untreated[name].abs().max()) > 1e-4


def test_layers_that_are_settled_stay_as_they_are():
    torch.manual_seed(0)
    make, shape = NETWORKS["conv"]
    x = torch.rand(40, *shape)
    model = built(make(), x, Integer(), CircuitMultiplier("coltrunc8_10"))
    before = {layer.site.name: layer.bias for layer in emulated(model)}
    assert set(compensate(model, [x], settled={"0"})) == {"2"}
    assert {layer.site.name: layer.bias is before[layer.site.name] for layer in emulated(model)} == {
        "0": True,
        "2": False,
    }


def test_exact_circuits_are_left_alone():
    torch.manual_seed(0)
    make, shape = NETWORKS["conv"]
    x = torch.randn(8, *shape)
    for choices in ([Integer()], [Integer(), CircuitMultiplier("dadda8")]):
        model = built(make(), x, *choices)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        compensate(model, [x])
        assert before.keys() == model.state_dict().keys()
        assert all(torch.equal(v, model.state_dict()[k]) for k, v in before.items())


class Repeated(nn.Module):
    """A layer that runs three times, and a product of activations."""

    def __init__(self):
        super().__init__()
        self.step = nn.Linear(5, 5)

    def forward(self, x):
        for _ in range(3):
            x = torch.tanh(self.step(x))
        return x @ x.transpose(-1, -2)


def test_layers_that_run_several_times_get_one_mean_and_products_stay():
    torch.manual_seed(0)
    x = torch.randn(64, 4, 5)
    model = built(Repeated(), x, Integer(), CircuitMultiplier("coltrunc8_10"))
    taken = compensate(model, [x])
    assert set(taken) == {"step"}
    assert any(isinstance(layer, EmulatedProduct) for layer in emulated(model))
    step = next(layer for layer in emulated(model) if layer.site.name == "step")
    total = []

    def watch(layer, args, output):
        circuit, layer.multiplier = layer.multiplier, None
        total.append((output - layer.forward(*args)).flatten(0, 1).mean(0))
        layer.multiplier = circuit

    handle = step.register_forward_hook(watch)
    with torch.no_grad():
        model(x)
    handle.remove()
    assert len(total) == 3
    # operands of the second and third run move a little with the bias
    assert torch.allclose(torch.stack(total).mean(0), taken["step"], atol=0.03 * float(taken["step"].abs().max()))


class Deep(nn.Module):
    """Errors add up over layers, and the product of activations is not compensated."""

    def __init__(self):
        super().__init__()
        self.first, self.step, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = torch.relu(self.first(x))
        for _ in range(3):
            x = x + torch.relu(self.step(x))
        return self.last((x @ (x.transpose(-1, -2) @ x) / 64).mean(1))


def divergence(got, wanted):
    return float(F.kl_div(got.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="sum"))


@torch.no_grad()
@pytest.mark.parametrize("seed", range(3))
def test_a_plan_asks_for_it_and_it_is_used_only_where_it_helps(seed):
    torch.manual_seed(seed)
    network, x = Deep(), torch.randn(64, 4, 5)
    sites = find_sites(network, x[:1])
    used = []
    for circuit in ("coltrunc8_10", "mitchell8", "drum8_3", "optrunc8_5"):
        plan = Plan.assign(sites, [Integer(), CircuitMultiplier(circuit)])
        plain = approximate(network, plan, calibration=x)
        found = approximate(network, plan.with_recovery(Recovery(reestimate=False, compensate=True)), calibration=x)
        always = built(network, x, Integer(), CircuitMultiplier(circuit))
        compensate(always, [x])
        wanted = network(x)
        far, near = (divergence(m(x), wanted) for m in (plain, always))
        assert divergence(found(x), wanted) == pytest.approx(min(far, near), rel=1e-6)
        used.append(near < far)
    assert any(used)
