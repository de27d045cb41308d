"""The straight-through estimator: outputs of the hardware, gradients of the native operation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from laxity.circuits import catalogue
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.emulate.build import calibrate
from laxity.emulate.product import EmulatedProduct
from laxity.techniques import Integer, MagnitudePruning
from laxity.techniques.context import BuildContext
from laxity.techniques.data.codes import ActivationCode, WeightCode, straight_through

LAYERS = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (3, 4, 9)),
    "conv2d": (lambda: nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect"), (2, 3, 6, 6)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), (2, 4, 6, 6)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, padding="same"), (2, 2, 3, 3, 3)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (2, 4, 4, 4)),
    "linear": (lambda: nn.Linear(7, 4), (5, 7)),
    "tokens": (lambda: nn.Linear(7, 4, bias=False), (2, 3, 7)),
}


def native(layer, x, weight):
    """The layer as torch computes it, with another input and weight."""
    return torch.func.functional_call(layer, {"weight": weight}, (x,))


def codes_of(values, scale, zero, low, high):
    """Codes without clipping, and where clipping would change them."""
    free = torch.round(values / scale) + zero
    return free.clamp(low, high), (free < low) | (free > high)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ["dadda8", "mitchell8", "drum8_3"])
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_gradients_are_those_of_the_native_operation(ref, kind, name, scheme):
    torch.manual_seed(3)
    make, shape = LAYERS[kind]
    layer, sample = make(), torch.randn(shape)
    choice = Integer(4, 5, scheme, scheme, "channel", "percentile", 0.9)
    emulated = ref.emulate(layer, sample, choice, catalogue.get(name))
    emulated.operand.weight.ratio.mul_(0.6)
    emulated.requires_grad_(True)
    x = (1.5 * sample).requires_grad_(True)
    output = emulated(x)
    upstream = torch.randn_like(output)
    output.backward(upstream)
    assert torch.equal(output, emulated.requires_grad_(False)(x.detach()))

    code, coder = emulated.operand.input, emulated.operand.weight
    low, high = code.code_range
    a, clipped = codes_of(x.detach(), code.scale, code.zero, low, high)
    scale, zero = coder.scale_and_zero(layer.weight)
    axis = 1 if kind == "transposed" else 0
    shaped = [1] * layer.weight.dim()
    shaped[axis] = -1
    s, z = scale.reshape(shaped), zero.reshape(shaped)
    w, lost = codes_of(layer.weight.detach(), s, z, *coder.code_range)
    assert clipped.any()
    assert lost.any()
    left = ((a - code.zero) * code.scale).requires_grad_(True)
    right = ((w - z) * s).requires_grad_(True)
    native(layer, left, right).backward(upstream)
    torch.testing.assert_close(x.grad, left.grad * ~clipped, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(emulated.weight.grad, right.grad * ~lost, rtol=1e-4, atol=1e-5)
    assert not x.grad[clipped].any()
    assert not emulated.weight.grad[lost].any()
    if layer.bias is not None:
        axis = -1 if layer.weight.dim() == 2 else 1
        torch.testing.assert_close(
            emulated.bias.grad, upstream.movedim(axis, 0).flatten(1).sum(1), rtol=1e-4, atol=1e-5
        )


def test_pruned_weights_get_no_gradient(ref):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 6, 6)
    emulated = ref.emulate(layer, x)
    MagnitudePruning(0.3).attach(None, [emulated])
    emulated.weight.requires_grad_(True)
    emulated(x).square().sum().backward()
    removed = emulated.structure.mask == 0
    assert not emulated.weight.grad[removed].any()
    assert emulated.weight.grad[~removed].any()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e8]))
def test_value_is_kept_to_the_last_bit(seed, scale):
    rng = np.random.default_rng(seed)
    value = torch.from_numpy(rng.standard_normal(50).astype(np.float32))
    smooth = torch.from_numpy((rng.standard_normal(50) * scale).astype(np.float32)).requires_grad_(True)
    joined = straight_through(value, smooth)
    assert torch.equal(joined, value)
    (joined * torch.arange(50)).sum().backward()
    assert torch.equal(smooth.grad, torch.arange(50).float())


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_extreme_weights_are_inside_the_range(scheme):
    """With min-max ranges nothing is clipped, so every weight learns, the largest too."""
    for seed in range(20):
        weight = torch.randn(4, 30, generator=torch.Generator().manual_seed(seed)).requires_grad_(True)
        code = WeightCode(5, scheme, True, 0, 4, "minmax", 1.0)
        code.calibrate(weight)
        scale, zero = code.scale_and_zero(weight)
        code.represent(weight, code.codes(weight, scale, zero), scale, zero).sum().backward()
        assert torch.equal(weight.grad, torch.ones_like(weight))


def test_activations_beyond_the_range_get_no_gradient():
    code = ActivationCode(4, "symmetric", "minmax", 1.0)
    code.calibrate(torch.tensor([0.0, 1.0]), "x")
    x = torch.tensor([-0.5, -0.01, 0.0, 0.4, 1.0, 1.02, 1.5], requires_grad=True)
    code.represent(x, code.codes(x)).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]


class Times(nn.Module):
    """Multiplies its input by a fixed matrix through an emulated product."""

    def __init__(self, right):
        super().__init__()
        op = Op("matmul", (3, 5), (), (3, 4), 1, 3, 5, 4)
        self.product = EmulatedProduct(Site(":matmul#0", op, (Slot.OPERAND, Slot.MULTIPLIER), "", functional=True))
        self.right = right

    def forward(self, left):
        return self.product(left, self.right)


def test_products_of_activations_pass_gradients_to_both(ref):
    torch.manual_seed(1)
    left, right = torch.randn(2, 3, 5), torch.randn(2, 5, 4)
    model = Times(right)
    product = model.product
    Integer(5, 6).attach(BuildContext(model, left, (product.site,)), [product])
    product.multiplier = catalogue.get("drum8_3")
    calibrate(model, [left])
    a, b = left.clone().requires_grad_(True), right.clone().requires_grad_(True)
    upstream = torch.randn(2, 3, 4)
    output = product(a, b)
    output.backward(upstream)
    with torch.no_grad():
        assert torch.equal(output, product(left, right))
    shown = [
        ((c.codes(v) - c.zero) * c.scale).requires_grad_(True)
        for c, v in ((product.operand.input, left), (product.operand.weight, right))
    ]
    torch.matmul(*shown).backward(upstream)
    torch.testing.assert_close(a.grad, shown[0].grad)
    torch.testing.assert_close(b.grad, shown[1].grad)
    assert F.mse_loss(output, left @ right) < F.mse_loss(torch.zeros_like(output), left @ right)
