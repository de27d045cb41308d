"""What observation keeps: operands that met, histograms, and derivatives of logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from laxity.circuits import catalogue
from laxity.core.errors import DataError, PlanError, TaskError
from laxity.emulate.build import emulated
from laxity.emulate.form import Form
from laxity.models import build_for
from laxity.recovery import observe
from laxity.recovery.ownership import Layout, layout_of
from laxity.recovery.sampling import COLUMNS, padded_share, product_patches
from laxity.techniques import CircuitAccumulator, Integer, Minifloat

LAYERS = {
    "conv": (lambda: nn.Conv2d(3, 4, 3, padding=1, stride=2), (2, 3, 5, 6)),
    "reflect": (lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 7)),
    "grouped": (lambda: nn.Conv2d(4, 6, (3, 2), dilation=2, groups=2, bias=False), (2, 4, 6, 6)),
    "linear": (lambda: nn.Linear(7, 4), (5, 7)),
    "tokens": (lambda: nn.Linear(7, 4), (2, 3, 7)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_sampled_operands_give_sums_that_the_layer_has(ref, kind, scheme):
    """Each sampled row of sums is the row of accumulator contents at some output of the layer."""
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    x = torch.randn(shape)
    layer = ref.site(model := ref.quantised(make(), x, Integer(6, 7, scheme, scheme)))
    seen = observe(model, [x], seed=3, patches=40).sites[layer.site.name]
    sums = layer.integer_sums(layer.operand.input.codes(x))
    rows = sums.movedim(-1 - len(layer.form.kernel) if not layer.form.linear else -1, -1).flatten(0, -2)
    places = {tuple(row) for row in rows.tolist()}
    found = [tuple(row) for row in seen.by_kernel(seen.sums).tolist()]
    assert len(found) == 40
    assert set(found) <= places
    assert len(set(found)) > min(5, len(places) // 2)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(1, 1, 3, padding=1, stride=2), nn.Conv2d(1, 1, (5, 2), padding=(4, 0)), nn.Conv2d(1, 1, 3)]
)
def test_padded_share_counts_zeros_under_windows(layer):
    ones = F.unfold(torch.ones(1, 1, 9, 8), layer.kernel_size, padding=layer.padding, stride=layer.stride)
    assert padded_share(Form.of(layer), torch.Size([2, 1, 9, 8])) == pytest.approx(1 - float(ones.mean()))


def test_histograms_are_of_all_codes_and_of_padding(ref):
    torch.manual_seed(0)
    x = torch.rand(4, 1, 6, 6)
    layer = ref.site(model := ref.quantised(nn.Conv2d(1, 2, 3, padding=1), x))
    seen = observe(model, list(x.split(2)), seed=0).sites[layer.site.name]
    counts = np.bincount(layer.operand.input.codes(x).long().flatten().numpy(), minlength=256)
    share = padded_share(layer.form, x.shape)
    wanted = counts / counts.sum() * (1 - share)
    wanted[0] += share
    assert np.allclose(seen.histogram, wanted)
    weights = np.bincount(seen.right.long().flatten().numpy() + 127, minlength=255)
    assert np.allclose(seen.right_histogram, weights / 18)


def test_draws_depend_on_the_seed_and_the_site_only(digits):
    model = digits.build()
    first, again, other = (observe(model, digits.inputs, seed=s, patches=64).sites for s in (0, 0, 1))
    for layer in emulated(model):
        layer.multiplier = catalogue.get("mitchell8")
    multiplied = observe(model, digits.inputs, seed=0, patches=64).sites
    for name in first:
        assert torch.equal(first[name].left, again[name].left)
        assert torch.equal(first[name].left, multiplied[name].left)
        assert torch.equal(first[name].sums, multiplied[name].sums)
        assert not torch.equal(first[name].left, other[name].left)
    assert all(layer.multiplier is catalogue.get("mitchell8") for layer in emulated(model))


def test_operands_behind_multipliers(digits):
    """Inputs of the first site are the same; those of the others are the codes of what the multipliers give."""
    model = digits.build()
    for layer in emulated(model):
        layer.multiplier = catalogue.get("coltrunc8_10")
    exact, kept = (observe(model, digits.inputs, seed=0, patches=64, approximate=a).sites for a in (False, True))
    assert torch.equal(exact["conv1"].left, kept["conv1"].left)
    layer, inputs = next(m for m in emulated(model) if m.site.name == "linear"), []
    handle = layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad():
        model(torch.cat(digits.inputs))
    handle.remove()
    rows = {tuple(row) for row in layer.operand.input.codes(inputs[0]).tolist()}
    assert {tuple(row) for row in kept["linear"].left[0].tolist()} <= rows
    assert not {tuple(row) for row in exact["linear"].left[0].tolist()} <= rows


class Averaging(nn.Module):
    """Convolution, mean over places, linear layer: derivatives have a closed form."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


@pytest.fixture(scope="module")
def averaging(ref):
    torch.manual_seed(1)
    x = torch.randn(6, 2, 7, 7)
    return ref.quantised(Averaging(), x), x


