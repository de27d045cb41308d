"""Layers whose filters have different circuits compute what loops over the definition do, filter by filter."""

import copy

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
from laxity.emulate.weights import read_state, restore, save_state
from laxity.evaluation.memory import weight_memories
from laxity.kernels import native
from laxity.kernels.filters import FusedFilterProducts, partition
from laxity.recovery.gradients.context import with_gradient
from laxity.recovery.modelled import error_models
from laxity.recovery.observe import observe
from laxity.recovery.regression import fit
from laxity.recovery.regularisation import ExpectedErrors
from laxity.sites import find_sites
from laxity.sites.prepare import prepare
from laxity.techniques import (
    ChannelPruning,
    CircuitAccumulator,
    CircuitMultiplier,
    FilterMultipliers,
    Integer,
    MagnitudePruning,
    Minifloat,
)
from laxity.techniques.context import BuildContext

FEW = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
NAMES = "dadda8 drum8_4 mitchell8 perf8_0_3"


def module_of(kind, dims, groups, inputs, outputs, kernel):
    """A layer and the shape of an input for it."""
    if kind == "linear":
        return nn.Linear(inputs, outputs), (3, inputs)
    spatial = (5, 4, 3)[:dims]
    options = {"stride": 2, "padding": 1, "groups": groups, "bias": True}
    family = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if kind == "conv":
        family = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return family[dims - 1](inputs * groups, outputs * groups, kernel, **options), (2, inputs * groups, *spatial)


def emulate(layer, x, choice, filters):
    """An emulated layer with a FILTER choice, calibrated."""
    site = find_sites(layer, x[:1])[0]
    filters.check(site)
    emulated = EmulatedLayer(site, copy.deepcopy(layer)).requires_grad_(False).eval()
    context = BuildContext(emulated, x, (site,))
    choice.attach(context, [emulated])
    filters.attach(context, [emulated])
    calibrate(emulated, [x])
    return emulated


def reference_sums(ref, layer, emulated, codes, filters):
    """Sums in units of codes, the loops run with each circuit, and each output channel taken from its own."""
    operand, outputs = emulated.operand, emulated.outputs
    weight_codes, _, _ = emulated.stored_codes()
    _, zero = operand.weight.scale_and_zero(emulated.used_weight())
    zeros = np.resize(zero.numpy().astype(np.int64), outputs)
    a, w = codes.numpy().astype(np.int64), weight_codes.numpy().astype(np.int64)
    found = []
    for name in filters.names:
        circuit = catalogue.get(name)
        shifts = circuit.a_bits - operand.input.bits, circuit.b_bits - operand.weight.bits
        one = ref.Reference(circuit, shifts, int(operand.input.zero), zeros)
        if isinstance(layer, nn.Linear):
            sums = np.moveaxis(one.linear(a, w), -1, 1)
        else:
            sums = one.transposed(layer, a, w) if layer.transposed else one.convolution(layer, a, w)
        found.append(sums / 2 ** sum(shifts))
    modes = list(map(int, filters.modes))
    own = np.stack([found[mode][:, o] for o, mode in enumerate(modes)], 1)
    return np.moveaxis(own, 1, -1) if isinstance(layer, nn.Linear) else own


@st.composite
def cases(draw):
    """A layer, an input, its codes and its modes."""
    kind = draw(st.sampled_from(["linear", "conv", "conv", "transposed"]))
    dims, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    torch.manual_seed(draw(st.integers(0, 2**20)))
    layer, shape = module_of(kind, dims, groups, draw(st.integers(1, 3)), draw(st.integers(1, 4)), 2)
    outputs = layer.out_features if kind == "linear" else layer.out_channels
    bits = draw(st.integers(4, 8))
    scheme, input_scheme = (draw(st.sampled_from(["symmetric", "affine"])) for _ in range(2))
    granularity = draw(st.sampled_from(["channel", "tensor"]))
    choice = Integer(bits, draw(st.integers(4, 8)), scheme, input_scheme, granularity)
    modes = draw(st.lists(st.integers(0, 3), min_size=outputs, max_size=outputs))
    widths = draw(st.none() | st.lists(st.integers(2, bits), min_size=4, max_size=4))
    return layer, shape, choice, FilterMultipliers.of(NAMES.split(), modes, widths)


@FEW
@given(case=cases())
def test_any_layer_equals_loops_over_its_definition(ref, case):
    layer, shape, choice, filters = case
    x = torch.randn(shape)
    emulated = emulate(layer, x, choice, filters)
    codes = emulated.operand.input.codes(x)
    wanted = reference_sums(ref, layer, emulated, codes, filters)
    got = emulated.integer_sums(codes)
    assert np.array_equal(got.to(torch.float64).numpy(), wanted)
    scale, _ = emulated.operand.weight.scale_and_zero(emulated.weight)
    spread = [1] * got.dim()
    spread[-1 if isinstance(layer, nn.Linear) else 1] = -1
    factor = torch.from_numpy(np.resize((scale * emulated.operand.input.scale).numpy(), emulated.outputs))
    output = torch.from_numpy(wanted).float() * factor.reshape(spread) + layer.bias.detach().reshape(spread)
    assert torch.equal(emulated(x), output)


