"""Sites: every kind, in order of execution, with the work that torch itself counts."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from laxity.core.errors import TaskError
from laxity.core.slots import Slot
from laxity.models.base import build_for
from laxity.models.resnet_cifar import cifar_resnet
from laxity.sites import find_sites

ALL = (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER, Slot.ACCUMULATOR, Slot.MEMORY, Slot.GUARD)
PRODUCT = (Slot.OPERAND, Slot.MULTIPLIER, Slot.ACCUMULATOR)


def counted_macs(model, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() // 2


LAYERS = {
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (1, 4, 11)),
    "conv2d": (nn.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=1, dilation=2), (1, 3, 12, 9)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 7, 7)),
    "circular": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (1, 2, 6, 6)),
    "same": (nn.Conv2d(2, 3, 3, padding="same"), (1, 2, 6, 6)),
    "conv3d": (nn.Conv3d(2, 3, 2, padding=1), (1, 2, 4, 5, 6)),
    "conv_transpose1d": (nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (1, 4, 5)),
    "conv_transpose2d": (nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), (1, 3, 5, 6)),
    "conv_transpose3d": (nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 3, 3)),
    "linear": (nn.Linear(7, 5), (1, 7)),
    "tokens": (nn.Linear(7, 5), (1, 6, 7)),
    "more tokens": (nn.Linear(7, 5), (1, 2, 3, 7)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_with_its_work(kind):
    layer, shape = LAYERS[kind]
    x = torch.randn(shape)
    (site,) = find_sites(nn.Sequential(layer), x)
    op = site.op
    assert (site.name, site.slots, site.functional) == ("0", ALL, False)
    assert op.kind in type(layer).__name__.lower().replace("convtranspose", "conv_transpose")
    assert op.weight_shape == tuple(layer.weight.shape)
    assert op.output_shape == tuple(layer(x).shape[1:])
    assert op.macs == counted_macs(layer, x)
    assert op.weight_elements == op.groups * op.reduction * op.columns == layer.weight.numel()
    if kind != "circular":
        assert op.input_shape == shape[1:]


class Everything(nn.Module):
    """Registered in another order than it runs, with functions and products in between."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.late = nn.Conv2d(4, 6, 1)
        self.early = nn.Conv2d(2, 4, 3, padding=1)
        self.shared = nn.Linear(6, 6)
        self.kernel = nn.Parameter(torch.randn(4, 1, 3, 3))
        self.register_buffer("matrix", torch.randn(6, 6))

    def forward(self, x):
        x = F.conv2d(self.early(x), self.kernel, padding=1, groups=4)
        tokens = self.late(x).flatten(2).transpose(1, 2)
        tokens = self.shared(F.linear(self.shared(tokens), self.matrix))
        mixed = torch.softmax(tokens @ tokens.transpose(1, 2), -1)
        return self.head(torch.bmm(mixed, tokens).mean(1))


def test_order_of_execution_functions_and_shared_modules():
    model, x = Everything(), torch.randn(1, 2, 5, 5)
    sites = find_sites(model, x)
    assert [s.name for s in sites] == [
        "early", ":conv2d#0", "late", "shared", ":linear#0", ":matmul#0", ":matmul#1", "head",
    ]  # fmt: skip
    by_name = {s.name: s for s in sites}
    assert by_name["shared"].op.calls == 2
    assert by_name["shared"].op.macs == 2 * 25 * 36
    assert by_name[":matmul#0"].op.macs == by_name[":matmul#1"].op.macs == 25 * 25 * 6
    assert {s.name: s.slots for s in sites if s.functional} == dict.fromkeys(
        [":conv2d#0", ":linear#0", ":matmul#0", ":matmul#1"], PRODUCT
    )
    assert sum(s.op.macs for s in sites) == counted_macs(model, x)


