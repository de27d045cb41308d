"""An emulated model behaves as an ordinary module of torch, and says so where it cannot."""

import copy

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

import laxity as lx
from laxity.core.approximation import Approximation
from laxity.core.errors import DataError, PlanError, TaskError

ROWS, IMAGES = torch.randn(4, 5), torch.randn(2, 3, 8, 8)


def approximated(model, x):
    plan = lx.Plan.assign(lx.find_sites(model, x[:1]), [lx.Integer()])
    return lx.approximate(model, plan, calibration=x)


@pytest.fixture
def linear():
    return approximated(nn.Linear(5, 3), ROWS)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 5), nn.Linear(5, 7)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(input=self.embedding(x.long()))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.weight)


class Products(nn.Module):
    def forward(self, x):
        return x @ x.transpose(-1, -2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_only_float32_is_computed(linear, dtype):
    with pytest.raises(DataError, match="weight of site"):
        linear.to(dtype)(ROWS)
    with pytest.raises(DataError, match=str(dtype)):
        approximated(nn.Linear(5, 3).to(dtype), ROWS.to(dtype))


def test_parameters_that_lie_apart_are_read_where_they_are(linear):
    wanted, apart = linear(ROWS), torch.stack([linear.bias.detach(), torch.zeros(3)], 1)
    linear.bias.data = apart[:, 0]
    assert not linear.bias.is_contiguous()
    assert torch.equal(linear(ROWS), wanted)


def test_a_bias_of_another_length_is_refused(linear):
    linear.bias = nn.Parameter(torch.zeros(1))
    with pytest.raises(DataError, match=r"bias of site .*\(1,\)"):
        linear(ROWS)


def test_fake_tensors_and_traces(linear):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert linear(mode.from_tensor(ROWS)).shape == (4, 3)
    traced = make_fx(copy.deepcopy(linear))(ROWS)
    assert torch.equal(traced(ROWS), linear(ROWS))


def test_training_after_inference_mode(linear):
    with torch.inference_mode():
        linear(ROWS)
    linear.requires_grad_(True)(ROWS).sum().backward()
    assert linear.weight.grad.abs().sum() > 0


def test_torch_jit_is_refused_and_leaves_no_traces():
    model = approximated(nn.Conv2d(3, 4, 3), IMAGES)
    with pytest.warns(DeprecationWarning, match="trace"), pytest.raises(PlanError, match=r"torch\.jit"):
        torch.jit.trace(model, IMAGES)
    with pytest.raises(Exception, match="Proxy"):
        torch.fx.symbolic_trace(model)
    assert model(IMAGES).shape == (2, 4, 6, 6)


def test_inputs_whose_memory_is_negated(linear):
    x = torch.complex(ROWS, ROWS + 1).conj().imag
    assert x.is_neg()
    assert torch.equal(linear(x), linear(x.resolve_neg()))


def test_second_derivatives_are_refused(linear):
    with pytest.raises(PlanError, match="gradients of gradients"):
        torch.autograd.functional.hessian(lambda x: linear(x).square().sum(), ROWS[:1])
    products = approximated(Products(), torch.randn(3, 4, 5))
    with pytest.raises(PlanError, match="gradients of gradients"):
        torch.autograd.functional.hessian(lambda x: products(x).sum(), torch.randn(1, 4, 5))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_forward_derivatives_are_refused(linear):
    with forward_ad.dual_level(), pytest.raises(PlanError, match="forward-mode"):
        linear(forward_ad.make_dual(ROWS, torch.ones_like(ROWS)))


def test_tied_weights_stay_tied():
    model = approximated(Tied(), torch.arange(6)[:, None])
    assert model.head.weight is model.embedding.weight
    assert (model.head.in_features, model.head.out_features) == (5, 7)


def test_weights_of_functional_calls_are_the_models():
    model = approximated(Functional(), IMAGES)
    before = model(IMAGES)
    with torch.no_grad():
        model.inner.weight.neg_()
    assert torch.equal(model(IMAGES), -before)


@pytest.mark.parametrize(
    "choices",
    [
        [lx.Integer()],
        [lx.Integer(), Approximation.from_json({"kind": "accumulator", "adder": "ripple16", "overflow": "saturate"})],
        [Approximation.from_json({"kind": "minifloat"})],
    ],
    ids=["integer", "saturating", "minifloat"],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_outputs_lie_as_models_that_view_them_expect(choices, groups):
    model = nn.Sequential(nn.Conv2d(2, 4, 3, groups=groups), nn.ReLU()).eval()
    x = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    plan = lx.Plan.assign(lx.find_sites(model, x[:1]), choices)
    assert lx.approximate(model, plan, calibration=x)(x).view(3, -1).shape == (3, 64)


def test_products_are_exported_with_any_batch():
    model = approximated(Products(), torch.randn(3, 4, 5))
    shapes = (({0: torch.export.Dim("batch")},),)
    exported = torch.export.export(model, (torch.randn(3, 4, 5),), dynamic_shapes=shapes).module()
    x = torch.randn(7, 4, 5)
    assert torch.equal(exported(x), model(x))


@pytest.mark.parametrize(
    ("error", "subject", "plan", "options"),
    [
        (PlanError, nn.Linear(5, 3), lx.Plan(), {"calibration": ROWS.numpy()}),
        (PlanError, nn.Linear(5, 3), "plan", {"calibration": ROWS}),
        (TaskError, "model", lx.Plan(), {"calibration": ROWS}),
        (TaskError, nn.Linear(5, 3), lx.Plan(), {"calibration": ROWS, "device": "nowhere"}),
    ],
)
def test_arguments_of_another_kind(error, subject, plan, options):
    with pytest.raises(error):
        lx.approximate(subject, plan, **options)
