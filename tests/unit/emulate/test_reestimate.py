"""Re-estimation gives back what the folded norms prescribe, or what another network has."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.plan import Plan, Recovery
from laxity.emulate import approximate, build, calibrate
from laxity.emulate.build import emulated
from laxity.emulate.reestimate import reestimate, statistics, wanted_statistics
from laxity.sites import find_sites, prepare
from laxity.techniques import ChannelPruning, CircuitMultiplier, Integer, MagnitudePruning


class Layer(nn.Module):
    """A convolution and its norm, in training a norm like any other."""

    def __init__(self, transposed=False):
        super().__init__()
        kind = nn.ConvTranspose2d if transposed else nn.Conv2d
        self.first = kind(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.after = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)
        self.last = nn.BatchNorm1d(4)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.last(self.fc(torch.relu(self.after(self.second(x))).mean((2, 3))))


def trained(transposed=False):
    """A network whose stored statistics are those of its data."""
    torch.manual_seed(0)
    model, x = Layer(transposed), torch.randn(200, 3, 8, 8)
    for norm in (model.norm, model.after, model.last):
        nn.init.uniform_(norm.weight, 0.3, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = None
    model.train()
    with torch.no_grad():
        model(x)
    return model.eval(), x


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "choices",
    [
        [Integer(4, 4), CircuitMultiplier("bam8_6_2")],
        [Integer(5, 8, "affine", "affine", "tensor"), MagnitudePruning(0.6)],
    ],
)
def test_outputs_regain_mean_and_spread(choices, transposed):
    model, x = trained(transposed)
    prepared = prepare(model, x[:1])
    built = build(prepared, Plan.assign(prepared.sites, choices))
    calibrate(built, [x])
    seen = {}
    names = ("first", "second", "fc")
    for name in names:
        built.get_submodule(name).register_forward_hook(lambda m, _, y, name=name: seen.__setitem__(name, y))
    with torch.no_grad():
        built(x)
    before = dict(seen)
    reestimate(built, prepared.norms, x)
    with torch.no_grad():
        built(x)
    for name in names:
        mean, deviation = prepared.norms[name]
        rows = seen[name].movedim(1, 0).flatten(1)
        torch.testing.assert_close(rows.mean(1), mean, rtol=1e-2, atol=2e-3)
        torch.testing.assert_close(rows.std(1, correction=0), deviation, rtol=1e-2, atol=2e-3)
    off = before["second"].movedim(1, 0).flatten(1).std(1, correction=0) / prepared.norms["second"][1]
    assert ((off - 1).abs() > 0.02).any()


def test_the_correction_is_bounded_and_dead_channels_stay():
    model, x = trained()
    prepared = prepare(model, x[:1])
    built = build(prepared, Plan().with_("first", Integer()))
    with torch.no_grad():
        built.first.weight[2] = 0
        built.first.weight[3] *= 0.01
        built.first.weight[4] *= 100
    calibrate(built, [x])
    reestimate(built, prepared.norms, x)
    assert built.first.gain[2] == 1
    assert built.first.gain[3] == 4
    assert built.first.gain[4] == 0.25
    assert built.first.weight[2].abs().max() == 0
    assert built(x).isfinite().all()


def test_pruned_layers_are_given_the_statistics_of_what_is_left():
    model, x = trained()
    prepared = prepare(model, x[:1])
    built = build(prepared, Plan().with_("first", ChannelPruning(0.5), Integer(6, 6)))
    calibrate(built, [x])
    reestimate(built, prepared.norms, x)
    kept = built.first.kept
    assert len(kept) == 4
    with torch.no_grad():
        rows = built.first(x).movedim(1, 0).flatten(1)
    torch.testing.assert_close(rows.mean(1), prepared.norms["first"][0][kept], rtol=1e-2, atol=2e-3)
    torch.testing.assert_close(rows.std(1, correction=0), prepared.norms["first"][1][kept], rtol=1e-2, atol=2e-3)


def test_it_is_used_only_where_it_helps():
    """`approximate` keeps the version whose predictions are nearer to the original's."""
    model, x = trained()
    for choice in (Integer(), Integer(3, 3)):
        plan = Plan.assign(find_sites(model, x), [choice])
        plain = approximate(model, plan, calibration=x)
        chosen = approximate(model, plan.with_recovery(Recovery()), calibration=x)
        exact = torch.log_softmax(model(x[:128]), -1)

        def distance(m, exact=exact):
            return float(F.kl_div(torch.log_softmax(m(x[:128]), -1), exact, log_target=True, reduction="sum").detach())

        assert distance(chosen) <= distance(plain) + 1e-9


