"""Structured pruning removes channels for good, group by group."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.errors import PlanError
from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.emulate import EmulatedLayer, approximate, build
from laxity.models.resnet_cifar import cifar_resnet
from laxity.sites import prepare
from laxity.techniques import ChannelPruning, Integer


class Chain(nn.Module):
    """Convolution, norm, depthwise convolution, pointwise convolution, classifier."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 12, 1)
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.depthwise(F.relu(self.norm(self.first(x)))))
        return self.fc(F.relu(self.point(x)).mean((2, 3)))


@pytest.fixture
def chain():
    torch.manual_seed(0)
    model = Chain()
    nn.init.uniform_(model.norm.weight, 0.5, 2)
    nn.init.normal_(model.norm.running_mean)
    return model.eval()


def plan_for(names, ratio, *more):
    return Plan(tuple((n, c.slot, c) for n in names for c in (ChannelPruning(ratio), *more)))


@pytest.mark.parametrize(("ratio", "left"), [(0.25, 6), (0.5, 4), (0.99, 1), (0.01, 8)])
def test_shapes_and_parameters_shrink(chain, ratio, left):
    x = torch.randn(4, 3, 6, 6)
    model = approximate(chain, plan_for(["first", "depthwise"], ratio), calibration=x)
    shapes = {n: tuple(model.get_submodule(n).weight.shape) for n in ("first", "depthwise", "point", "fc")}
    assert shapes == {"first": (left, 3, 3, 3), "depthwise": (left, 1, 3, 3), "point": (12, left, 1, 1), "fc": (5, 12)}
    weights = sum(p.numel() for n, p in model.named_parameters() if n.endswith("weight"))
    assert weights == left * (27 + 9 + 12) + 60
    assert model(x).shape == (4, 5)


def test_what_is_left_is_the_network_with_the_channels_silenced(chain):
    """Removing channels equals zeroing everything that they feed."""
    x = torch.randn(4, 3, 6, 6)
    prepared = prepare(chain, x[:1])
    model = approximate(chain, plan_for(["first", "depthwise"], 0.5), calibration=x)
    kept = model.get_submodule("first").kept
    assert len(kept) == 4
    folded = prepared.model.get_submodule("first").weight
    assert torch.equal(model.get_submodule("first").weight, folded[kept])
    with torch.no_grad():
        gone = [c for c in range(8) if c not in kept]
        prepared.model.get_submodule("point").weight[:, gone] = 0
        torch.testing.assert_close(model(x), prepared.model(x))


def test_least_important_channels_go(chain):
    """Importance: norms of all members of the group, each relative to the member's mean."""
    x = torch.randn(2, 3, 6, 6)
    prepared = prepare(chain, x[:1])
    importance = torch.zeros(8)
    for name in ("first", "depthwise"):
        norms = prepared.model.get_submodule(name).weight.flatten(1).norm(dim=1)
        importance += norms / norms.mean()
    wanted = sorted(importance.argsort(descending=True)[:6].tolist())
    model = build(prepared, plan_for(["first", "depthwise"], 0.25))
    assert model.get_submodule("first").kept == wanted
    assert model.get_submodule("depthwise").kept == wanted


def test_groups_must_be_chosen_as_a_whole(chain):
    x = torch.randn(2, 3, 6, 6)
    with pytest.raises(PlanError, match=r"channels of 'depthwise' depend on those of 'first'; give both the same"):
        approximate(chain, plan_for(["first"], 0.25), calibration=x)


def test_outputs_of_the_network_cannot_be_removed(chain):
    x = torch.randn(2, 3, 6, 6)
    with pytest.raises(PlanError, match=r"the output channels of site 'fc' cannot be removed; use 'magnitude' there"):
        approximate(chain, plan_for(["fc"], 0.25), calibration=x)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, float("nan")])
def test_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(PlanError, match=r"ratio of 'channels' is a fraction in \(0, 1\), not"):
        ChannelPruning(ratio)


def test_candidates_exist_only_where_removal_is_sound(chain):
    sites = {s.name: s for s in prepare(chain, torch.randn(1, 3, 6, 6)).sites}
    assert [c.ratio for c in ChannelPruning.candidates(sites["first"])] == [0.125, 0.25, 0.375, 0.5]
    assert not ChannelPruning.candidates(sites["fc"])
    assert ChannelPruning.grouped()
    assert ChannelPruning(0.25).label() == "-25% channels"


def test_several_groups_and_codes_at_once(chain):
    x = torch.randn(4, 3, 6, 6)
    plan = plan_for(["first", "depthwise", "point"], 0.5, Integer(6, 8)).with_("fc", Integer())
    model = approximate(chain, plan, calibration=x)
    assert [tuple(m.weight.shape) for m in model.modules() if isinstance(m, EmulatedLayer)] == [
        (4, 3, 3, 3),
        (4, 1, 3, 3),
        (6, 4, 1, 1),
        (5, 6),
    ]
    assert model(x).isfinite().all()
    assert plan.at("point")[Slot.STRUCTURE] == ChannelPruning(0.5)


@pytest.mark.slow
def test_inner_channels_of_a_residual_network():
    torch.manual_seed(0)
    model, x = cifar_resnet(20), torch.randn(2, 3, 32, 32)
    prepared = prepare(model, x[:1])
    name = next(s.name for s in prepared.sites if s.removable)
    slim = build(prepared, plan_for([name], 0.5))
    assert slim.get_submodule(name).weight.shape[0] == prepared.model.get_submodule(name).weight.shape[0] // 2
    assert slim(x).shape == (2, 10)
