"""From plans to models: functional calls, calibration, state, copies, devices."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.circuits import catalogue
from laxity.core.errors import DataError, PlanError, RunError
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.emulate import EmulatedLayer, approximate, build, calibrate
from laxity.emulate.build import emulated
from laxity.emulate.product import EmulatedProduct
from laxity.emulate.weights import read_state, restore, save_state
from laxity.sites import find_sites, prepare
from laxity.techniques import ChannelPruning, CircuitMultiplier, Integer, MagnitudePruning


class Network(nn.Module):
    """Layers, norms, functions with stored weights, and products of activations."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.kernel = nn.Parameter(torch.randn(4, 1, 3, 3) / 3)
        self.offset = nn.Parameter(torch.randn(4))
        self.register_buffer("matrix", torch.randn(5, 4) / 2)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        x = F.relu(self.up(F.relu(self.norm(self.conv(x)))))
        x = F.conv2d(x, weight=self.kernel, bias=self.offset, stride=2, padding="valid", groups=4)
        tokens = F.linear(x.flatten(2).transpose(1, 2), self.matrix)
        scores = torch.matmul(input=tokens, other=tokens.transpose(1, 2)) / 10
        mixed = torch.bmm(torch.softmax(scores, -1), mat2=tokens)
        return self.head((mixed + torch.relu(tokens)).mean(1))


