"""Groups of channels that go together, and which layers may lose channels at all."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.emulate import build
from laxity.models.resnet_cifar import cifar_resnet
from laxity.sites import prepare
from laxity.techniques import ChannelPruning


def grouped(model, x):
    return {s.name: (s.group, s.removable) for s in prepare(model.eval(), x).sites}


def test_a_chain_decides_layer_by_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(6 * 16, 5))
    assert grouped(model, torch.randn(1, 3, 8, 8)) == {"0": ("0", True), "2": ("2", True), "4": ("4", False)}


class Residual(nn.Module):
    """Two layers whose outputs are added, and a layer inside the branch."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.inner = nn.Conv2d(6, 8, 3, padding=1)
        self.outer = nn.Conv2d(8, 6, 3, padding=1)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(x + self.outer(F.relu(self.inner(x))))
        return self.fc(x.mean((2, 3)))


def test_added_outputs_lose_the_same_channels():
    found = grouped(Residual(), torch.randn(1, 2, 6, 6))
    assert found == {"stem": ("stem", True), "inner": ("inner", True), "outer": ("stem", True), "fc": ("fc", False)}


class Gated(nn.Module):
    """Splits its channels in halves, which the dependency analysis may or may not see through."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        value, gate = self.conv(x).chunk(2, 1)
        return self.fc((value * torch.sigmoid(gate)).mean((2, 3)))


def test_what_is_called_removable_really_is():
    """Whatever the analysis says: pruned networks run, and equal the network with those channels silenced."""
    torch.manual_seed(0)
    for model, x in ((Residual(), torch.randn(2, 2, 6, 6)), (Gated(), torch.randn(2, 2, 6, 6))):
        prepared = prepare(model.eval(), x[:1])
        for group in {s.group for s in prepared.sites if s.removable}:
            names = [s.name for s in prepared.sites if s.group == group]
            plan = Plan(tuple((n, Slot.STRUCTURE, ChannelPruning(0.34)) for n in names))
            slim = build(prepared, plan)
            silent = copy.deepcopy(prepared.model)
            with torch.no_grad():
                for name in names:
                    layer, kept = silent.get_submodule(name), slim.get_submodule(name).kept
                    gone = [c for c in range(len(layer.weight)) if c not in kept]
                    assert gone
                    layer.weight[gone] = 0
                    layer.bias[gone] = 0
                torch.testing.assert_close(slim(x), silent(x), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def resnet20():
    torch.manual_seed(0)
    model = cifar_resnet(20).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return prepare(model, torch.randn(1, 3, 32, 32))


@pytest.mark.slow
def test_inner_convolutions_of_residual_blocks_can_shrink(resnet20):
    inner = {s.name for s in resnet20.sites if s.name.endswith("conv1") and s.name != "conv1"}
    assert len(inner) == 9
    assert {s.name for s in resnet20.sites if s.removable} == inner
    assert all(s.group == s.name for s in resnet20.sites)


@pytest.mark.slow
def test_removal_equals_zeroing_in_resnet20(resnet20):
    x = torch.randn(2, 3, 32, 32)
    for name in [s.name for s in resnet20.sites if s.removable][::4]:
        slim = build(resnet20, Plan().with_(name, ChannelPruning(0.25)))
        kept = slim.get_submodule(name).kept
        silent = copy.deepcopy(resnet20.model)
        layer = silent.get_submodule(name)
        with torch.no_grad():
            gone = [c for c in range(len(layer.weight)) if c not in kept]
            assert len(gone) == len(layer.weight) // 4
            layer.weight[gone] = 0
            layer.bias[gone] = 0
            expected = silent(x)
            torch.testing.assert_close(slim(x), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.slow
def test_zero_padded_shortcuts_keep_their_channels(resnet20):
    """Option-A shortcuts pad channels with zeros; what is added to them must keep its channels."""
    kept = {s.name for s in resnet20.sites if not s.removable}
    assert {n for n in kept if n.endswith("conv2")} | {"conv1"} <= kept
    assert sum(n.endswith("conv2") for n in kept) == 9
