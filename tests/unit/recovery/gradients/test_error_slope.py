"""Straight-through gradients times one plus the slope of the error model."""

import pytest
import torch
from torch import nn

from laxity.circuits import catalogue
from laxity.core.errors import PlanError
from laxity.emulate.build import emulated
from laxity.models import build_for
from laxity.recovery import error_models, modelled, observe, with_gradient
from laxity.techniques import Integer

LAYERS = {
    "conv": (lambda: nn.Conv2d(3, 4, 3, padding=1), (8, 3, 5, 5)),
    "depthwise": (lambda: nn.Conv1d(4, 4, 3, groups=4, stride=2, bias=False), (8, 4, 8)),
    "linear": (lambda: nn.Linear(7, 4), (50, 7)),
}


def gradients(model, site, x, upstream):
    """Output and gradients."""
    site.requires_grad_(True)
    x = x.clone().requires_grad_(True)
    output = model(x)
    wanted = [x, site.weight] if site.bias is None else [x, site.weight, site.bias]
    return output.detach(), torch.autograd.grad(output, wanted, upstream)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("per_kernel", [False, True])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_the_table_forward_and_the_model_backward(ref, kind, per_kernel, scheme):
    """Gradients are those of straight-through ones upstream of ``1 + f'(y)``, whose y comes from the exact twin."""
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    x = torch.randn(shape)
    model = ref.quantised(nn.Sequential(make()), x, Integer(6, 6, scheme, scheme))
    site = ref.site(model)
    site.gain.copy_(torch.linspace(0.5, 2, len(site.gain)))
    with torch.no_grad():
        exact = model(x)
    site.multiplier = catalogue.get("optrunc8_4")
    observed = observe(model, [x[: len(x) // 2]], seed=0)
    fitted = error_models(model, observed, per_kernel=per_kernel)["0"]
    upstream = torch.randn_like(exact)
    values, straight = gradients(model, site, x, upstream)
    with with_gradient(model, "error_slope", observed, per_kernel=per_kernel) as found:
        output, mine = gradients(model, site, x, upstream)
    assert torch.equal(output, values)
    assert f"{float(fitted.slope.mean()):+.3f}" in found["0"].describe()
    tail = [1] * (0 if site.form.linear else len(site.form.kernel))
    bias = 0 if site.bias is None else site.bias.detach().reshape(-1, *tail)
    unit = (site.operand.weight.scale_and_zero(site.weight)[0] * site.operand.input.scale * site.gain).detach()
    sums = torch.round((exact - bias).double() / unit.reshape(-1, *tail))
    slope, offset, low, high = (
        v.double().reshape(-1, *tail) for v in (fitted.slope, fitted.offset, fitted.low, fitted.high)
    )
    line, slack = sums * slope + offset, 1e-4 * (high - low)
    inside = (line >= low - slack) & (line <= high + slack)
    assert float(inside.float().mean()) > 0.3
    assert kind == "depthwise" or not inside.all()
    _, wanted = gradients(model, site, x, upstream * (1 + slope * inside).float())
    for left, right in zip(mine[:2], wanted[:2], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5 * float(right.abs().max()))
    assert not torch.allclose(mine[0], straight[0], rtol=1e-3)
    if site.bias is not None:
        torch.testing.assert_close(mine[2], straight[2], rtol=1e-5, atol=1e-5)


def test_exact_tables_are_straight_through(digits):
    model = digits.build()
    for layer in emulated(model):
        layer.multiplier = catalogue.get("dadda8")
    with with_gradient(model, "error_slope", digits.inputs) as found:
        assert not found
        assert all(layer.gradient is None for layer in emulated(model))


@pytest.mark.parametrize("network", ["gru", "vit_tiny"])
def test_recurrent_and_attention_networks_have_the_gradients_of_the_modelled_ones(ref, network):
    """At one site alone, outputs behind it are the same up to the model's residual, and so are its gradients."""
    torch.manual_seed(0)
    x = torch.randn(3, 1, 8, 8)
    model = ref.quantised(build_for(network, (1, 8, 8), 5), x)
    for layer in emulated(model):
        layer.multiplier = catalogue.get("optrunc8_3")
        layer.requires_grad_(True)
    names = {layer.site.name for layer in emulated(model)}
    observed = observe(model, [x], seed=0)

    def gradients():
        weights = [layer.weight for layer in emulated(model) if hasattr(layer, "weight")]
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(model(x).sum(), weights)])

    straight = gradients()
    with with_gradient(model, "error_slope", observed) as found:
        assert set(found) == names
        mine = gradients()
    with modelled(model, error_models(model, observed)):
        wanted = gradients()
    assert float((mine - wanted).norm()) < 0.8 * float((straight - wanted).norm())


def test_transposed_convolutions_are_named(ref):
    x = torch.randn(2, 3, 4, 4)
    model = ref.quantised(nn.Sequential(nn.ConvTranspose2d(3, 2, 3)), x)
    ref.site(model).multiplier = catalogue.get("mitchell8")
    with pytest.raises(PlanError, match="'0' is a transposed"), with_gradient(model, "error_slope", [x]):
        pass
