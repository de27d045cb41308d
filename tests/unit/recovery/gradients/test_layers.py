"""Gradients by tables against loops over products, for every kind of layer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from laxity.circuits import Multiplier, catalogue
from laxity.emulate.build import emulated
from laxity.recovery import observe, with_gradient
from laxity.techniques import Integer, MagnitudePruning

LAYERS = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 7)),
    "reflected": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 4, 4)),
    "depthwise": (lambda: nn.Conv2d(3, 3, 3, padding=2, dilation=2, groups=3, bias=False), (2, 3, 5, 5)),
    "same": (lambda: nn.Conv3d(1, 2, 2, padding="same"), (2, 1, 3, 3, 2)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2), (1, 4, 3, 3)),
    "linear": (lambda: nn.Linear(7, 4), (5, 7)),
    "tokens": (lambda: nn.Linear(7, 4, bias=False), (2, 3, 7)),
}
SCHEMES = {
    "symmetric": Integer(),
    "narrow": Integer(weight_bits=4, input_bits=6),
    "affine": Integer(5, 5, "affine", "affine", "tensor"),
    "affine channels": Integer(4, 6, "affine", "affine", "channel"),
}

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def build(ref, kind, choice, multiplier, seed=0):
    """Layer as torch has it, emulated model with a gain and clipped operands, and an input beyond the range."""
    torch.manual_seed(seed)
    make, shape = LAYERS[kind]
    layer, x = make(), torch.randn(shape)
    model = ref.quantised(nn.Sequential(layer), x, choice)
    site = ref.site(model)
    site.gain.copy_(torch.linspace(0.5, 2, len(site.gain)))
    site.operand.weight.ratio.mul_(0.8)
    site.multiplier = multiplier
    return layer, model, site, 1.2 * x


def gradients(model, site, x, upstream):
    """Output and gradients of input, weight and, if there is one, bias."""
    x = x.clone().requires_grad_(True)
    site.requires_grad_(True)
    output = model(x)
    wanted = [x, site.weight] if site.bias is None else [x, site.weight, site.bias]
    return output.detach(), torch.autograd.grad(output, wanted, upstream)


def close(mine, theirs, tolerance=1e-5):
    """Compare lists of gradients, relative to the greatest entry of each."""
    for left, right in zip(mine, theirs, strict=False):
        torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance * float(right.abs().max()))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("scheme", "window"), [("symmetric", 3), ("narrow", 8), ("affine", 0), ("affine channels", 9)])
def test_differences_of_the_table(ref, loops, kind, scheme, window):
    choice, multiplier = SCHEMES[scheme], catalogue.get("mitchell8")
    layer, model, site, x = build(ref, kind, choice, multiplier)
    upstream = torch.randn_like(model(x))
    bits = choice.input_bits, choice.weight_bits
    table = loops.table(multiplier, site.operand.input.code_range, site.operand.weight.code_range, bits)
    dx, dw = loops.smoothed(table, [window >> (8 - b) for b in bits])
    plain, straight = gradients(model, site, x, upstream)
    with with_gradient(model, "table_2d", window=window, tolerance=0.0):
        output, mine = gradients(model, site, x, upstream)
    assert torch.equal(output, plain)
    close(mine, loops.gradients(layer, site, x, upstream, dx, dw), 1e-4)
    assert not torch.allclose(mine[0], straight[0], rtol=1e-3)
    assert not torch.allclose(mine[1], straight[1], rtol=1e-3)
    if site.bias is not None:
        assert torch.allclose(mine[2], straight[2], rtol=1e-5)


OBSERVED = [(kind, "histogram") for kind in LAYERS if kind != "transposed"]


@pytest.mark.parametrize(("kind", "weighting"), [*((kind, "uniform") for kind in LAYERS), *OBSERVED])
@pytest.mark.parametrize("scheme", ["symmetric", "affine channels"])
def test_lines_through_the_table(ref, loops, kind, scheme, weighting):
    choice, multiplier = SCHEMES[scheme], catalogue.get("coltrunc8_8")
    layer, model, site, x = build(ref, kind, choice, multiplier)
    upstream = torch.randn_like(model(x))
    ranges = site.operand.input.code_range, site.operand.weight.code_range
    table = loops.table(multiplier, *ranges, (choice.input_bits, choice.weight_bits))
    weights, observed = (None, None), None
    if weighting == "histogram":
        observed = observe(model, [x], seed=0)
        weights = observed.sites["0"].histogram, observed.sites["0"].right_histogram
    dx, dw = loops.lines(table, *ranges, weights)
    with with_gradient(model, "table_1d", observed, weighting=weighting) as found:
        _, mine = gradients(model, site, x, upstream)
        assert found["0"].ranks == (1, 1)
    close(mine, loops.gradients(layer, site, x, upstream, dx, dw), 1e-4)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("name", "options"), [("table_2d", {"window": 0}), ("table_2d", {"window": 20}), ("table_1d", {})]
)
def test_exact_tables_are_straight_through(ref, kind, scheme, name, options):
    _, model, site, x = build(ref, kind, SCHEMES[scheme], catalogue.get("dadda8"))
    upstream = torch.randn_like(model(x))
    _, straight = gradients(model, site, x, upstream)
    with with_gradient(model, name, **options) as found:
        _, mine = gradients(model, site, x, upstream)
        assert found["0"].ranks == (1, 1)
    close(mine, straight, 2e-6)


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    window=st.integers(0, 6),
    kind=st.sampled_from(["linear", "conv1d", "transposed"]),
    scheme=st.sampled_from(["narrow", "affine"]),
)
def test_any_table(ref, loops, seed, window, kind, scheme):
    """Tables that do not even multiply by zero to zero, so that padded codes are felt by weights."""
    table = np.random.default_rng(seed).integers(0, 2**16, (256, 256))
    multiplier = Multiplier.from_table(table, a_signed=False, b_signed=False, name="any")
    choice = SCHEMES[scheme]
    layer, model, site, x = build(ref, kind, choice, multiplier, seed)
    upstream = torch.randn_like(model(x))
    bits = choice.input_bits, choice.weight_bits
    signed = loops.table(multiplier, site.operand.input.code_range, site.operand.weight.code_range, bits)
    with with_gradient(model, "table_2d", window=window, tolerance=0.0):
        _, mine = gradients(model, site, x, upstream)
    dx, dw = loops.smoothed(signed, [window >> (8 - b) for b in bits])
    close(mine, loops.gradients(layer, site, x, upstream, dx, dw), 1e-4)


def test_tolerance_bounds_the_error_and_the_rank(ref):
    _, model, site, x = build(ref, "linear", Integer(), catalogue.get("mitchell8"))
    upstream = torch.randn_like(model(x))
    with with_gradient(model, "table_2d", tolerance=0.0) as full:
        _, exact = gradients(model, site, x, upstream)
    ranks = []
    for tolerance in (0.2, 0.02):
        with with_gradient(model, "table_2d", tolerance=tolerance) as found:
            _, mine = gradients(model, site, x, upstream)
        for left, right in zip(mine[:2], exact[:2], strict=True):
            assert 0 < float((left - right).norm() / right.norm()) < 2 * tolerance
        ranks.append(found["0"].ranks)
        assert f"{tolerance:g}" in found["0"].describe()
    assert ranks[0][0] < ranks[1][0] < full["0"].ranks[0]
    assert next(iter(emulated(model))).gradient is None


def test_codes_that_are_forced_count(ref):
    """Codes with the other sign have the gradients of weights with the other sign."""
    _, model, site, x = build(ref, "reflected", Integer(), catalogue.get("coltrunc8_8"))
    upstream = torch.randn_like(model(x))
    site.forced_codes = -site.stored_codes()[0]
    with with_gradient(model, "table_2d"):
        _, forced = gradients(model, site, x, upstream)
    site.forced_codes = None
    site.weight.data.neg_()
    with with_gradient(model, "table_2d"):
        _, negative = gradients(model, site, x, upstream)
    close(forced[:1], negative[:1])


def test_gradients_go_through_the_structure(ref):
    """Weights that a mask takes away stay without gradients."""
    torch.manual_seed(0)
    x = torch.randn(4, 6)
    model = ref.quantised(nn.Sequential(nn.Linear(6, 8)), x, MagnitudePruning(0.5), Integer())
    site = ref.site(model)
    site.multiplier = catalogue.get("dadda8")
    upstream = torch.randn(4, 8)
    _, straight = gradients(model, site, x, upstream)
    assert int((straight[1] == 0).sum()) == 24
    for name in ("table_1d", "table_2d"):
        with with_gradient(model, name):
            _, mine = gradients(model, site, x, upstream)
        close(mine, straight, 2e-6)
        assert torch.equal(mine[1] == 0, straight[1] == 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["error_slope", "table_1d", "table_2d"])
def test_gradients_on_a_gpu_are_those_on_the_cpu(ref, name):
    _, model, site, x = build(ref, "conv1d", Integer(), catalogue.get("coltrunc8_8"))
    upstream = torch.randn_like(model(x))
    observed = observe(model, [x], seed=0)
    found = []
    for device in ("cpu", "cuda"):
        model.to(device)
        with with_gradient(model, name, observed):
            found.append([g.cpu() for g in gradients(model, site, x.to(device), upstream.to(device))[1]])
    close(found[1], found[0], 1e-4)