@FEW
@given(case=cases())
def test_stored_weights_are_requantised_codes(case):
    layer, shape, choice, filters = case
    emulated = emulate(layer, torch.randn(shape), choice, filters)
    plain = emulate(layer, torch.randn(shape), choice, FilterMultipliers())
    whole = by_output(layer, plain.stored_codes()[0].numpy())
    stored = by_output(layer, emulated.stored_codes()[0].numpy())
    signed = choice.weight_scheme == "symmetric"
    for o, mode in enumerate(map(int, filters.modes)):
        bits = filters.widths[mode] or choice.weight_bits
        step = 2 ** (choice.weight_bits - bits)
        top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        assert np.array_equal(stored[o], np.clip(np.rint(whole[o] / step), -top if signed else 0, top) * step)


def by_output(layer, weight):
    """A weight by original output channel."""
    if isinstance(layer, nn.Linear) or not layer.transposed:
        return weight
    groups = layer.groups
    split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    return np.moveaxis(split, 2, 1).reshape(groups * weight.shape[1], -1)


def small(groups=1):
    torch.manual_seed(1)
    layers = (nn.Conv2d(4, 8, 3, padding=1, groups=groups), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(96, 5)).eval()


X = torch.randn(6, 4, 6, 6, generator=torch.Generator().manual_seed(2))
BASE = Plan.assign(find_sites(small(), X[:1]), [Integer()])
MIXED = FilterMultipliers(NAMES, "8 8 6 4", "01230122")


def fitting(choice="01230122"):
    """The plan with modes at the first site."""
    return BASE.with_("0", FilterMultipliers(NAMES, "8 8 6 4", choice))


@pytest.mark.parametrize("name", NAMES.split())
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_one_mode_everywhere_is_the_one_circuit(name, groups):
    mode = NAMES.split().index(name)
    one = approximate(small(groups), BASE.with_("0", CircuitMultiplier(name)), calibration=X)
    every = approximate(small(groups), BASE.with_("0", FilterMultipliers(NAMES, "", str(mode) * 8)), calibration=X)
    assert torch.equal(one(X), every(X))
    assert every[0].products()[0] is one[0].products()[0]


def test_several_circuits_run_fused():
    kernel = approximate(small(), fitting(), calibration=X)[0].products()[0]
    assert isinstance(kernel, FusedFilterProducts) == (native.level() != "torch")


@settings(deadline=None, max_examples=10)
@given(order=st.permutations(range(8)), groups=st.sampled_from([1, 4]))
def test_permuted_filters_permute_outputs(order, groups):
    """Within groups, whose inputs stay where they are."""
    size = 8 // groups
    order = [g * size + o for g in range(groups) for o in [k for k in (i - g * size for i in order) if 0 <= k < size]]
    layer = small(groups)[0]
    turned = copy.deepcopy(layer)
    with torch.no_grad():
        turned.weight.copy_(layer.weight[order])
        turned.bias.copy_(layer.bias[order])
    modes = FilterMultipliers(NAMES, "8 8 6 4", "".join(MIXED.modes[o] for o in order))
    straight = emulate(layer, X, Integer(), MIXED)
    assert torch.equal(emulate(turned, X, Integer(), modes)(X), straight(X)[:, order])


