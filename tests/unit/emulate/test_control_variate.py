"""Layers with a control variate add to every sum what the formula says, and this takes the mean error away."""

import copy
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from laxity import Plan, approximate
from laxity.circuits import catalogue
from laxity.core.errors import PlanError
from laxity.emulate.build import calibrate
from laxity.emulate.integer import integer_model
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.operands import operand_traces
from laxity.emulate.weights import restore
from laxity.kernels import native
from laxity.kernels.analysis import signed_table
from laxity.kernels.correction import AUTOMATIC, FusedCorrectedProducts
from laxity.recovery.gradients.context import with_gradient
from laxity.recovery.modelled import error_models
from laxity.recovery.observe import observe
from laxity.sites import find_sites
from laxity.sites.prepare import prepare
from laxity.techniques import CircuitAccumulator, CircuitMultiplier, ControlVariate, Integer
from laxity.techniques.context import BuildContext

FEW = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
UNSIGNED = Integer(8, 8, "affine", "affine")


def emulate(layer, x, operand, choice):
    site = find_sites(layer, x[:1])[0]
    emulated = EmulatedLayer(site, copy.deepcopy(layer)).requires_grad_(False).eval()
    context = BuildContext(emulated, x, (site,))
    operand.attach(context, [emulated])
    choice.attach(context, [emulated])
    calibrate(emulated, [x])
    return emulated


def low_part(codes, bits):
    return np.sign(codes) * (np.abs(codes) & ((1 << max(0, bits)) - 1))


