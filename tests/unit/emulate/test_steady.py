"""Layers that run at every time step look at their weights once per sequence, and at every sequence."""

import copy

import pytest
import torch
from torch import nn

from laxity import CircuitMultiplier, Integer, Plan, approximate, find_sites
from laxity.core.errors import DataError
from laxity.emulate.build import emulated
from laxity.kernels import native

KINDS = {
    "lstm": lambda: nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True),
    "projected": lambda: nn.LSTM(6, 8, proj_size=5, batch_first=True),
    "gru": lambda: nn.GRU(6, 8, 2, batch_first=True),
    "rnn": lambda: nn.RNN(6, 8, batch_first=True),
}
compiled = pytest.mark.skipif(native.level() == "torch", reason="only compiled kernels prepare a layer as a whole")
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def rand(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def built(kind="lstm", *choices):
    torch.manual_seed(0)
    model, x = KINDS[kind]().eval(), rand(20, 7, 6)
    plan = Plan.assign(find_sites(model, x[:1]), choices or (Integer(), CircuitMultiplier("mitchell8")))
    return approximate(model, plan, calibration=x)


def anew(model):
    """A copy, which keeps nothing that was derived from weights."""
    return copy.deepcopy(model)


def step_by_step(model):
    """A copy in which every call of a layer looks at its weights, because hooks want to know of each."""
    own = copy.deepcopy(model)
    for layer in emulated(own):
        layer.register_forward_hook(lambda *_: None)
    return own


def state_layers(model):
    return [m for m in emulated(model) if "_hh_" in m.site.name or "_hr_" in m.site.name]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_outputs_do_not_depend_on_it(kind):
    model, x = built(kind), rand(5, 9, 6, seed=1)
    assert torch.equal(model(x)[0], step_by_step(model)(x)[0])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_weights_edited_between_sequences_are_noticed(kind):
    model, x = built(kind), rand(5, 9, 6, seed=1)
    for layer in state_layers(model):
        before = model(x)[0]
        layer.weight.data[0, 0] += 3.0
        after = model(x)[0]
        assert not torch.equal(after, before)
        assert torch.equal(after, anew(model)(x)[0])
        layer.forced_codes = torch.zeros_like(layer.weight)
        forced = model(x)[0]
        assert not torch.equal(forced, after)
        assert torch.equal(forced, step_by_step(model)(x)[0])
        layer.forced_codes.fill_(2.0)
        assert torch.equal(model(x)[0], anew(model)(x)[0])
        layer.forced_codes = None
        assert torch.equal(model(x)[0], after)


@compiled
@torch.no_grad()
def test_weights_edited_within_a_sequence_are_not():
    layer, x = state_layers(built())[0], rand(5, 8, seed=1)
    before, run = layer(x), layer.steady()
    layer.weight.data[0, 0] += 3.0
    assert torch.equal(run(x), before)
    assert not torch.equal(layer(x), before)
    assert torch.equal(layer.steady()(x), layer(x))


@compiled
@torch.no_grad()
def test_weights_are_looked_at_once_per_sequence(monkeypatch):
    model, x = built(), rand(5, 9, 6, seed=1)
    model(x)
    seen, original = [], native.fingerprint
    monkeypatch.setattr(native, "fingerprint", lambda tensors: seen.append(1) or original(tensors))
    for steps in (1, 4, 9):
        seen.clear()
        model(x[:, :steps])
        assert len(seen) == len(list(emulated(model))) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_single_calls(kind):
    model = built(kind).requires_grad_(True).train()
    other = step_by_step(model)
    x, y = (rand(4, 9, 6, seed=1).requires_grad_(True) for _ in range(2))
    out, wanted = model(x)[0], other(y)[0]
    assert torch.equal(out, wanted)
    for given in (out, wanted):
        given.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-6)
    assert x.grad.abs().max() > 0
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
        assert p.grad.abs().max() > 0, name


def test_gradients_of_inputs_through_fixed_weights():
    model = built()
    x, y = (rand(4, 9, 6, seed=1).requires_grad_(True) for _ in range(2))
    model(x)[0].sum().backward()
    step_by_step(model)(y)[0].sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert not model(x.detach())[0].requires_grad


@compiled
@torch.no_grad()
def test_layers_that_something_listens_to_are_called_themselves():
    layer = state_layers(built())[0]
    assert layer.steady() is not layer
    layer.taken = []
    assert layer.steady() is layer
    layer.taken = None
    layer.observers = []
    assert layer.steady() is layer
    layer.observers = None
    handle = layer.register_forward_pre_hook(lambda *_: None)
    assert layer.steady() is layer
    handle.remove()
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert layer.steady() is layer
    finally:
        handle.remove()
    assert layer.steady() is not layer
    operand, layer.operand = layer.operand, None
    assert layer.steady() is layer
    layer.operand = operand


@torch.no_grad()
def test_inputs_that_do_not_fit_are_refused_as_by_the_layer():
    run = state_layers(built())[0].steady()
    for wrong in (rand(5, 7), rand(5, 8).double()):
        with pytest.raises(DataError, match=r"takes torch\.float32 with 8 channels"):
            run(wrong)
    with pytest.raises(DataError, match="NaN or infinite"):
        run(torch.full((2, 8), float("nan")))
    assert torch.equal(run(rand(2, 5, 8)), run(rand(10, 8)).reshape(2, 5, -1))


@torch.no_grad()
def test_kernels_that_compute_step_by_step():
    model, x = built("gru", Integer(weight_scheme="affine")), rand(5, 9, 6, seed=1)
    assert torch.equal(model(x)[0], step_by_step(model)(x)[0])


@torch.no_grad()
def test_exported_models_compute_the_same():
    model, x = built(), rand(5, 9, 6, seed=1)
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x)[0], model(x)[0])


def test_parameters_that_move_are_read_where_they_are():
    """Conversions and sharing move memory under the same parameter, whose contents do not change."""
    x = torch.rand(4, 6)
    model = nn.Sequential(nn.Linear(6, 5))
    plan = Plan().with_("0", Integer(8, 8)).with_("0", CircuitMultiplier("mitchell8"))
    approximated = approximate(model, plan, calibration=x)
    wanted = approximated(x)
    for move in (lambda: approximated.double().float(), approximated.share_memory):
        move()
        taken = [torch.full((5,), 1e9) for _ in range(50)]  # what was freed is likely to be reused
        assert torch.equal(approximated(x), wanted), len(taken)
    with torch.no_grad():
        approximated[0].bias.data = approximated[0].bias.data + 1
    assert torch.allclose(approximated(x), wanted + 1)