@given(st.integers(1, 4).flatmap(lambda g: st.tuples(st.just(g), st.lists(st.integers(0, 3), min_size=g, max_size=12))))
@settings(deadline=None, max_examples=50)
def test_parts_hold_every_filter_once(case):
    groups, kernels = case
    kernels = kernels[: len(kernels) // groups * groups]
    parts = partition(kernels, groups)
    real = [part.rows[place] for part in parts for place in part.real]
    assert sorted(real) == list(range(len(kernels)))
    size = len(kernels) // groups
    for part in parts:
        assert {kernels[row] for row in part.rows} == {part.kernel}
        each = len(part.rows) // len(part.groups)
        assert [row // size for row in part.rows] == [g for g in part.groups for _ in range(each)]


def test_functional_weights():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = small()[0].weight, small()[0].bias

        def forward(self, x):
            return torch.nn.functional.conv2d(x, self.weight, self.bias, padding=1)

    name = find_sites(Functional(), X[:1])[0].name
    model = approximate(Functional(), Plan().with_(name, Integer(), MIXED), calibration=X)
    assert torch.equal(model(X), emulate(small()[0], X, Integer(), MIXED)(X))


def test_pruned_channels_take_their_modes_with_them():
    pytest.importorskip("torch_pruning")
    plan = BASE.with_("0", ChannelPruning(0.375)).with_("0", MIXED)
    model = approximate(small(), plan, calibration=X)
    layer = model[0]
    assert len(layer.kept) == 5
    left = nn.Conv2d(4, 5, 3, padding=1)
    with torch.no_grad():
        left.weight.copy_(small()[0].weight[layer.kept])
        left.bias.copy_(small()[0].bias[layer.kept])
    own = FilterMultipliers(NAMES, "8 8 6 4", "".join(MIXED.modes[c] for c in layer.kept))
    assert torch.equal(layer(X), emulate(left, X, Integer(), own)(X))
    assert {key for key in layer.facts() if key.startswith("kept:")} == {f"kept:{c}" for c in layer.kept}


def test_masked_weights():
    plan = BASE.with_("0", MagnitudePruning(0.5)).with_("0", MIXED)
    layer = approximate(small(), plan, calibration=X)[0]
    bare = small()[0]
    with torch.no_grad():
        bare.weight.copy_(layer.used_weight())
    assert torch.equal(layer(X), emulate(bare, X, Integer(), MIXED)(X))


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
def test_recurrent_sites_have_a_filter_per_gate_and_unit(cell):
    torch.manual_seed(3)
    net, x = cell(4, 3, batch_first=True), torch.randn(5, 6, 4)
    sites = find_sites(net, x[:1])
    gates = {nn.GRU: 9, nn.LSTM: 12}[cell]
    assert [s.op.weight_shape[0] for s in sites] == [gates, gates]
    modes = ("0123" * 3)[:gates]
    plan = Plan.assign(sites, [Integer()])
    first, second = (s.name for s in sites)
    mixed = approximate(net, plan.with_(first, FilterMultipliers(NAMES, "", modes)), calibration=x)
    layer = mixed.get_submodule(first)
    alone = nn.Linear(4, gates)
    with torch.no_grad():
        alone.weight.copy_(layer.weight)
        alone.bias.copy_(layer.bias)
    rows = x.reshape(-1, 4)
    assert torch.equal(layer(rows), emulate(alone, rows, Integer(), FilterMultipliers(NAMES, "", modes))(rows))
    both = approximate(
        net, plan.with_(first, FilterMultipliers(NAMES, "", modes)).with_(second, FilterMultipliers(NAMES, "", modes)),
        calibration=x,
    )  # fmt: skip
    assert not torch.equal(both(x)[0], mixed(x)[0])
    with torch.no_grad():
        assert torch.equal(both(x)[0], both(x)[0])


def test_gradients_are_straight_through():
    model = approximate(small(), fitting(), calibration=X).requires_grad_(True)
    model(X)[:, 0].sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())
    layer = model[0]
    x = X.clone().requires_grad_()
    found = torch.autograd.grad(layer(x).square().sum(), [x, layer.weight])
    smooth = layer.smooth_weight().detach().requires_grad_()
    coder = layer.operand.input
    codes = coder.represent(X, coder.codes(X)).detach().requires_grad_()
    values = nn.functional.conv2d(codes, smooth, layer.bias, padding=1)
    wanted = torch.autograd.grad(values, [codes, smooth], 2 * layer(X).detach())
    free = torch.round(
        layer.weight.detach() / layer.operand.weight.scale_and_zero(layer.weight)[0].reshape(-1, 1, 1, 1)
    )
    step, top = layer.operand.weight.step, layer.operand.weight.top
    inside = torch.round(free / step).abs() <= top
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1] * inside)
    assert not bool(inside.all())


@pytest.mark.parametrize("way", ["deepcopy", "state dict", "saved weights"])
def test_copies_compute_the_same(way, tmp_path):
    model = approximate(small(), fitting(), calibration=X)
    if way == "deepcopy":
        twin = copy.deepcopy(model)
    elif way == "state dict":
        twin = restore(prepare(small(), X[:1]), fitting(), model.state_dict())
    else:
        save_state(model, tmp_path / "weights")
        twin = restore(prepare(small(), X[:1]), fitting(), read_state(tmp_path / "weights"))
    assert torch.equal(twin(X), model(X))
    with torch.no_grad():
        model[0].weight.mul_(-0.7)
    assert not torch.equal(twin(X), model(X))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch")
@pytest.mark.parametrize("operand", [Integer(), Integer(8, 8, "affine", "affine")])
@pytest.mark.parametrize("groups", [1, 4])
def test_compiled_and_exported(operand, groups):
    torch._dynamo.reset()
    plan = BASE.with_("0", operand).with_("0", MIXED)
    model = approximate(small(groups), plan, calibration=X)
    wanted = model(X)
    assert torch.equal(torch.compile(model, backend="aot_eager", fullgraph=True)(X), wanted)
    assert torch.equal(torch.export.export(model, (X,)).module()(X), wanted)


