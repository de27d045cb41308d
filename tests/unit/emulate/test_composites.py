"""Attention, recurrent layers and fused functions, emulated: against the definition, product by product."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.circuits import catalogue
from laxity.core.errors import PlanError
from laxity.core.plan import Plan
from laxity.core.seeds import stream
from laxity.emulate import EmulatedLayer, approximate, build, calibrate
from laxity.emulate.build import emulated
from laxity.emulate.observe import Observer
from laxity.emulate.operands import SEGMENTS, STEPS, operand_traces
from laxity.emulate.product import EmulatedProduct
from laxity.emulate.weights import read_state, restore, save_state
from laxity.evaluation.cost import demands
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.evaluation.injection import inject
from laxity.evaluation.memory import weight_memories
from laxity.faults import BitFlip
from laxity.models import build as build_network
from laxity.models import build_for
from laxity.sites import find_sites, prepare
from laxity.task import make_task
from laxity.techniques import CircuitMultiplier, Integer, MagnitudePruning


def rand(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Attends(nn.Module):
    """Self-attention with a causal mask and a mean over positions."""

    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return self.head(self.attention(x, x, x, attn_mask=hidden)[0].mean(1))


class Fused(nn.Module):
    """Attention and products through functions, some with stored weights and some with computed ones."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.register_buffer("table", rand(8, 6, seed=3))
        self.kernel = nn.Parameter(rand(4, 8, 3, seed=4))

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        moved = F.conv1d(mixed.transpose(1, 2), torch.tanh(self.kernel), padding="same").transpose(1, 2)
        out = torch.einsum("blc,cd->bld", mixed, self.table)
        flat = torch.addmm(torch.ones(6), moved.mean(1), F.softplus(self.table[:4]), alpha=0.5)
        return F.linear(out.mean(1) + flat, self.table.abs() / 3)


def models(name):
    torch.manual_seed(0)
    if name in ("lstm", "gru"):
        return build_for(name, (6, 5), 3), rand(40, 6, 5)
    if name == "vit_tiny":
        return build_network(name, num_classes=4, depth=1), rand(24, 3, 8, 8)
    return (Attends() if name == "attention" else Fused()).eval(), rand(40, 5, 8)


NAMES = ["lstm", "gru", "vit_tiny", "attention", "fused"]


def everywhere(model, x, *choices):
    return Plan.assign(find_sites(model, x), list(choices))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_fine_codes_come_near_the_original(name):
    model, x = models(name)
    native = model(x)
    torch.testing.assert_close(approximate(model, Plan(), calibration=x)(x), native, rtol=1e-4, atol=1e-5)
    fine = approximate(model, everywhere(model, x, Integer()), calibration=x)(x)
    coarse = approximate(model, everywhere(model, x, Integer(3, 3)), calibration=x)(x)
    spread = float(native.std())
    assert 0 < float((fine - native).abs().mean()) < 0.05 * spread
    assert float((coarse - native).abs().mean()) > 3 * float((fine - native).abs().mean())


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_each_site_changes_the_output_by_itself(name):
    model, x = models(name)
    native, prepared = model(x), prepare(model, x)
    for site in prepared.sites:
        changed = build(prepared, Plan().with_(site.name, Integer(2, 2)))
        calibrate(changed, [x])
        assert [m.site.name for m in emulated(changed)] == [site.name]
        assert float((changed(x) - native).abs().max()) > 1e-3 * float(native.std()), site.name


def table_sums(layer, left, right):
    """Sums of the circuit's products of int64 codes (..., M, K) and (..., K, N), by numpy, in units of code x code."""
    circuit = layer.multiplier or catalogue.get("dadda8")
    shifts = circuit.a_bits - layer.operand.input.bits, circuit.b_bits - layer.operand.weight.bits
    a, b = left[..., :, :, None], right[..., None, :, :]
    magnitude = circuit.table[np.abs(a) << shifts[0], np.abs(b) << shifts[1]]
    return np.where((a < 0) ^ (b < 0), -magnitude, magnitude).sum(-2) / 2 ** sum(shifts)


def whole(codes):
    return codes.detach().numpy().astype(np.int64)


def reference_product(layer, left, right):
    """A product of two activations by the definition."""
    codes, other = layer.operand.input, layer.operand.weight
    a, b = whole(codes.codes(left)), whole(other.codes(right))
    sums = table_sums(layer, a, b) - float(codes.zero) * b.sum(-2, keepdims=True)
    return torch.from_numpy(sums).float() * (codes.scale * other.scale)


