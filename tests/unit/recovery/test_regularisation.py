"""Regularisers: values by brute force, gradients by differences, sums that fall, weights at good codes."""

import copy

import pytest
import torch

from laxity import load_task
from laxity.circuits import catalogue
from laxity.core.errors import PlanError
from laxity.core.plan import Plan, Recovery
from laxity.emulate import approximate
from laxity.emulate.apply import calibration_inputs
from laxity.recovery import observe
from laxity.recovery.regularisation import CodeDistances, ExpectedErrors, Weighted
from laxity.recovery.train import retrain
from laxity.sites import find_sites
from laxity.techniques import CircuitMultiplier, Integer


@pytest.fixture(scope="module")
def task():
    torch.set_num_threads(1)
    return load_task("digits")


def network(task, *choices):
    return approximate(task, Plan.assign(find_sites(task.model, task.example_input), choices))


def codes_of(layer):
    coder, weight = layer.operand.weight, layer.weight.detach()
    return coder.codes(weight, *coder.scale_and_zero(weight))


@pytest.mark.parametrize("weight_bits", [4, 8])
@pytest.mark.parametrize("name", ["coltrunc8_8", "drum8_3"])
def test_expected_errors_by_brute_force(task, ref, name, weight_bits):
    model, inputs = network(task, Integer(weight_bits, 8), CircuitMultiplier(name)), calibration_inputs(task, "cpu", 16)
    seen = observe(model, inputs, seed=0).sites
    multiplier, found = catalogue.get(name), []
    for layer in (model.conv1, model.conv2, model.conv3, model.linear):
        histogram = seen[layer.site.name].histogram
        low = layer.operand.input.code_range[0]
        used = [(x, p) for x, p in enumerate(histogram, low) if p > 0]
        codes, total, magnitude = codes_of(layer), 0.0, 0.0
        for w, count in zip(*torch.unique(codes, return_counts=True), strict=True):
            mean = sum(p * abs(ref.error(multiplier, x, w, 8, weight_bits)) for x, p in used)
            total += float(count) * mean
            magnitude += float(count) * abs(float(w)) * sum(p * abs(x) for x, p in used)
        found.append(total / magnitude)
    assert float(ExpectedErrors(model, inputs, seed=0)()) == pytest.approx(sum(found) / len(found), rel=1e-4)


def test_the_gradient_is_the_slope_between_neighbouring_codes(task):
    model, inputs = network(task, Integer(8, 8), CircuitMultiplier("optrunc8_3")), calibration_inputs(task, "cpu", 16)
    term = ExpectedErrors(model, inputs, seed=0)
    layer = model.conv2
    layer.weight.requires_grad_(True)
    (gradient,) = torch.autograd.grad(term(), layer.weight)
    scale = layer.operand.weight.scale_and_zero(layer.weight)[0].reshape(-1, 1, 1, 1)
    place = (layer.weight / scale).detach()
    largest = place.abs() > 126.5  # the scale follows these
    seen = observe(model, inputs, seed=0).sites["conv2"]
    table = [
        sum(p * abs((x & ~7) * (w & ~7) - x * w) for x, p in enumerate(seen.histogram) if p > 0) for w in range(128)
    ]
    below = place.abs().floor().long().clamp_max(126)
    slope = torch.tensor(table).float()[below + 1] - torch.tensor(table).float()[below]
    wanted = slope * torch.sign(place) / scale
    inside = ~largest & (place != place.round())
    ratio = gradient[inside] / wanted[inside]
    steep = wanted[inside].abs() > 1e-3
    assert torch.allclose(ratio[steep], ratio[steep].median(), rtol=1e-3)
    assert float(ratio[steep].median()) > 0


def test_exact_circuits_have_no_expected_errors(task):
    inputs = calibration_inputs(task, "cpu", 8)
    for choices in ([Integer(4, 8)], [Integer(4, 8), CircuitMultiplier("dadda8")]):
        assert float(ExpectedErrors(network(task, *choices), inputs, seed=0)()) == 0


def test_floating_point_sites_are_named(task):
    sites = find_sites(task.model, task.example_input)
    plan = Plan.assign(sites[:2], [Integer(4, 8), CircuitMultiplier("coltrunc8_8")])
    model = approximate(task, plan)
    assert float(ExpectedErrors(model, calibration_inputs(task, "cpu", 8), seed=0)()) > 0
    with pytest.raises(PlanError, match="no site with codes"):
        ExpectedErrors(approximate(task, Plan()), calibration_inputs(task, "cpu", 8), seed=0)


@pytest.mark.parametrize("kind", ["regularise", "alpha"])
def test_training_with_a_term_makes_it_fall(task, kind):
    start, inputs = network(task, Integer(6, 8), CircuitMultiplier("optrunc8_3")), calibration_inputs(task, "cpu", 64)

    def term(model):
        return float((ExpectedErrors(model, inputs, seed=0) if kind == "regularise" else CodeDistances(model))())

    found = {}
    for share in (0.0, 0.5):
        model = copy.deepcopy(start)
        recovery = Recovery(epochs=3, samples=512, learning_rate=2e-3, **{kind: share})
        retrain(model, task, recovery, seed=0, teacher=task.model)
        found[share] = term(model)
    assert found[0.5] < 0.9 * term(start)
    assert found[0.5] < 0.95 * found[0.0]


def test_code_distances_are_those_of_the_codes(task):
    model = network(task, Integer(3, 8))
    wanted = []
    for layer in (model.conv1, model.conv2, model.conv3, model.linear):
        scale = layer.operand.weight.scale_and_zero(layer.weight)[0].reshape(-1, *([1] * (layer.weight.dim() - 1)))
        wanted.append(float(((layer.weight - codes_of(layer) * scale) ** 2).sum() / (layer.weight**2).sum()))
    assert float(CodeDistances(model)()) == pytest.approx(sum(wanted) / 4, rel=1e-5)
    layer = model.linear
    layer.weight.requires_grad_(True)
    (gradient,) = torch.autograd.grad(CodeDistances(model)(), layer.weight)
    scale = layer.operand.weight.scale_and_zero(layer.weight)[0].reshape(-1, 1)
    distance = layer.weight - codes_of(layer) * scale
    assert torch.allclose(gradient, distance * 2 / (4 * layer.weight.square().sum()), atol=1e-7)


def test_the_weight_makes_a_term_a_share_of_the_first_loss():
    values = iter([4.0, 2.0, 1.0])
    term = Weighted(lambda: torch.tensor(next(values)), 0.1)
    assert [float(term(torch.tensor(loss))) for loss in (20.0, 5.0, 5.0)] == pytest.approx([2.0, 1.0, 0.5])
    assert float(Weighted(lambda: torch.tensor(0.0), 0.1)(torch.tensor(3.0))) == 0