@pytest.mark.parametrize("accumulator", [CircuitAccumulator("loa20_6"), CircuitAccumulator("ripple16")])
def test_accumulators_add_the_products_of_every_filter(accumulator):
    mixed = approximate(small(), BASE.with_("0", MIXED).with_("0", accumulator), calibration=X)
    bare = FilterMultipliers(NAMES, "", MIXED.modes)
    unrounded = approximate(small(), BASE.with_("0", bare).with_("0", accumulator), calibration=X)
    assert not torch.equal(mixed[0](X), unrounded[0](X))
    for mode, name in enumerate(NAMES.split()):
        one = approximate(small(), BASE.with_("0", CircuitMultiplier(name)).with_("0", accumulator), calibration=X)
        own = [o for o, m in enumerate(MIXED.modes) if int(m) == mode]
        assert torch.equal(unrounded[0](X)[:, own], one[0](X)[:, own])


def test_significands_of_floats():
    names = "dadda8 mitchell8"
    bare = approximate(
        small(), BASE.with_("0", Minifloat(4, 3), FilterMultipliers(names, "", "01010101")), calibration=X
    )
    for mode, name in enumerate(names.split()):
        one = approximate(small(), BASE.with_("0", Minifloat(4, 3), CircuitMultiplier(name)), calibration=X)
        assert torch.equal(bare[0](X)[:, mode::2], one[0](X)[:, mode::2])
    with pytest.raises(PlanError, match="site '0' has no integer weights, which modes could store in '8 4' bits"):
        approximate(
            small(), BASE.with_("0", Minifloat(4, 3), FilterMultipliers(names, "8 4", "01010101")), calibration=X
        )


def test_error_models_are_of_every_filter():
    """Fitted to the errors that brute force finds at the sampled outputs."""
    model = approximate(small(), fitting(), calibration=X)
    seen = observe(model, [X], seed=0, patches=64)
    found = error_models(model, seen, per_kernel=True)["0"]
    site = seen.sites["0"]
    errors = []
    for o, mode in enumerate(map(int, MIXED.modes)):
        table = catalogue.get(NAMES.split()[mode]).table
        a, w = site.left[0].long().numpy(), site.right[0][:, o].long().numpy()
        products = np.sign(a) * np.sign(w) * table[np.abs(a), np.abs(w)]
        errors.append((products - a * w).sum(1))
    wanted = fit(torch.from_numpy(np.stack(errors, 1))[None].double(), site, per_kernel=True)
    assert torch.equal(found.slope, wanted.slope)
    assert torch.equal(found.offset, wanted.offset)
    assert found.slope[0] == 0 != found.slope[2]


def test_gradients_by_error_slopes_work_and_tables_refuse():
    model = approximate(small(), fitting(), calibration=X).requires_grad_(True)
    with with_gradient(model, "error_slope", [X]) as sites:
        assert "0" in sites
        model(X).sum().backward()
    for name in ("table_1d", "table_2d"):
        with (
            pytest.raises(
                PlanError, match=r"site '0' has filters by several circuits \(dadda8, drum8_4, mitchell8, .*\)"
            ),
            with_gradient(model, name, [X]),
        ):
            pass
    with pytest.raises(PlanError, match="tables of errors know one circuit for all products of a site"):
        ExpectedErrors(model, [X], seed=0)


def test_integer_networks_refuse_several_circuits():
    with pytest.raises(
        PlanError, match=r"site '0' has filters by several circuits.*, and integer-only networks and the"
    ):
        integer_model(approximate(small(), fitting(), calibration=X), X)


def test_faults_want_words_of_one_width():
    plain = FilterMultipliers(NAMES, "", MIXED.modes)
    assert weight_memories(approximate(small(), BASE.with_("0", plain), calibration=X))[0].width_bits == 8
    with pytest.raises(PlanError, match="site '0' stores words of several widths"):
        weight_memories(approximate(small(), fitting(), calibration=X))


def test_traces_hold_sums_of_each_filters_circuit():
    """With a single row of processing elements above, a partial sum is one product of the filter's circuit."""
    model = approximate(small(), fitting(), calibration=X)
    trace = operand_traces(model, X, seed=0, tile_rows=2)["0"]
    tables = [catalogue.get(name).table for name in NAMES.split()]
    products = {int(t) for table in tables for t in table.reshape(-1)}
    assert set(np.abs(trace.partial_sums).reshape(-1).tolist()) <= products
    exact = operand_traces(approximate(small(), BASE, calibration=X), X, seed=0, tile_rows=2)["0"]
    assert np.array_equal(trace.activations, exact.activations)
    assert not np.array_equal(trace.partial_sums, exact.partial_sums)