def reference_linear(layer, x):
    """A linear layer by the definition."""
    codes, (weight, _, _) = layer.operand.input, layer.stored_codes()
    scale, _ = layer.operand.weight.scale_and_zero(layer.used_weight())
    w = whole(weight).T
    sums = table_sums(layer, whole(codes.codes(x)), w) - float(codes.zero) * w.sum(0)
    out = torch.from_numpy(sums).float() * (scale * codes.scale)
    return out if layer.bias is None else out + layer.bias


def by_name(model):
    return {m.site.name: m for m in emulated(model)}


CHOICES = [
    (Integer(), CircuitMultiplier("drum8_4")),
    (Integer(5, 6, input_scheme="affine"), CircuitMultiplier("mitchell8")),
]


@pytest.mark.parametrize("choices", CHOICES)
@torch.no_grad()
def test_attention_equals_its_definition(choices):
    model, x = models("attention")
    built = approximate(model, everywhere(model, x, *choices), calibration=x)
    part = {n.removeprefix("attention."): m for n, m in by_name(built).items()}
    q, k, v = (reference_linear(part[f"{n}_proj"], x) for n in "qkv")
    mixed = torch.empty_like(q)
    for head in range(2):
        at = slice(4 * head, 4 * head + 4)
        scores = reference_product(part["scores"], q[..., at], k[..., at].transpose(1, 2)) / 2
        scores = scores.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -torch.inf)
        mixed[..., at] = reference_product(part["values"], torch.softmax(scores, -1), v[..., at])
    out = reference_linear(part["head"], reference_linear(part["out_proj"], mixed).mean(1))
    torch.testing.assert_close(built(x), out, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("name", ["lstm", "gru"])
@torch.no_grad()
def test_recurrent_layers_equal_their_definition(name, choices):
    model, x = models(name)
    built = approximate(model, everywhere(model, x, *choices), calibration=x)
    part, seen = by_name(built), x
    for layer in (0, 1):
        weights = [part[f"recurrent.weight_{kind}_l{layer}"] for kind in ("ih", "hh")]
        hidden = cell = torch.zeros(len(x), 64)
        outputs = []
        for t in range(x.shape[1]):
            a, b = reference_linear(weights[0], seen[:, t]), reference_linear(weights[1], hidden)
            if name == "lstm":
                i, f, g, o = (a + b).split(64, 1)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                hidden = torch.sigmoid(o) * torch.tanh(cell)
            else:
                (ar, az, an), (br, bz, bn) = a.split(64, 1), b.split(64, 1)
                z = torch.sigmoid(az + bz)
                hidden = (1 - z) * torch.tanh(an + torch.sigmoid(ar + br) * bn) + z * hidden
            outputs.append(hidden)
        seen = torch.stack(outputs, 1)
    torch.testing.assert_close(built(x), reference_linear(part["linear"], seen[:, -1]), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["fused", "vit_tiny"])
@pytest.mark.parametrize("choices", CHOICES)
@torch.no_grad()
def test_every_product_is_exact_to_the_last_bit(name, choices):
    model, x = models(name)
    built = approximate(model, everywhere(model, x, *choices), calibration=x)
    checked = []

    def compare(layer, inputs, output):
        if isinstance(layer, EmulatedProduct):
            left, right = inputs
            wanted = reference_product(layer, left if left.dim() > 1 else left[None], right)
        elif layer.site.op.kind == "linear":
            wanted = reference_linear(layer, inputs[0])
        else:
            return  # convolutions have tests of their own
        assert torch.equal(output, wanted.reshape(output.shape)), layer.site.name
        checked.append(layer.site.name)

    for layer in emulated(built):
        layer.register_forward_hook(compare)
    built(x[:3])
    convolutions = {"patches"} if name == "vit_tiny" else set()
    assert set(checked) == set(by_name(built)) - convolutions


def test_parts_of_functional_attention_are_chosen_one_by_one():
    model, x = models("fused")
    names = [s.name for s in find_sites(model, x)]
    assert names == [
        "qkv", ":scaled_dot_product_attention#0.scores", ":scaled_dot_product_attention#0.values", ":conv1d#0",
        ":einsum#0", ":addmm#0", ":linear#0",
    ]  # fmt: skip
    built = approximate(model, Plan().with_(names[2], Integer(4, 4)), calibration=x)
    (layer,) = emulated(built)
    probabilities = []
    layer.register_forward_pre_hook(lambda _, inputs: probabilities.append(inputs[0]))
    built(x)
    torch.testing.assert_close(probabilities[0].sum(-1), torch.ones(40, 2, 5))
    assert not probabilities[0].triu(1).any()
    assert layer.operand.input.code_range == (0, 15)


@pytest.mark.parametrize("name", NAMES)
def test_copies_pickles_and_saved_states(name, tmp_path):
    model, x = models(name)
    plan = everywhere(model, x, Integer(5, 6), CircuitMultiplier("drum8_4"))
    prepared = prepare(model, x)
    built = build(prepared, plan)
    calibrate(built, [x])
    with torch.no_grad():
        wanted = built(x)
        assert torch.equal(copy.deepcopy(built)(x), wanted)
        assert torch.equal(pickle.loads(pickle.dumps(built))(x), wanted)
        save_state(built, tmp_path / "state")
        assert torch.equal(restore(prepared, plan, read_state(tmp_path / "state"))(x), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_weight(name):
    model, x = models(name)
    built = approximate(model, everywhere(model, x, Integer()), calibration=x)
    native = copy.deepcopy(model).eval()
    for p in built.parameters():
        p.requires_grad_(True)
    built(x).square().sum().backward()
    native(x).square().sum().backward()
    layers = {n: m for n, m in by_name(built).items() if isinstance(m, EmulatedLayer)}
    assert all(m.weight.grad.abs().sum() > 0 for m in layers.values())
    wanted = {"lstm": "recurrent.weight_hh_l0", "gru": "recurrent.weight_hh_l0", "vit_tiny": "blocks.0.linear1"}
    name = wanted.get(name, "head" if name == "attention" else "qkv")
    reference = dict(native.named_parameters())
    reference = reference.get(name, reference.get(f"{name}.weight")).grad
    got = layers[name].weight.grad
    assert F.cosine_similarity(got.flatten(), reference.flatten(), 0) > 0.95


def test_pruning_reaches_every_weight_matrix():
    model, x = models("lstm")
    built = approximate(model, everywhere(model, x, MagnitudePruning(0.3), Integer()), calibration=x)
    for layer in emulated(built):
        kept = torch.count_nonzero(layer.used_weight()) / layer.weight.numel()
        assert 0.1 < float(kept) < 0.6
    assert sum(layer.facts()["weight_nonzeros"] for layer in emulated(built)) > 0


class Steps(nn.Module):
    """A loop of functional calls, one per step of the input."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(rand(4, 4))

    def forward(self, x):
        state = torch.zeros(len(x), 4)
        for step in x.unbind(1):
            state = torch.tanh(step + F.linear(state, self.weight))
        return state


def test_calls_that_were_not_there_are_refused_and_never_exact():
    model, x = Steps(), rand(8, 5, 4)
    built = approximate(model, everywhere(model, x, Integer()), calibration=x)
    built(x[:, :3])
    with pytest.raises(PlanError, match=r"call ':linear#5' did not run when the sites were found"):
        built(rand(8, 6, 4))


class Experts(nn.Module):
    """Positive samples take one way, negative ones another; a third way is for training only."""

    def __init__(self):
        super().__init__()
        self.plus, self.minus, self.extra = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        chosen = (x[:, 0] > 0)[:, None]
        out = torch.zeros(len(x), 2)
        for layer, mine in ((self.plus, chosen), (self.minus, ~chosen)):
            if mine.any():
                out = torch.where(mine, layer(x), out)
        return out + self.extra(x) if self.training else out


def test_layers_that_the_example_did_not_reach_are_refused_and_never_exact():
    model, x = Experts().eval(), rand(20, 4).abs()
    plan = everywhere(model, x, Integer())
    assert plan.sites() == {"plus"} or list(plan.sites()) == ["plus"]
    built = approximate(model, plan, calibration=x)
    with pytest.raises(PlanError, match=r"layer 'minus' did not run when .* leave it exact with exact=\['minus'\]"):
        built(-x)
    with pytest.raises(PlanError, match="layer 'minus'"):
        pickle.loads(pickle.dumps(built))(-x)
    with pytest.raises(PlanError, match="layer 'extra'"):
        built.train()(x)
    left = approximate(model, plan, calibration=x, exact=["minus", "extra"])
    torch.testing.assert_close(left(-x), model(-x))
    left.train()(x)


class Narrow(nn.MultiheadAttention):
    """Calls the original forward method, which calls a function that torch's fused path would skip."""

    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


@torch.no_grad()
def test_attention_that_is_subclassed_is_emulated_through_its_function():
    torch.manual_seed(0)
    model, x = nn.Sequential(Narrow(8, 2, batch_first=True)).eval(), rand(20, 5, 8)
    built = approximate(model, everywhere(model, x, Integer()), calibration=x)
    assert len(by_name(built)) == 6
    assert all(isinstance(m, EmulatedProduct) for m in emulated(built))
    error = float((built(x) - model(x)).abs().mean())
    assert 0 < error < 0.05 * float(model(x).std())
    for name in by_name(built):
        coarse = approximate(model, Plan().with_(name, Integer(2, 2)), calibration=x)
        assert float((coarse(x) - model(x)).abs().mean()) > 0, name


@pytest.mark.parametrize("shape", [(7,), (1,), (2, 7), (2, 3, 7), (2, 1, 3, 2, 7)])
def test_linear_layers_on_inputs_of_any_rank(shape):
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(shape[-1], 3)

        def forward(self, x):
            return self.layer(x.reshape(-1, *shape)[0] if len(shape) == 1 else x.reshape(shape))[None]

    torch.manual_seed(0)
    model, x = Inner(), rand(1, *shape)
    (site,) = find_sites(model, x)
    assert site.op.macs == x.numel() * 3
    built = approximate(model, Plan().with_("layer", Integer(), CircuitMultiplier("drum8_4")), calibration=x)
    layer = by_name(built)["layer"]
    operand = x.reshape(shape)
    assert torch.equal(built(x)[0], reference_linear(layer, operand[None] if len(shape) == 1 else operand).reshape(
        built(x)[0].shape))  # fmt: skip


def test_recurrent_layers_take_sequences_of_any_length():
    model = nn.Sequential(nn.LSTM(4, 5, batch_first=True)).eval()
    built = approximate(model, everywhere(model, rand(8, 5, 4), Integer()), calibration=rand(8, 5, 4))
    with torch.no_grad():
        long = rand(3, 11, 4, seed=1)
        torch.testing.assert_close(built(long)[0], model(long)[0], atol=0.05, rtol=0.1)
    layer = by_name(built)["0.weight_hh_l0"]
    seen = []
    layer.register_forward_hook(lambda *_: seen.append(1))
    built(long)
    assert len(seen) == 11


def test_unsupported_parts_stay_exact_where_that_is_said():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 4)

        def forward(self, x):
            return torch.cdist(self.head(x), torch.eye(4)) + x @ torch.eye(4)

    model, x = Half(), rand(30, 4)
    exact = (":cdist#*",)
    plan = Plan.assign(find_sites(model, x, exact), [Integer()])
    built = approximate(model, plan, calibration=x, exact=exact)
    assert list(by_name(built)) == ["head", ":matmul#0"]
    torch.testing.assert_close(built(x), model(x), atol=0.1, rtol=0.1)


def test_demands_of_composites_in_order_of_execution():
    for name in ("lstm", "vit_tiny"):
        model, x = models(name)
        sites = find_sites(model, x)
        plan = everywhere(model, x, Integer(6, 7))
        found = demands(approximate(model, plan, calibration=x), plan, x, seed=0)
        assert [d.site for d in found] == [s.name for s in sites]
        assert [d.macs for d in found] == [s.op.macs for s in sites]
        assert [d.calls for d in found] == [s.op.calls for s in sites]
        assert [d.weight_elements for d in found] == [s.op.weight_elements for s in sites]
        assert all(d.trace is not None for d in found)


def test_traces_of_products_equal_brute_force():
    model, x = models("attention")
    name = "attention.scores"
    plan = everywhere(model, x, Integer(6, 7), CircuitMultiplier("mitchell8"))
    built = approximate(model, plan, calibration=x)
    layer = by_name(built)[name]
    operands = []
    layer.register_forward_pre_hook(lambda _, inputs: operands.append(inputs))
    trace = operand_traces(built, x, seed=5, tile_rows=2)[name]
    left, right = whole(layer.operand.input.codes(operands[0][0])), whole(layer.operand.weight.codes(operands[0][1]))
    assert left.shape == (16, 2, 5, 4)
    draws = stream(5, "operands", name).random((SEGMENTS, 4))
    for i, draw in enumerate(draws):
        g, n, k, start = (int(d * limit) for d, limit in zip(draw, (32, 5, 4, 1), strict=True))
        a, b = left[g // 2, g % 2], right[g // 2, g % 2]
        assert trace.weights[i] == abs(b[k, n]) << 2
        assert trace.weight_signs[i] == (b[k, n] < 0)
        rows = (start + np.arange(STEPS)) % 5
        assert np.array_equal(trace.activations[i], np.abs(a[rows, k]) << 1)
        assert np.array_equal(trace.activation_signs[i], a[rows, k] < 0)


def test_traces_of_recurrent_weights_hold_all_steps():
    """The state before the first step is zero, so that its codes alone would show hardware at rest."""
    model, x = models("lstm")
    built = approximate(model, everywhere(model, x, Integer()), calibration=x)
    layer = by_name(built)["recurrent.weight_hh_l0"]
    states = []
    layer.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    trace = operand_traces(built, x, seed=0)[layer.site.name]
    codes = whole(layer.operand.input.codes(torch.stack(states, 1)))
    assert codes.shape == (16, 6, 64)
    rows = codes.reshape(96, 64)
    draws = stream(0, "operands", layer.site.name).random((SEGMENTS, 4))
    for i, draw in enumerate(draws):
        k, start = int(draw[2] * 64), int(draw[3] * (96 - STEPS + 1))
        assert np.array_equal(trace.activations[i], np.abs(rows[start : start + STEPS, k]))


def test_memories_hold_every_weight_matrix():
    model, x = models("lstm")
    built = approximate(model, everywhere(model, x, Integer()), calibration=x)
    names = [m.name for m in weight_memories(built)]
    assert names == [f"recurrent.weight_{k}_l{i}" for i in (0, 1) for k in ("ih", "hh")] + ["linear"]
    struck = inject(model, BitFlip(1e-3), seed=0)
    changed = [n for n, p in struck.named_parameters() if not torch.equal(p, _original(model, n))]
    assert changed == [f"{n}.weight" for n in names]


def test_exact_parts_of_a_task_stay_exact_everywhere():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.GRU(4, 4, batch_first=True), Last(), nn.Linear(4, 3))
    labels = torch.arange(90) % 3
    task = make_task("rows", model, train=(rand(90, 6, 5).numpy(), labels.numpy()), exact=["1"])
    assert [s.name for s in prepare(task.model, task.example_input, exact=task.exact).sites] == ["0", "3"]
    plan = Plan.assign(find_sites(task.model, task.example_input, task.exact), [Integer()])
    built = approximate(task, plan)
    assert type(built[1]) is nn.GRU
    assert {m.name for m in weight_memories(inject(built, BitFlip(1e-3), seed=0, exact=task.exact))} == {"0", "3"}
    evaluator = Evaluator(Setup(task, "mac-array-45nm"))
    cost = evaluator.cost(plan, evaluator.model(plan)).by_site()
    assert set(cost) >= {"0", "3"}
    assert "1" not in cost


@pytest.mark.parametrize("name", ["gru", "attention"])
def test_composites_have_a_cost_per_site(name):
    model, x = models(name)
    inputs = torch.cat([x] * 3)
    task = make_task(name, model, train=(inputs.numpy(), (torch.arange(len(inputs)) % 3).numpy()))
    evaluator = Evaluator(Setup(task, "mac-array-45nm"))
    found = evaluator.evaluate(evaluator.base, "baseline")
    energies = evaluator.cost(evaluator.base, evaluator.model(evaluator.base)).by_site()
    assert all(energies[s.name].value > 0 for s in evaluator.prepared.sites)
    cheap = evaluator.evaluate(Plan.assign(evaluator.prepared.sites, [Integer(4, 4)]), "search")
    assert cheap.energy_ratio < 1
    assert found.divergence < cheap.divergence


class Last(nn.Module):
    """The last output of a recurrent layer."""

    def forward(self, outputs):
        return outputs[0][:, -1]


def _original(model, name):
    parameters = dict(model.named_parameters())
    place, _, kind = name.rpartition(".")
    return parameters.get(name, parameters.get(place if kind == "weight" else place.replace("weight", "bias")))


def test_observers_stay_bounded_and_keep_extremes():
    observer = Observer()
    for step in range(300):
        values = torch.full((20_000,), float(step % 7))
        values[0] = -1000.0 if step == 3 else 0.0
        values[77] = 1000.0 if step == 200 else 0.0
        observer.update(values)
    kept = observer.values()
    assert kept.numel() <= (1 << 21) + 20_002
    assert (float(kept.min()), float(kept.max())) == (-1000.0, 1000.0)
    inner = kept[(kept > -1) & (kept < 7)]
    assert abs(float(inner.mean()) - 3.0) < 0.1


@pytest.mark.parametrize("name", ["lstm", "attention"])
def test_opened_models_can_be_exported(name):
    model, x = models(name)
    prepared = prepare(model, x).model
    exported = torch.export.export(prepared, (x,)).module()
    torch.testing.assert_close(exported(x), model(x), rtol=1e-4, atol=1e-5)