def test_derivatives_of_logits(ref, averaging):
    model, x = averaging
    found = observe(model, [x[:4], x[4:]], seed=0, felt_samples=5, felt_classes=3)
    with torch.no_grad():
        logits = model(x[:5])
        y = ref.site(model, "conv")(x[:5]) - model.conv.bias[:, None, None]
    assert torch.equal(found.logits, logits)
    assert torch.equal(found.classes, logits.topk(3).indices)
    head = found.sites["head"].feeling
    chosen = F.one_hot(found.classes, 4).float()
    assert torch.equal(head.constant, chosen)
    assert torch.equal(head.square, chosen)
    assert torch.allclose(head.linear, chosen * (logits - model.head.bias)[:, None])
    weight = ref.site(model, "head").smooth_weight().detach()[found.classes]
    conv = found.sites["conv"].feeling
    assert torch.allclose(conv.constant, weight, atol=1e-5)
    assert torch.allclose(conv.linear, weight * y.mean((2, 3))[:, None], atol=1e-5)
    assert torch.allclose(conv.square, weight**2 / 25, atol=1e-6)


@pytest.mark.parametrize("name", ["gru", "vit_tiny"])
def test_features_of_a_sample_are_the_same_in_any_batch(ref, name):
    """Recurrent and attention layers merge samples with steps and heads; products of activations are sites."""
    torch.manual_seed(0)
    x = torch.randn(6, 1, 8, 8)
    model = ref.quantised(build_for(name, (1, 8, 8), 5), x)
    whole = observe(model, [x], seed=0, patches=16, felt_samples=6)
    single = observe(model, list(x.split(1)), seed=0, patches=16, felt_samples=6)
    assert any(seen.products for seen in whole.sites.values()) == (name == "vit_tiny")
    for site, seen in whole.sites.items():
        for part in ("constant", "linear", "square"):
            a, b = (getattr(s.feeling, part) for s in (seen, single.sites[site]))
            assert a.shape == (6, 5, seen.kernels)
            assert torch.allclose(a, b, rtol=1e-2, atol=1e-3 * float(a.abs().max()) + 1e-9)


@given(st.permutations([2, 3, 4]), st.integers(0, 2), st.booleans(), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_samples_are_found_in_any_layout(shape, axis, outer, samples):
    """A tensor whose samples are told apart by their values, merged into a dimension of another size."""
    others = torch.randn(samples, *shape, 5)
    moved = others.movedim(0, axis + (0 if outer else 1))
    merged = moved.flatten(axis, axis + 1)
    reach = torch.zeros_like(others)
    reach[0] = 1.0 + torch.rand_like(reach[0])
    found = layout_of(reach.movedim(0, axis + (0 if outer else 1)).flatten(axis, axis + 1), samples, "site")
    assert torch.equal(found.first(merged).reshape(samples, -1), others.reshape(samples, -1))
    assert torch.equal(Layout(axis, samples, outer).first(merged), others)


def test_mixed_samples_are_refused():
    with pytest.raises(PlanError, match=r"'mixer'.*felt_samples=0"):
        layout_of(torch.ones(4, 6), 4, "mixer")


@pytest.mark.parametrize(
    ("left", "right"),
    [((5, 4, 6), (5, 6, 100)), ((2, 5, 4, 6), (5, 6, 3)), ((4, 6), (6, 3)), ((6,), (6, 3)), ((4, 6), (6,))],
)
def test_rows_and_columns_of_products_meet_in_the_product(left, right):
    a, b = torch.randn(left), torch.randn(right)
    values = {round(v, 4) for v in (a.double() @ b.double()).flatten().tolist()}
    rows, columns = product_patches(a, b, 24, np.random.default_rng(0))
    assert rows.shape[:2] == (8, 3)
    assert columns.shape[2] <= COLUMNS
    assert {round(v, 4) for v in (rows.double() @ columns.double()).flatten().tolist()} <= values


def test_nothing_to_multiply():
    assert product_patches(torch.zeros(0, 3, 4), torch.zeros(0, 4, 2), 8, np.random.default_rng(0)) is None


class Twice(nn.Module):
    """One site that inputs may not reach, and an output that is no logits."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = self.first(x)
        return (self.second(x) if bool((x.detach() > -1e9).all()) and float(x.detach().sum()) != 0 else x)[:, None]


def test_what_cannot_be_observed_is_refused(ref, averaging):
    model, x = averaging
    with pytest.raises(DataError, match="at least one input"):
        observe(model, [x[:0]], seed=0)
    with pytest.raises(PlanError, match="no site with codes"):
        observe(nn.Linear(2, 2), [x], seed=0)
    with pytest.raises(TaskError, match=r"\(6, 1, 4\)"):
        observe(ref.quantised(Twice(), torch.randn(6, 4)), [torch.randn(6, 4)], seed=0, felt_samples=6)
    unreached = ref.quantised(Twice(), torch.randn(6, 4))
    unreached.first.bias.zero_()
    with pytest.raises(PlanError, match="'second' was not reached"):
        observe(unreached, [torch.zeros(3, 4)], seed=0)


@pytest.mark.parametrize(
    ("layer", "shape", "choices", "said"),
    [
        (nn.ConvTranspose2d(2, 3, 3), (3, 2, 5, 5), [Integer()], "transposed"),
        (nn.Linear(4, 3), (6, 4), [Minifloat()], "whole-number codes"),
        (nn.Linear(4, 3), (6, 4), [Integer(), CircuitAccumulator("loa24_8")], "ACCUMULATOR"),
    ],
    ids=["transposed", "float", "accumulator"],
)
def test_sites_without_an_error_model_are_named(ref, layer, shape, choices, said):
    x = torch.randn(shape)
    model = ref.quantised(nn.Sequential(layer), x, *choices)
    with pytest.raises(PlanError, match=f"site '0'.*{said}"):
        observe(model, [x], seed=0)
