"""Re-estimation gives back what the folded norms prescribe, or what another network has."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.plan import Plan, Recovery
from laxity.emulate import approximate, build, calibrate
from laxity.emulate.reestimate import reestimate
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
