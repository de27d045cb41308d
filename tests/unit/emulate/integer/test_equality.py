"""Integer models compute what the interpreter of their program computes, and what emulated layers compute."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from laxity.circuits import Multiplier, catalogue
from laxity.core.errors import PlanError
from laxity.core.plan import Plan
from laxity.core.program import Product
from laxity.core.requantise import GREATEST_SUM, LEAST_SUM, Addition, Requantiser
from laxity.emulate import EmulatedLayer, approximate, integer_model
from laxity.emulate.integer.arithmetic import add_codes, requantise
from laxity.sites import find_sites
from laxity.techniques import CircuitAccumulator, CircuitMultiplier, CurableCarry, Integer

spec = importlib.util.spec_from_file_location("integer_conftest", Path(__file__).with_name("conftest.py"))
drawn = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drawn)

FEW = settings(deadline=None, suppress_health_check=list(HealthCheck))
CIRCUITS = ("dadda8", "drum8_4", "mitchell8", "optrunc8_4", "roba8")


@settings(FEW, max_examples=200)
@given(
    values=st.lists(st.integers(LEAST_SUM, GREATEST_SUM), min_size=1, max_size=4),
    scale=st.floats(0, 100),
    code=st.sampled_from([(0, 0, 255), (9, -7, 100), (0, LEAST_SUM, GREATEST_SUM)]),
)
def test_requantisation_on_tensors_is_the_definition(values, scale, code):
    found = Requantiser.from_scale(scale, *code)
    m, s = torch.tensor(found.multipliers), torch.tensor(found.shifts)
    got = requantise(torch.tensor(values, dtype=torch.int32), m, s, *code)
    assert got.dtype == torch.int32
    assert got.tolist() == found.apply(np.array(values), axis=0).tolist()


@settings(FEW, max_examples=200)
@given(
    ratios=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    pairs=st.lists(st.tuples(st.integers(-128, 255), st.integers(-128, 255)), min_size=1, max_size=4),
    code=st.sampled_from([(0, 0, 255), (9, -7, 100), (0, LEAST_SUM, GREATEST_SUM)]),
)
def test_additions_on_tensors_are_the_definition(ratios, pairs, code):
    addition = Addition.from_scales(ratios, (3, -4), *code)
    left, right = np.array(pairs).T
    got = add_codes(torch.from_numpy(left), torch.from_numpy(right), addition)
    assert got.tolist() == addition.apply(left, right).tolist()


@settings(FEW, max_examples=60)
@given(case=drawn.networks(), choice=drawn.integers(), name=st.sampled_from(CIRCUITS), bits=st.integers(4, 8))
def test_random_networks(lab, case, choice, name, bits):
    net, x = case
    integer = lab.make(net, x, choice, CircuitMultiplier(name), bits=bits)
    trace = lab.compare(integer, integer.quantise(x))
    for step in integer.program.products:
        sums = trace[step.name + ":sums"].numpy()
        rows = np.moveaxis(sums, -1 if step.operation == "linear" else 1, -1)
        assert (step.least_sums <= rows).all()
        assert (rows <= step.greatest_sums).all()


@pytest.mark.slow
@settings(FEW, max_examples=300)
@given(case=drawn.networks(), choice=drawn.integers(), name=st.sampled_from(catalogue.names()))
def test_many_random_networks(lab, case, choice, name):
    net, x = case
    integer = lab.make(net, x, choice, CircuitMultiplier(name))
    lab.compare(integer, integer.quantise(x))


ACCUMULATORS = (
    CircuitAccumulator("ripple12"),
    CircuitAccumulator("ripple14", "saturate"),
    CircuitAccumulator("ripple40"),
    CircuitAccumulator("loa20_4"),
    CircuitAccumulator("loa16_6", "saturate", chain=4),
    CircuitAccumulator("ripple12", chain=5),
    CurableCarry(14, 7),
    CurableCarry(24, 12),
)


@pytest.mark.parametrize("accumulator", ACCUMULATORS, ids=lambda a: a.label())
@pytest.mark.parametrize("choice", [Integer(), Integer(4, 6, "affine", "affine")], ids=["symmetric", "affine"])
def test_registers_and_adders(lab, accumulator, choice):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(75, 4))
    x = torch.randn(3, 2, 5, 5)
    integer = lab.make(net, x, choice, CircuitMultiplier("drum8_4"), accumulator)
    lab.compare(integer, integer.quantise(x))


def odd_table(seed):
    """A table without any structure, wrong for zero operands too."""
    values = np.random.default_rng(seed).integers(0, 1 << 16, (256, 256))
    return Multiplier.from_table(values, a_signed=False, b_signed=False, name=f"odd{seed}")


@pytest.mark.parametrize(
    "circuit", [odd_table(0), catalogue.get("dadda8s"), catalogue.get("bam9_4_2")], ids=lambda c: c.name
)
def test_any_table(lab, circuit):
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=2, groups=2), nn.Flatten(), nn.Linear(32, 4))
    x = torch.randn(3, 2, 6)
    model = lab.approximated(net, x, Integer(6, 7))
    for layer in model.modules():
        if isinstance(layer, EmulatedLayer):
            layer.multiplier = circuit
    integer = integer_model(model, x)
    lab.compare(integer, integer.quantise(x))
    assert integer.program.multipliers[0].table_sha256 == circuit.table_sha256


@settings(FEW, max_examples=60)
@given(case=drawn.networks(), choice=drawn.integers(), name=st.sampled_from(CIRCUITS))
def test_each_layer_is_the_emulated_one(lab, case, choice, name):
    """Fed with the same codes: the very same sums, and results within one code of what float scaling gives."""
    net, x = case
    model = lab.approximated(net, x, choice, CircuitMultiplier(name))
    integer = integer_model(model, x)
    layers = {m.site.name: m for m in model.modules() if isinstance(m, EmulatedLayer)}
    trace = lab.compare(integer, integer.quantise(x))
    for step in integer.program.products:
        layer, codes = layers[step.site], trace[step.inputs[0]]
        source = integer.program.code_of(step.inputs[0])
        exact = layer.integer_sums(codes.to(torch.float32)).to(torch.float64) * 2.0**step.fraction_bits
        added = (trace[step.name + ":sums"] - exact).movedim(-1 if step.operation == "linear" else 1, -1).flatten(0, -2)
        assert torch.equal(added.amin(0), added.amax(0))
        scale, _ = layer.operand.weight.scale_and_zero(layer.used_weight())
        unit = scale.to(torch.float64) * source.scale * 2.0**-step.fraction_bits
        bias = torch.zeros(len(step.bias)) if layer.bias is None else layer.bias.to(torch.float64) / unit
        usual = bias.abs() < 2**29
        assert torch.equal(added[0][usual], bias[usual].round().to(torch.float64))
        if not bool(usual.all()):
            continue  # the input was 0 for all calibration inputs, and its code says nothing about values
        values = torch.from_numpy(source.values(codes.numpy())).to(torch.float32)
        code = step.code
        with torch.no_grad():
            wanted = layer(values).to(torch.float64) / code.scale + code.zero
        wanted = wanted.round().clamp(step.requantiser.low, step.requantiser.high)
        if code.high == GREATEST_SUM:
            assert torch.allclose(trace[step.name].to(torch.float64), wanted, rtol=1e-4, atol=2)
        else:
            rounding = 0.5 * max(step.requantiser.scales)  # of the bias, in codes
            assert (trace[step.name] - wanted).abs().max() <= 1 + np.floor(rounding)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.shortcut, self.linear = nn.Conv2d(3, 4, 1), nn.Linear(4, 5)

    def forward(self, x):
        y = self.second(F.relu(self.first(x)))
        y = y + self.shortcut(x)
        y = F.relu(y)
        y = y + self.second(y)
        y += F.pad(y[:, :2, :, :], (0, 0, 0, 0, 1, 1))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(F.relu(y), 1), 1))


def test_residual_additions_slices_padding_and_shared_layers(lab):
    torch.manual_seed(3)
    x = torch.randn(20, 3, 6, 6)
    model = lab.approximated(Residual(), x)
    integer = integer_model(model, x)
    lab.compare(integer, integer.quantise(x))
    kinds = [s.kind for s in integer.program.steps]
    assert kinds.count("add") == 3
    assert {"slice", "pad", "pool", "reshape"} < set(kinds)
    names = [s.name for s in integer.program.products]
    assert names.count("second") == 1
    assert "second#1" in names
    with torch.no_grad():
        wanted, got = model(x), integer.values(integer(integer.quantise(x)))
    assert (wanted - got).abs().max() < 0.05 * wanted.abs().max()


def test_relu_is_a_clamp_at_the_zero_point(lab):
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU6(), nn.Linear(5, 2))
    torch.manual_seed(4)
    integer = lab.make(net, 20 * torch.randn(64, 6), Integer(8, 8, "symmetric", "affine"))
    first, second, last = integer.program.steps
    assert (first.requantiser.low, first.requantiser.high) == (first.code.zero, first.code.high)
    assert second.requantiser.high == min(second.code.high, round(6 / second.code.scale))
    assert (last.requantiser.low, last.requantiser.high) == (LEAST_SUM, GREATEST_SUM)
    assert last.shape == (2,)


def test_relu_that_others_bypass_stays_a_step(lab):
    class Bypassed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            y = self.first(x)
            return self.second(y + F.relu(y))

    torch.manual_seed(4)
    x = torch.randn(32, 6)
    integer = lab.make(Bypassed(), x)
    trace = lab.compare(integer, integer.quantise(x))
    assert [s.kind for s in integer.program.steps] == ["product", "rescale", "add", "product"]
    assert int(trace["first"].min()) < 0 == int(trace[":relu#0"].min())


def test_layers_with_other_codes_read_a_value_rescaled(lab):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.left, self.right = nn.Linear(6, 6), nn.Linear(6, 4), nn.Linear(6, 4)

        def forward(self, x):
            y = F.relu(self.stem(x))
            return self.left(y) + self.right(y)

    torch.manual_seed(5)
    x = torch.randn(32, 6)
    plan = Plan.assign(find_sites(Two(), x), [Integer()], by_pattern={"left": [Integer(8, 4)]})
    integer = integer_model(approximate(Two().eval(), plan, calibration=x), x)
    lab.compare(integer, integer.quantise(x))
    rescale = next(s for s in integer.program.steps if s.kind == "rescale")
    assert (integer.program.code_of("stem").bits, rescale.code.bits) == (8, 4)
    assert integer.program.output.kind == "add"
    assert integer.program.output.code.high == GREATEST_SUM


def test_channels_without_weights_keep_their_bias(lab):
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    torch.manual_seed(6)
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight[1] = 0.0
            layer.bias.copy_(torch.tensor([0.1, 0.7, 0.2]))
    x = torch.randn(64, 4)
    model = lab.approximated(net, x)
    integer = integer_model(model, x)
    lab.compare(integer, integer.quantise(x))
    got = integer.values(integer(integer.quantise(x)))
    with torch.no_grad():
        assert torch.allclose(got, model(x), atol=0.02)
    assert torch.allclose(got[:, 1], torch.full((64,), 0.7), atol=1e-3)


def test_gain_and_faults_are_part_of_the_program(lab):
    torch.manual_seed(7)
    net, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(32, 4)
    model = lab.approximated(net, x)
    before = integer_model(model, x).program.products
    with torch.no_grad():
        model[2].gain.copy_(torch.tensor([2.0, 0.5]))
        model[0].forced_codes = -model[0].stored_codes()[0]
    after = integer_model(model, x)
    assert np.array_equal(after.program.products[0].weight, -before[0].weight)
    with torch.no_grad():
        assert torch.allclose(after.values(after(after.quantise(x))), model(x), atol=0.03)
    model[2].gain[0] = -1.0
    with pytest.raises(PlanError, match="gain"):
        integer_model(model, x)


def test_calls_of_functions_are_sites_too(lab):
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(4, 2, 3))
            self.matrix = nn.Parameter(torch.randn(3, 24))

        def forward(self, x):
            y = torch.relu(F.conv1d(x, self.kernel, padding=1))
            return F.linear(y.flatten(1), self.matrix)

    torch.manual_seed(8)
    x = torch.randn(9, 2, 6)
    integer = lab.make(Functional(), x)
    lab.compare(integer, integer.quantise(x))
    assert [s.operation for s in integer.program.steps if isinstance(s, Product)] == ["conv1d", "linear"]