def test_weights_computed_on_the_fly_are_operands_of_products():
    class Generated(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return F.linear(self.fc(x), torch.tanh(self.fc.weight))

    sites = find_sites(Generated(), torch.randn(1, 4))
    assert [(s.name, s.op.kind, s.slots) for s in sites] == [("fc", "linear", ALL), (":linear#0", "matmul", PRODUCT)]


def test_layers_with_a_forward_of_their_own_are_not_taken_for_plain_ones():
    """A subclass that changes its weight first computes something else than the plain layer."""

    class Standardised(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(x, (self.weight - self.weight.mean()) / self.weight.std(), self.bias)

    class Renamed(nn.Conv2d):
        """Still the plain layer."""

    model, x = nn.Sequential(Standardised(2, 3, 3), Renamed(3, 3, 3)), torch.randn(1, 2, 8, 8)
    found = find_sites(model, x)
    assert [(s.name, s.op.kind, s.slots) for s in found] == [("0:conv2d#0", "matmul", PRODUCT), ("1", "conv2d", ALL)]
    assert sum(s.op.macs for s in found) == counted_macs(model, x)


def test_one_layer_under_two_names_is_one_site():
    layer = nn.Linear(5, 5)
    sites = find_sites(nn.Sequential(layer, nn.ReLU(), layer), torch.randn(1, 5))
    assert [(s.name, s.op.calls, s.functional) for s in sites] == [("0", 2, False)]


class Heads(nn.Module):
    """Attention whose heads are folded into the first dimension."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(12, 36)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 4, 3).permute(2, 0, 3, 1, 4).reshape(3, batch * 4, length, 3)
        return torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)), -1), v).reshape(batch, -1)


def test_products_with_heads_in_the_first_dimension():
    model, x = Heads(), torch.randn(1, 6, 12)
    sites = find_sites(model, x)
    assert sum(s.op.macs for s in sites) == counted_macs(model, x)
    assert [s.op.macs for s in sites[1:]] == [4 * 6 * 6 * 3] * 2
    assert sites[1].op.input_elements == 4 * 6 * 3


def test_layers_on_flattened_tokens():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(8, 3)

        def forward(self, x):
            frames = self.conv(x.reshape(-1, 1, 4, 4))
            return self.fc(frames.reshape(-1, 8)).mean(0, keepdim=True)

    model, x = Flat(), torch.randn(1, 5, 4, 4)
    sites = find_sites(model, x)
    assert sum(s.op.macs for s in sites) == counted_macs(model, x)
    assert [s.op.input_elements for s in sites] == [5 * 16, 5 * 8]
    assert [s.op.output_elements for s in sites] == [5 * 8, 5 * 3]


@pytest.mark.parametrize("kind", ["conv1d", "conv2d", "depthwise", "conv_transpose2d"])
def test_convolutions_of_one_sample_without_a_batch_dimension(kind):
    class Single(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x[0])[None]

    layer, shape = LAYERS[kind]
    (single,), (batched,) = find_sites(Single(layer), torch.randn(shape)), find_sites(layer, torch.randn(shape))
    assert single.op == batched.op


def test_a_batch_counts_once():
    model = Everything()
    assert find_sites(model, torch.randn(3, 2, 5, 5)) == find_sites(model, torch.randn(1, 2, 5, 5))


@pytest.mark.parametrize("depth", [20, 56])
def test_residual_networks(depth):
    model, x = cifar_resnet(depth).eval(), torch.randn(1, 3, 32, 32)
    sites = find_sites(model, x)
    assert len(sites) == depth
    assert sum(s.op.macs for s in sites) == counted_macs(model, x)


@pytest.mark.parametrize("name", ["lenet5", "mobilenetv2", "resnet8", "vgg11", "mlp"])
def test_work_of_the_reference_networks(name):
    shape = (1, 28, 28) if name == "lenet5" else (3, 32, 32)
    model, x = build_for(name, shape, 10).eval(), torch.randn(1, *shape)
    assert sum(s.op.macs for s in find_sites(model, x)) == counted_macs(model, x)


def test_the_model_stays_as_it_is():
    """Statistics, modes, hooks, gradients and the example are untouched, in training mode too."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten())
    model.append(nn.Linear(3, 2))
    model.train()
    model[1].eval()
    before, x = copy.deepcopy(model.state_dict()), torch.randn(1, 2, 3, 3)
    seen = x.clone()
    find_sites(model, x)
    find_sites(nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(18, 2)), x)
    assert torch.equal(x, seen)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model] == [True, False, True, True, True, True]
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_batch_norm_in_training_mode_is_no_obstacle():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).train()
    assert [s.name for s in find_sites(model, torch.randn(1, 4))] == ["0"]


def test_models_that_do_not_run_are_refused():
    with pytest.raises(TaskError, match=r"the model does not run on an input of shape \(1, 5\)"):
        find_sites(nn.Linear(4, 3), torch.randn(1, 5))
    with pytest.raises(TaskError, match="the model has no convolution, linear layer or matrix product to approximate"):
        find_sites(nn.ReLU(), torch.randn(1, 5))
