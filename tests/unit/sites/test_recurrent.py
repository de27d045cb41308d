"""Opened recurrent layers and cells compute what torch computes, with one site per weight matrix."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from laxity.core.errors import DataError
from laxity.sites import find_sites, prepare
from laxity.sites.composites import open_composites

KINDS = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, {}),
    "projected": (nn.LSTM, {"proj_size": 3}),
    "gru": (nn.GRU, {}),
}
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def opened(module):
    return open_composites(copy.deepcopy(module))


def same(got, wanted):
    assert type(got) is type(wanted)
    if isinstance(wanted, PackedSequence):
        torch.testing.assert_close(got.data, wanted.data, rtol=1e-4, atol=1e-6)
        assert all(a is b or torch.equal(a, b) for a, b in zip(got[1:], wanted[1:], strict=True))
    elif isinstance(wanted, tuple):
        for a, b in zip(got, wanted, strict=True):
            same(a, b)
    else:
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def random_state(layer, *samples):
    """Initial states of the right shapes: (layers x directions, samples, size), or without samples."""
    count = layer.num_layers * (1 + layer.bidirectional)
    states = [torch.randn(count, *samples, layer.proj_size or layer.hidden_size)]
    if isinstance(layer, nn.LSTM):
        states.append(torch.randn(count, *samples, layer.hidden_size))
        return tuple(states)
    return states[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@torch.no_grad()
def test_layers_equal_torch(kind, layers, bidirectional, bias, batch_first):
    torch.manual_seed(0)
    make, options = KINDS[kind]
    layer = make(4, 5, layers, bidirectional=bidirectional, bias=bias, batch_first=batch_first, **options).eval()
    own, x = opened(layer), torch.randn(3, 7, 4)
    same(own(x), layer(x))
    start = random_state(layer, 3 if batch_first else 7)
    same(own(x, start), layer(x, start))
    same(own(x[0]), layer(x[0]))
    alone = random_state(layer)
    same(own(x[0], alone), layer(x[0], alone))
    for lengths in ([7, 4, 4], [4, 7, 2], [1, 1, 1]):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        same(own(packed), layer(packed))
        start = random_state(layer, 3)
        same(own(packed, start), layer(packed, start))
    presorted = pack_padded_sequence(x, [7, 4, 1], batch_first=True)
    same(own(presorted), layer(presorted))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("make", "options"),
    [(nn.RNNCell, {}), (nn.RNNCell, {"nonlinearity": "relu"}), (nn.LSTMCell, {}), (nn.GRUCell, {})],
)
@torch.no_grad()
def test_cells_equal_torch(make, options, bias):
    torch.manual_seed(0)
    cell, x = make(4, 5, bias=bias, **options).eval(), torch.randn(3, 4)
    own = opened(cell)
    same(own(x), cell(x))
    state = cell(x)
    same(own(x, state), cell(x, state))
    same(own(x[0]), cell(x[0]))


def test_dropout_between_layers_in_training_only():
    torch.manual_seed(0)
    layer = nn.LSTM(4, 16, 2, dropout=0.5)
    own, x = opened(layer), torch.randn(5, 3, 4)
    assert own.training
    one, other = own(x)[0], own(x)[0]
    assert not torch.equal(one, other)
    full = opened(nn.LSTM(4, 16, 2, dropout=1.0))
    same(full(x)[0], full(torch.zeros_like(x))[0])
    same(own.eval()(x), layer.eval()(x))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_those_of_torch(kind):
    torch.manual_seed(0)
    make, options = KINDS[kind]
    layer, x = make(4, 5, 2, bidirectional=True, **options), torch.randn(6, 2, 4)
    own = opened(layer)
    layer(x)[0].square().sum().backward()
    own(x)[0].square().sum().backward()
    grads = {n.replace(".weight", "").replace("weight", "bias") if n.endswith(".bias") else n.removesuffix(".weight"): p
             for n, p in own.named_parameters()}  # fmt: skip
    assert len(grads) == 16 + 4 * bool(options.get("proj_size"))
    for name, p in layer.named_parameters():
        own_name = name if name in grads else f"{name}.bias"
        torch.testing.assert_close(grads[own_name].grad, p.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_differences(kind):
    torch.manual_seed(0)
    make, options = KINDS[kind]
    own, x = opened(make(2, 4, **options).double()), torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: own(x)[0], (x,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1e-3, 1.0, 30.0, 1e37])
@torch.no_grad()
def test_small_and_large_values(kind, factor):
    """Gates saturate without overflow; in float64 nothing but the last bits may differ."""
    torch.manual_seed(0)
    make, options = KINDS[kind]
    layer, x = make(4, 5, **options).eval(), factor * torch.randn(7, 3, 4)
    own = opened(layer)
    torch.testing.assert_close(own(x)[0], layer(x)[0], rtol=1e-4, atol=1e-6)
    same_precise, x = opened(layer.double()), x.double()
    torch.testing.assert_close(same_precise(x)[0], layer(x)[0], rtol=1e-10, atol=1e-14)


class Last(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(2 * layer.hidden_size, 3)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


@pytest.mark.parametrize(("make", "gates"), [(nn.RNN, 1), (nn.LSTM, 4), (nn.GRU, 3)])
def test_sites_calls_and_work(make, gates):
    model = Last(make(4, 5, 2, bidirectional=True, batch_first=True))
    sites = find_sites(model, torch.randn(2, 7, 4))
    wanted = [f"layer.weight_{k}_l{i}{end}" for i in (0, 1) for end in ("", "_reverse") for k in ("ih", "hh")]
    assert [s.name for s in sites] == [*wanted, "head"]
    by_name = {s.name: s.op for s in sites}
    first, second = by_name["layer.weight_ih_l0"], by_name["layer.weight_hh_l0_reverse"]
    assert (first.calls, first.rows, first.reduction, first.columns) == (1, 7, 4, gates * 5)
    assert (second.calls, second.rows, second.reduction, second.columns) == (7, 1, 5, gates * 5)
    assert sum(op.macs for op in by_name.values()) == 7 * gates * 5 * (2 * (4 + 5) + 2 * (10 + 5)) + 30
    assert by_name["layer.weight_ih_l1"].weight_shape == (gates * 5, 10)
    assert not any(s.functional for s in sites)


def test_projection_is_a_site():
    layer = nn.LSTM(4, 6, proj_size=3, batch_first=True)
    names = [s.name for s in find_sites(layer, torch.randn(1, 5, 4))]
    assert names == ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"]


def test_cells_in_a_loop_are_shared_sites():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(4, 5)

        def forward(self, x):
            state = None
            for step in x.unbind(1):
                state = self.cell(step, state)
            return state[0]

    sites = find_sites(Loop(), torch.randn(1, 6, 4))
    assert [(s.name, s.op.calls) for s in sites] == [("cell.weight_ih", 6), ("cell.weight_hh", 6)]


def test_wrong_shapes_are_refused():
    own = opened(nn.LSTM(4, 5))
    with pytest.raises(DataError, match=r"initial states of a recurrent layer have shapes .*\(1, 3, 5\)"):
        own(torch.randn(6, 3, 4), (torch.zeros(1, 1, 5), torch.zeros(1, 1, 5)))
    with pytest.raises(DataError, match="a recurrent layer takes inputs"):
        own(torch.randn(4))
    with pytest.raises(DataError, match=r"must have shape \(3, 5\) each"):
        opened(nn.GRUCell(4, 5))(torch.randn(3, 4), torch.zeros(1, 5))


def test_channels_are_removed_around_but_not_inside():
    pytest.importorskip("torch_pruning")

    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.lstm = nn.Linear(4, 6), nn.LSTM(6, 5, batch_first=True)
            self.second, self.head = nn.Linear(5, 7), nn.Linear(7, 3)

        def forward(self, x):
            return self.head(torch.relu(self.second(self.lstm(self.first(x))[0][:, -1])))

    torch.manual_seed(0)
    sites = prepare(Around(), torch.randn(1, 4, 4)).sites
    assert [s.name for s in sites if s.removable] == ["first", "second"]
    assert prepare(nn.LSTM(4, 5, batch_first=True), torch.randn(1, 3, 4)).sites[0].removable is False