class Recurrent(nn.Module):
    """Layers that run once before and behind one that runs in every step."""

    def __init__(self, kind=nn.GRU):
        super().__init__()
        self.embed, self.recurrent, self.head = nn.Linear(6, 10), kind(10, 12, 2, batch_first=True), nn.Linear(12, 5)

    def forward(self, x):
        return self.head(self.recurrent(torch.relu(self.embed(x)))[0][:, -1])


def approximated(network, x, *choices):
    prepared = prepare(network, x[:1])
    model = build(prepared, Plan.assign(prepared.sites, choices))
    calibrate(model, [x])
    return prepared, model


def distances(model, wanted, x):
    """Of means, in deviations, and of deviations, as a ratio's logarithm; the largest of every site."""
    found = statistics(model, wanted.keys(), [x])
    return {
        name: (
            float(((found[name][0] - mean) / deviation).abs().max()),
            float((found[name][1] / deviation).log().abs().max()),
        )
        for name, (mean, deviation) in wanted.items()
    }


def test_statistics_are_of_all_runs_of_a_layer_in_the_original_and_in_the_emulated_network():
    torch.manual_seed(0)
    network, x = Recurrent(), torch.randn(30, 7, 6)
    prepared, model = approximated(network, x)
    cell, hidden, states = network.recurrent, torch.zeros(30, 12), []
    with torch.no_grad():
        embedded = torch.relu(network.embed(x))
        outputs = cell(embedded)[0]
        one = nn.GRU(10, 12, batch_first=True)
        one.load_state_dict({k: v for k, v in cell.state_dict().items() if k.endswith("l0")})
        lower = one(embedded)[0]
        for states_of, layer in ((lower, "l0"), (outputs, "l1")):
            before = torch.cat([hidden[:, None], states_of[:, :-1]], 1).flatten(0, 1)
            product = before @ getattr(cell, f"weight_hh_{layer}").T + getattr(cell, f"bias_hh_{layer}")
            states.append((product.mean(0), product.std(0, correction=0)))
    for found in (
        wanted_statistics(prepared, [x[:11], x[11:]]),
        statistics(model, {s.name for s in prepared.sites}, [x]),
    ):
        for layer, (mean, deviation) in zip(("l0", "l1"), states, strict=True):
            name = f"recurrent.weight_hh_{layer}"
            torch.testing.assert_close(found[name][0], mean, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(found[name][1], deviation, rtol=1e-3, atol=1e-4)
    assert set(wanted_statistics(prepared, [x])) == {s.name for s in prepared.sites}


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("circuit", ["coltrunc8_10", "optrunc8_4"])
def test_layers_that_run_in_every_step_come_near_the_statistics_of_the_original(kind, circuit):
    torch.manual_seed(0)
    network, x = Recurrent(kind), torch.randn(80, 9, 6)
    prepared, model = approximated(network, x, Integer(), CircuitMultiplier(circuit))
    wanted = wanted_statistics(prepared, [x])
    before = distances(model, wanted, x)
    reestimate(model, wanted, x)
    after = distances(model, wanted, x)
    for name in ("embed", "recurrent.weight_ih_l0", "recurrent.weight_ih_l1", "head"):  # corrected in one step
        assert max(after[name]) < 0.03
    for name in ("recurrent.weight_hh_l0", "recurrent.weight_hh_l1"):
        assert after[name][1] < 0.35 * before[name][1]
        assert after[name][0] < max(0.05, 0.6 * before[name][0])


def test_networks_without_batch_norms_regain_what_their_own_layers_put_out():
    torch.manual_seed(0)
    network, x = Recurrent(), torch.randn(128, 9, 6)
    plan = Plan.assign(find_sites(network, x[:1]), [Integer(), CircuitMultiplier("coltrunc8_10")])
    with torch.no_grad():
        wanted = network(x).log_softmax(-1)
        distances = []
        for recovery in (None, Recovery()):
            got = approximate(network, plan.with_recovery(recovery), calibration=x)(x)
            distances.append(float(F.kl_div(got.log_softmax(-1), wanted, log_target=True, reduction="sum")))
    assert distances[1] < 0.25 * distances[0]


def test_batch_norms_say_what_is_wanted_where_there_are_any():
    model, x = trained()
    prepared = prepare(model, x[:1])
    assert wanted_statistics(prepared, [x]) is prepared.norms


def test_layers_that_do_not_run_stay_as_they_are():
    torch.manual_seed(0)
    network, x = Recurrent(), torch.randn(20, 5, 6)
    prepared, model = approximated(network, x, Integer(), CircuitMultiplier("coltrunc8_10"))
    wanted = wanted_statistics(prepared, [x])
    idle = next(m for m in emulated(model) if m.site.name == "head")
    model.head = nn.Identity()
    model.idle = idle
    before = idle.bias.clone()
    reestimate(model, wanted, x)
    assert torch.equal(idle.bias, before)
    assert (idle.gain == 1).all()