FUNCTIONAL = [":conv2d#0", ":linear#0", ":matmul#0", ":matmul#1"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = Network()
    nn.init.uniform_(model.norm.weight, 0.5, 1.5)
    nn.init.normal_(model.norm.running_mean, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def inputs():
    return torch.randn(12, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def full_plan(model, x, *choices):
    return Plan.assign(
        find_sites(model, x), choices or [Integer(6, 7, "affine", "affine"), CircuitMultiplier("drum8_4")]
    )


def test_fine_codes_come_near_the_original(network, inputs):
    model = approximate(network, full_plan(network, inputs, Integer()), calibration=inputs)
    exact = network(inputs).detach()
    assert float((model(inputs) - exact).abs().max()) < 0.05 * float(exact.abs().max())
    assert not torch.equal(model(inputs), exact)


def test_every_site_is_emulated_functions_too(network, inputs):
    model = approximate(network, full_plan(network, inputs), calibration=inputs)
    found = {m.site.name: m for m in emulated(model)}
    assert set(found) == {"conv", "up", "head", *FUNCTIONAL}
    assert isinstance(found[":matmul#0"], EmulatedProduct)
    assert isinstance(found[":conv2d#0"], EmulatedLayer)
    for layer in found.values():
        assert layer.operand.circuit(layer.multiplier) == catalogue.get("drum8_4")
        layer.taken = []
    model(inputs[:2])
    assert all(layer.taken or isinstance(layer, EmulatedProduct) for layer in found.values())


@pytest.mark.parametrize("name", [*FUNCTIONAL, "conv", "head"])
def test_each_site_changes_the_output_by_itself(network, inputs, name):
    model = approximate(network, Plan().with_(name, Integer(3, 3)), calibration=inputs)
    assert not torch.allclose(model(inputs), network(inputs), atol=1e-4)
    assert [m.site.name for m in emulated(model)] == [name]


def test_emulated_functions_compute_what_the_definition_says(ref, network, inputs):
    """The product of activations on codes, by loops, for every sample."""
    plan = Plan().with_(":matmul#0", Integer(5, 6, input_scheme="affine"), CircuitMultiplier("mitchell8"))
    model = approximate(network, plan, calibration=inputs)
    product = next(m for m in emulated(model) if isinstance(m, EmulatedProduct))
    left, right = torch.randn(2, 4, 5), torch.randn(2, 5, 3)
    code, other = product.operand.input, product.operand.weight
    a, b = code.codes(left), other.codes(right)
    shifts = (8 - 6, 8 - 5)
    reference = ref.Reference(catalogue.get("mitchell8"), shifts, int(code.zero), torch.zeros(3).numpy())
    for i in range(2):
        sums = reference.matmul(a[i].long().numpy(), b[i].long().numpy()) / 2 ** sum(shifts)
        assert torch.equal(product(left, right)[i], torch.from_numpy(sums).float() * (code.scale * other.scale))


@pytest.mark.parametrize("shapes", [((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((2, 1, 4, 5), (3, 5, 2))])
def test_products_take_every_shape_of_matmul(ref, shapes):
    class Times(nn.Module):
        def __init__(self, right):
            super().__init__()
            self.right = right

        def forward(self, x):
            return x @ self.right

    torch.manual_seed(2)
    left, right = torch.randn(shapes[0]), torch.randn(shapes[1])
    model = Times(right)
    prepared = prepare_product(model, left)
    built = build(prepared, Plan().with_(prepared.sites[0].name, Integer(8, 8, input_scheme="affine")))
    calibrate(built, [left])
    out = built(left)
    assert out.shape == model(left).shape
    torch.testing.assert_close(out, model(left), atol=0.15, rtol=0.05)


def prepare_product(model, left):
    from laxity.sites.find import run_recorded, sites_of
    from laxity.sites.prepare import Prepared

    return Prepared(model, tuple(sites_of(run_recorded(model, left), model)), {}, left)


def test_plain_function_arguments_are_kept(inputs):
    """Strides as lists and single numbers in tuples, as torch allows."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 2, 3, 3))
            self.v = nn.Parameter(torch.randn(4, 3, 2, 2))

        def forward(self, x):
            y = F.conv2d(x, self.w, None, [2], (1,), [1, 1])
            return F.conv_transpose2d(y, self.v, stride=(2,), output_padding=[1]).flatten(1)

    torch.manual_seed(0)
    model = Odd()
    built = approximate(model, full_plan(model, inputs, Integer()), calibration=inputs)
    torch.testing.assert_close(built(inputs), model(inputs), atol=0.5, rtol=0.1)
    layers = nn.Sequential(nn.Conv2d(2, 3, 3, stride=(2,)), nn.Flatten())
    taken = approximate(layers, Plan().with_("0", Integer()), calibration=inputs)
    torch.testing.assert_close(taken(inputs), layers(inputs), atol=0.1, rtol=0.1)


def test_the_plan_is_checked_against_the_model(network, inputs):
    with pytest.raises(PlanError, match="the plan names an unknown site 'cnv'; did you mean 'conv'"):
        approximate(network, Plan().with_("cnv", Integer()), calibration=inputs)
    with pytest.raises(PlanError, match="site ':matmul#0' has no slot 'structure'"):
        approximate(network, Plan().with_(":matmul#0", MagnitudePruning()), calibration=inputs)
    with pytest.raises(PlanError, match="site 'conv' has a multiplier but floating-point operands; give it an OPERAND"):
        approximate(network, Plan().with_("conv", CircuitMultiplier("drum8_4")), calibration=inputs)
    with pytest.raises(PlanError, match="a bare model needs calibration inputs"):
        approximate(network, Plan())
    with pytest.raises(PlanError, match="a bare model needs calibration inputs"):
        approximate(network, Plan(), calibration=inputs[:0])


def test_an_empty_plan_is_the_original(network, inputs):
    torch.testing.assert_close(approximate(network, Plan(), calibration=inputs)(inputs), network(inputs))


def test_calibration_refuses_what_it_cannot_use(network, inputs):
    prepared = prepare(network, inputs[:1])
    model = build(prepared, Plan().with_("conv", Integer()))
    with pytest.raises(DataError, match="calibration needs at least one input; the calibration split is empty"):
        calibrate(model, [])
    with pytest.raises(DataError, match="calibration needs at least one input"):
        calibrate(model, [inputs[:0]])
    for bad in (float("nan"), float("inf")):
        spoilt = inputs.clone()
        spoilt[3, 0, 2, 2] = bad
        with pytest.raises(DataError, match="activations at site 'conv' are not finite on the calibration data"):
            calibrate(model, [spoilt])
    assert all(m.observers is None for m in emulated(model))


def test_calibration_names_sites_that_are_never_reached():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.usual, self.rare = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.usual(x) if x.sum() < 0 else self.rare(x)

    model = Branching()
    prepared = prepare(model, torch.ones(1, 3), exact=["usual"])
    built = build(prepared, Plan().with_("rare", Integer()))
    with pytest.raises(PlanError, match="site 'rare' was not reached by any calibration input"):
        calibrate(built, [-torch.ones(4, 3)])


def test_ranges_cover_all_batches(network, inputs):
    model = build(prepare(network, inputs[:1]), Plan().with_("conv", Integer()))
    calibrate(model, [inputs[:4], inputs[4:], inputs[:0]])
    top = float(inputs.abs().max())
    assert float(model.get_submodule("conv").operand.input.scale) == pytest.approx(top / 127)


PLANS = {
    "codes": [Integer(5, 6)],
    "affine": [Integer(5, 6, "affine", "affine", "tensor", "mse")],
    "masked": [Integer(6, 8), MagnitudePruning(0.4), CircuitMultiplier("drum8_3")],
    "floating": [MagnitudePruning(0.4)],
}


@pytest.mark.parametrize("kind", [*PLANS, "channels"])
@pytest.mark.parametrize("recovery", [None, Recovery()])
def test_saved_state_gives_identical_outputs(network, inputs, tmp_path, kind, recovery):
    plan = full_plan(network, inputs, *PLANS.get(kind, [Integer()]))
    if kind == "channels":
        plan = plan.with_("conv", ChannelPruning(0.5))
    plan = plan.with_recovery(recovery)
    model = approximate(network, plan, calibration=inputs)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01 * torch.randn_like(p))
    expected = model(inputs)
    save_state(model, tmp_path / "model.safetensors")
    again = restore(prepare(network, inputs[:1]), plan, read_state(tmp_path / "model.safetensors"))
    assert torch.equal(again(inputs), expected)
    assert not again.training
    other = build(prepare(network, inputs[:1]), plan)
    if recovery is None:
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(inputs), expected)


def test_state_of_another_plan_is_refused(network, inputs, tmp_path):
    prepared = prepare(network, inputs[:1])
    plan = full_plan(network, inputs, Integer())
    model = approximate(network, plan, calibration=inputs)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(RunError, match=r"do not belong to this plan: tensor '.*structure.mask' is on one side only"):
        restore(prepared, plan.with_("conv", MagnitudePruning()), state)
    with pytest.raises(RunError, match=r"'inner.conv.weight' has shapes \(6, 2, 3, 3\) and \(3, 2, 3, 3\)"):
        restore(prepared, plan.with_("conv", ChannelPruning(0.5)), state)
    with pytest.raises(RunError, match=r"cannot read weights .*missing.safetensors: No such file"):
        read_state(tmp_path / "missing.safetensors")
    (tmp_path / "bad").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      garbage")
    with pytest.raises(RunError, match=r"weights .*bad are corrupt: .*; run the optimisation again"):
        read_state(tmp_path / "bad")


def test_copies_are_equal_and_independent(network, inputs):
    plan = full_plan(network, inputs).with_("conv", MagnitudePruning(0.5))
    model = approximate(network, plan, calibration=inputs)
    expected = model(inputs)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(inputs), expected)
        assert {k for k, _ in other.named_buffers()} == {k for k, _ in model.named_buffers()}
        with torch.no_grad():
            for p in other.parameters():
                p.mul_(-1)
        assert not torch.equal(other(inputs), expected)
        assert torch.equal(model(inputs), expected)


def test_whole_models_can_be_saved_by_torch(network, inputs):
    model = approximate(network, full_plan(network, inputs), calibration=inputs)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer, weights_only=False)(inputs), model(inputs))


@pytest.mark.parametrize("name", ["dadda8", "mitchell8"])
def test_changed_weights_are_noticed(ref, name):
    """Whatever way a weight, a mask, a code or a circuit changes after a first run."""
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4, bias=False), torch.randn(5, 6)
    emulated_layer = ref.emulate(layer, x, Integer(6, 6), catalogue.get(name))

    def fresh():
        again = copy.deepcopy(emulated_layer)
        return again(x)

    seen = [emulated_layer(x)]
    changes = [
        lambda m: m.weight.data.mul_(-1),
        lambda m: setattr(m, "weight", nn.Parameter(torch.randn(4, 6), requires_grad=False)),
        lambda m: m.weight.data.copy_(torch.randn(4, 6)),
        lambda m: MagnitudePruning(0.5).attach(None, [m]),
        lambda m: m.operand.weight.ratio.mul_(0.5),
        lambda m: setattr(m, "multiplier", catalogue.get("drum8_3")),
        lambda m: setattr(m, "forced_codes", torch.ones(4, 6)),
        lambda m: setattr(m, "forced_codes", -torch.ones(4, 6)),
        lambda m: setattr(m, "forced_codes", None),
    ]
    for change in changes:
        change(emulated_layer)
        seen.append(emulated_layer(x))
        assert torch.equal(seen[-1], fresh())
        assert not torch.equal(seen[-1], seen[-2])


def test_only_the_chosen_channels_and_layers_change(network, inputs):
    plan = Plan().with_("conv", ChannelPruning(0.5))
    model = approximate(network, plan, calibration=inputs)
    assert tuple(model.get_submodule("conv").weight.shape) == (3, 2, 3, 3)
    assert tuple(model.get_submodule("up").weight.shape) == (3, 4, 2, 2)
    before = sum(p.numel() for p in prepare(network, inputs[:1]).model.parameters())
    assert sum(p.numel() for p in model.parameters()) == before - 3 * (18 + 1 + 16)
    assert not any(p.requires_grad for p in model.parameters())


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@cuda
@pytest.mark.parametrize("name", ["dadda8", "drum8_4", "mitchell8"])
def test_outputs_on_a_gpu_are_those_of_the_cpu(network, inputs, name):
    """Integer sums are exact on both; a model may move back and forth between runs."""
    plan = full_plan(network, inputs, Integer(6, 7, "affine", "affine"), CircuitMultiplier(name))
    model = approximate(network, plan, calibration=inputs)
    expected = model(inputs)
    on_gpu = model.to("cuda")
    torch.testing.assert_close(on_gpu(inputs.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)
    assert torch.equal(model.to("cpu")(inputs), expected)
    built = approximate(network, plan, calibration=inputs, device="cuda")
    assert {p.device.type for p in built.parameters()} == {"cuda"}


@cuda
@pytest.mark.parametrize("name", ["dadda8", "drum8_4", "mitchell8", "roba8"])
@pytest.mark.parametrize("kind", ["conv", "depthwise", "transposed", "linear"])
def test_integer_sums_on_a_gpu_are_exact(ref, name, kind):
    torch.manual_seed(0)
    layer, shape = {
        "conv": (nn.Conv2d(32, 16, 3, padding=1), (2, 32, 12, 12)),
        "depthwise": (nn.Conv2d(16, 16, 3, groups=16), (2, 16, 12, 12)),
        "transposed": (nn.ConvTranspose2d(16, 8, 3, stride=2), (2, 16, 6, 6)),
        "linear": (nn.Linear(3000, 16), (4, 3000)),
    }[kind]
    x = torch.randn(shape)
    emulated_layer = ref.emulate(layer, x, Integer(8, 8, "affine", "affine"), catalogue.get(name))
    codes = emulated_layer.operand.input.codes(x)
    wanted = emulated_layer.integer_sums(codes)
    got = emulated_layer.to("cuda").integer_sums(codes.cuda())
    assert torch.equal(got.cpu().double(), wanted.double())


@cuda
def test_retraining_works_on_a_gpu(network, inputs):
    plan = full_plan(network, inputs, Integer(6, 8)).with_("conv", Integer(6, 8), MagnitudePruning(0.5))
    model = approximate(network, plan, calibration=inputs, device="cuda")
    for p in model.parameters():
        p.requires_grad_(True)
    model(inputs.cuda()).square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())


def test_slots_of_a_built_layer(network, inputs):
    plan = full_plan(network, inputs, Integer(4, 8), MagnitudePruning(0.5), CircuitMultiplier("drum8_4"))
    layer = approximate(network, plan, calibration=inputs).get_submodule("inner.conv")
    assert layer.structure is not None
    assert layer.operand.weight.bits == 4
    assert layer.multiplier.name == "drum8_4"
    assert layer.operand.shifts(layer.operand.circuit(layer.multiplier), layer.site.name) == (0, 4)
    bare = EmulatedLayer(layer.site, network.conv)
    with pytest.raises(PlanError, match="site 'conv' computes in floating point; give it an OPERAND choice"):
        bare.products()
    with pytest.raises(PlanError, match="site 'conv' stores no integer weights; give it an OPERAND choice"):
        bare.stored_codes()
    assert bare.facts() == {"weight_nonzeros": 108.0}
    assert plan.at("conv")[Slot.OPERAND] == Integer(4, 8)