def windows(layer, codes, zero):
    """For every output, in the order of torch, the activation codes that its products see, padding among them."""
    if isinstance(layer, nn.Linear):
        rows = codes.reshape(-1, codes.shape[-1])
        return [(row, o) for row in rows for o in range(layer.out_features)]
    pad, (kh, kw), (sh, sw) = layer.padding, layer.kernel_size, layer.stride
    padded = np.pad(codes, [(0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2], constant_values=zero)
    inputs, size = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    places = itertools.product(
        range(len(codes)), range(layer.out_channels),
        range((padded.shape[2] - kh) // sh + 1), range((padded.shape[3] - kw) // sw + 1),
    )  # fmt: skip
    found = []
    for n, o, i, j in places:
        first = o // size * inputs
        window = padded[n, first : first + inputs, i * sh : i * sh + kh, j * sw : j * sw + kw]
        found.append((window.reshape(-1), o))
    return found


def exact_line(table, exact, low, counts, weights, least):
    """Slope and intercept of a kernel's mean error over `low`, by least squares in fractions."""
    columns = [w - least for w in weights]
    mean = [Fraction(int(sum(table[i, c] - exact[i, c] for c in columns)), len(columns)) for i in range(len(low))]
    points = [Fraction(int(v)) for v in low]
    shares = [Fraction(int(c), int(counts.sum())) for c in counts]
    middle, level = (sum(s * v for s, v in zip(shares, values, strict=True)) for values in (points, mean))
    spread = sum(s * (p - middle) ** 2 for s, p in zip(shares, points, strict=True))
    moment = sum(s * (p - middle) * e for s, p, e in zip(shares, points, mean, strict=True))
    slope = moment / spread if spread else Fraction(0)
    return slope, level - slope * middle


def check(layer, x, operand, choice):
    """Compare constants with least squares in fractions, and sums with loops over the formula."""
    plain, emulated = emulate(layer, x, operand, CircuitMultiplier(choice.name)), emulate(layer, x, operand, choice)
    codes = plain.operand.input.codes(x)
    a, zero = codes.numpy().astype(np.int64), int(plain.operand.input.zero)
    weight = plain.stored_codes()[0].numpy().astype(np.int64).reshape(plain.outputs, -1)
    kernel, unshift = emulated.products()
    (first, last), (least, most) = plain.operand.input.code_range, plain.operand.weight.code_range
    circuit = catalogue.get(choice.name)
    shifts = circuit.a_bits - operand.input_bits, circuit.b_bits - operand.weight_bits
    bits = choice.bits - shifts[0]
    before = plain.integer_sums(codes).to(torch.float64).numpy()
    after = emulated.integer_sums(codes).to(torch.float64).numpy()
    if bits < 1:
        assert np.array_equal(before, after)
        return
    low = low_part(np.arange(first, last + 1), bits)
    table = signed_table(circuit, (first, last), (least, most), shifts)
    exact = np.multiply.outer(np.arange(first, last + 1), np.arange(least, most + 1)) << sum(shifts)
    unit = round(unshift * 2 ** sum(shifts))
    rows = torch.from_numpy(weight - least).to(torch.uint8)
    counts = np.ones(last - first + 1)
    if choice.activations == "calibrated":
        flat = codes.flatten().long() - first
        counts = torch.bincount(torch.cat([flat, flat.min()[None], flat.max()[None]]), minlength=len(counts)).numpy()
    constants = [c.tolist() for c in kernel.correction.constants(rows)]
    fraction = choice.fraction_bits
    for o, (constant, offset) in enumerate(zip(*constants, strict=True)):
        slope, level = exact_line(table, exact, low, counts, weight[o], least)
        wanted = -slope / unit
        if fraction == AUTOMATIC:
            fraction = max(f for f in range(-20, 17) if all(_fits(c, f, operand.weight_bits) for c in constants[0]))
        assert (Fraction(constant) * Fraction(2) ** fraction).denominator == 1
        assert abs(Fraction(constant) - wanted) <= Fraction(1, 2) / Fraction(2) ** fraction + Fraction(1, 2**19)
        assert abs(Fraction(offset) + level * weight.shape[1] / unit) <= Fraction(1, 2) + Fraction(
            weight.shape[1], 2**19
        )
    expected = []
    for seen, o in windows(layer, a, zero):
        total = int(low_part(seen, bits).sum())
        added = math.floor(Fraction(constants[0][o]) * total + Fraction(1, 2)) + int(constants[1][o])
        expected.append(added * unshift)
    if isinstance(layer, nn.Linear):
        assert np.array_equal(after.reshape(-1), before.reshape(-1) + np.array(expected))
    else:
        assert np.array_equal(after, before + np.array(expected).reshape(before.shape))
    scale, _ = plain.operand.weight.scale_and_zero(plain.weight)
    spread = [1] * after.ndim
    spread[-1 if isinstance(layer, nn.Linear) else 1] = -1
    factor = torch.from_numpy(np.resize((scale * plain.operand.input.scale).numpy(), plain.outputs)).reshape(spread)
    assert torch.equal(emulated(x), torch.from_numpy(after).float() * factor + layer.bias.detach().reshape(spread))


def _fits(constant, bits, width):
    return abs(constant) * 2.0**bits < 2**width


kinds = st.sampled_from(["calibrated", "uniform"])


@st.composite
def cases(draw):
    torch.manual_seed(draw(st.integers(0, 2**20)))
    if draw(st.booleans()):
        layer, shape = nn.Linear(draw(st.integers(1, 9)), draw(st.integers(1, 4))), None
        shape = (3, layer.in_features)
    else:
        groups, padding = draw(st.integers(1, 3)), draw(st.integers(0, 2))
        inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
        layer = nn.Conv2d(inputs, outputs, (2, 3), stride=(1, 2), padding=padding, groups=groups)
        shape = (2, inputs, 4, 5)
    schemes = [draw(st.sampled_from(["symmetric", "affine"])) for _ in range(2)]
    operand = Integer(draw(st.integers(5, 8)), draw(st.integers(5, 8)), *schemes)
    name = draw(st.sampled_from(["gated8_3_0", "perf8_0_3", "optrunc8_3", "coltrunc8_6", "mitchell8", "dadda8"]))
    choice = ControlVariate(name, draw(st.integers(1, 8)), draw(st.sampled_from([AUTOMATIC, 0, 3, 12])), draw(kinds))
    return layer, torch.randn(shape), operand, choice


@FEW
@given(case=cases())
def test_any_layer_equals_loops_over_the_formula(case):
    check(*case)


def test_padding_has_low_bits_too():
    torch.manual_seed(0)
    x = torch.rand(1, 2, 4, 4) + 0.3
    x[0, 0, 0, 0] = -0.9
    layer = nn.Conv2d(2, 3, 3, padding=1)
    check(layer, x, UNSIGNED, ControlVariate("gated8_4_0", 4))
    assert int(emulate(layer, x, UNSIGNED, CircuitMultiplier()).operand.input.zero) % 16


@pytest.mark.parametrize("operand", [Integer(), UNSIGNED])
def test_no_bits_are_no_correction(operand):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 6, 6)
    plain = emulate(layer, x, operand, CircuitMultiplier("optrunc8_3"))
    assert torch.equal(emulate(layer, x, operand, ControlVariate("optrunc8_3", 0))(x), plain(x))
    assert not torch.equal(emulate(layer, x, operand, ControlVariate("optrunc8_3", 3))(x), plain(x))


OUTPUTS, LENGTH, ROWS = 12, 40, 20_000


@pytest.mark.parametrize(
    ("name", "bits", "of_weight"),
    [("gated8_3_0", 3, False), ("gated8_4_0", 4, False), ("perf8_0_3", 8, True), ("perf8_0_2", 8, True)],
)
@pytest.mark.parametrize("operand", [UNSIGNED, Integer()])
def test_mean_error_goes_and_variance_is_as_predicted(name, bits, of_weight, operand):
    """Of operands that are independent; bits are dropped from the activation, or from the weight."""
    torch.manual_seed(5)
    layer = nn.Linear(LENGTH, OUTPUTS)
    with torch.no_grad():
        layer.weight.add_(0.4 * layer.weight.std())
    x = torch.randint(0, 256, (ROWS, LENGTH)).float() / 255  # every code alike
    exact = emulate(layer, x, operand, CircuitMultiplier("dadda8"))
    codes = exact.operand.input.codes(x)
    wanted = exact.integer_sums(codes)
    plain = emulate(layer, x, operand, CircuitMultiplier(name)).integer_sums(codes) - wanted
    corrected = emulate(layer, x, operand, ControlVariate(name, bits, 16)).integer_sums(codes) - wanted
    weight = exact.stored_codes()[0].numpy().astype(np.int64)
    drop = {"gated8_3_0": 3, "gated8_4_0": 4, "perf8_0_3": 3, "perf8_0_2": 2}[name]
    a = np.arange(256)
    if of_weight:
        factor, spread = low_part(weight, drop), a.var()
        mean = -(factor * a.mean()).sum(1)
    else:
        factor, spread = weight, low_part(a, drop).var()
        mean = -(factor * low_part(a, drop).mean()).sum(1)
    predicted = ((factor - factor.mean(1, keepdims=True)) ** 2).sum(1) * spread
    sigma = np.sqrt(predicted / ROWS)
    assert np.all(np.abs(corrected.double().mean(0).numpy()) < 4.5 * sigma + 0.51)
    plain_sigma = np.sqrt((factor**2).sum(1) * spread / ROWS)
    assert np.all(np.abs(plain.double().mean(0).numpy() - mean) < 4.5 * plain_sigma + 0.01)
    assert np.abs(mean).max() > 20 * sigma.max()
    np.testing.assert_allclose(corrected.double().var(0).numpy(), predicted, rtol=5 * math.sqrt(2 / ROWS))


def test_the_constant_of_dropped_activation_bits_is_the_mean_weight():
    torch.manual_seed(1)
    layer, x = nn.Conv2d(4, 6, 3), torch.rand(4, 4, 6, 6)
    for operand in (Integer(), UNSIGNED):
        emulated = emulate(layer, x, operand, ControlVariate("gated8_3_0", 3, 10))
        weight = emulated.stored_codes()[0]
        rows = (weight - emulated.operand.weight.code_range[0]).to(torch.uint8)
        constants, offsets = emulated.products()[0].correction.constants(rows)
        mean = weight.double().flatten(1).mean(1)
        assert torch.equal(constants, torch.floor(mean * 1024 + 0.5) / 1024)
        assert not bool(offsets.any())


def network(groups=1):
    torch.manual_seed(1)
    layers = (nn.Conv2d(4, 8, 3, padding=1, groups=groups), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(96, 5)).eval()


X = torch.randn(6, 4, 6, 6, generator=torch.Generator().manual_seed(2))
BASE = Plan.assign(find_sites(network(), X[:1]), [Integer()])
CORRECTED = ControlVariate("optrunc8_3", 3)
PLAN = Plan.assign(find_sites(network(), X[:1]), [Integer(), CORRECTED])


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch")
@pytest.mark.parametrize("operand", [Integer(), UNSIGNED])
@pytest.mark.parametrize("groups", [1, 4])
def test_compiled_and_exported(operand, groups):
    torch._dynamo.reset()
    model = approximate(network(groups), PLAN.with_("0", operand), calibration=X)
    wanted = model(X)
    assert torch.equal(torch.compile(model, backend="aot_eager", fullgraph=True)(X), wanted)
    assert torch.equal(torch.export.export(model, (X,)).module()(X), wanted)


def test_copies_compute_the_same_and_training_moves_the_constants():
    model = approximate(network(), PLAN, calibration=X)
    assert isinstance(model[0].products()[0], FusedCorrectedProducts) == (native.level() != "torch")
    wanted = model(X)
    assert torch.equal(copy.deepcopy(model)(X), wanted)
    assert torch.equal(restore(prepare(network(), X[:1]), PLAN, model.state_dict())(X), wanted)
    model.requires_grad_(True)
    model(X).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with torch.no_grad():
        model[0].weight.mul_(-0.5).add_(0.1)
    bare = network()
    with torch.no_grad():
        bare[0].weight.copy_(model[0].weight)
    fresh = emulate(bare[0], X, Integer(), CORRECTED)
    assert torch.equal(model[0](X), fresh(X))


def test_recurrent_sites():
    torch.manual_seed(3)
    net, x = nn.GRU(4, 3, batch_first=True), torch.randn(5, 6, 4)
    plan = Plan.assign(find_sites(net, x[:1]), [Integer(), ControlVariate("gated8_3_0", 3)])
    model = approximate(net, plan, calibration=x)
    state = torch.zeros(5, 3)
    first, second = (model.get_submodule(s.name) for s in find_sites(net, x[:1]))
    for step in range(6):
        own, past = first(x[:, step]), second(state)
        reset, update = (own[:, :6] + past[:, :6]).sigmoid().chunk(2, 1)
        new = torch.tanh(own[:, 6:] + reset * past[:, 6:])
        state = new + update * (state - new)
    torch.testing.assert_close(model(x)[1][0], state)


def test_it_is_added_behind_the_accumulator():
    accumulator = CircuitAccumulator("loa20_10")
    found = {}
    for name, choices in {
        "both": (CORRECTED, accumulator), "circuit": (CircuitMultiplier("optrunc8_3"), accumulator),
        "corrected": (CORRECTED,), "plain": (CircuitMultiplier("optrunc8_3"),),
    }.items():  # fmt: skip
        layer = approximate(network(), BASE.with_("0", *choices), calibration=X)[0]
        found[name] = layer.integer_sums(layer.operand.input.codes(X)).double()
    assert torch.equal(found["both"] - found["circuit"], found["corrected"] - found["plain"])
    assert not torch.equal(found["circuit"], found["plain"])


def test_what_knows_single_circuits_refuses():
    model = approximate(network(), PLAN, calibration=X).requires_grad_(True)
    with pytest.raises(PlanError, match=r"site '0' has optrunc8_3 corrected by a control variate, and integer-only"):
        integer_model(model, X)
    with pytest.raises(PlanError, match="tables of errors know one circuit"), with_gradient(model, "table_1d", [X]):
        pass
    with with_gradient(model, "error_slope", [X]):
        model(X).sum().backward()


def test_error_models_feel_the_correction():
    """The mean error that is left at the sampled outputs is smaller, kernel by kernel of unsigned weights."""
    means = {}
    for choice in (CircuitMultiplier("gated8_4_0"), ControlVariate("gated8_4_0", 4)):
        model = approximate(network(), BASE.with_("0", Integer(8, 8, "affine"), choice), calibration=X)
        seen = observe(model, [X], seed=0, patches=256)
        error = error_models(model, seen, per_kernel=True)["0"]
        means[choice.kind] = (error.slope * seen.sites["0"].sums.mean((0, 1)) + error.offset).abs().mean()
    assert means["control_variate"] < 0.5 * means["multiplier"]


def test_traces_are_those_of_the_circuit():
    plain = approximate(network(), BASE.with_("0", CircuitMultiplier("optrunc8_3")), calibration=X)
    corrected = approximate(network(), BASE.with_("0", CORRECTED), calibration=X)
    keys = [operand_traces(model, X, seed=0)["0"].key for model in (plain, corrected)]
    assert keys[0] == keys[1]
