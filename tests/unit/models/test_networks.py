"""Reference networks: published parameter counts, shapes, names, and padding."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from laxity.core.errors import RegistryError, TaskError
from laxity.models import build, build_for, initialised, registry
from laxity.models.mobilenet import divisible
from laxity.models.resnet8 import pad_same


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # trainable parameters as published with the checkpoints of akamaster/pytorch_resnet_cifar10
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet56", 853_018),
        # weights and biases layer by layer: 784*300+300 + 300*100+100 + 100*10+10
        ("mlp", 266_610),
        # 6*25+6 + 16*6*25+16 + 400*120+120 + 120*84+84 + 84*10+10
        ("lenet5", 61_706),
        # MLPerf Tiny: 78 666 values, 480 of them BatchNorm statistics
        ("resnet8", 78_666 - 480),
    ],
)
def test_published_parameter_counts(name: str, count: int) -> None:
    assert parameters(build(name)) == count


@pytest.mark.parametrize(("name", "millions"), [("resnet44", 0.66), ("resnet56", 0.85), ("resnet110", 1.7)])
def test_resnet_sizes_of_the_paper(name: str, millions: float) -> None:
    assert parameters(build(name)) / 1e6 == pytest.approx(millions, rel=0.02)


def test_resnet8_holds_78666_values() -> None:
    state = build("resnet8").state_dict()
    assert sum(v.numel() for n, v in state.items() if not n.endswith("num_batches_tracked")) == 78_666


def test_mobilenetv2_for_imagenet_has_the_published_size() -> None:
    # 3 504 872 parameters for 1000 classes, as torchvision documents for its MobileNetV2
    assert parameters(build("mobilenetv2", num_classes=1000, imagenet=True)) == 3_504_872


def test_vgg11_size_from_its_configuration() -> None:
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(9 * a * b + b + 2 * b for a, b in pairwise(widths))
    assert parameters(build("vgg11")) == convolutions + 512 * 10 + 10


def test_digits_cnn_is_small_and_has_four_layers() -> None:
    model = build("digits_cnn")
    assert 10_000 <= parameters(model) <= 25_000
    kinds = [type(m) for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert kinds == [nn.Conv2d, nn.Conv2d, nn.Conv2d, nn.Linear]


SHAPES = {"digits_cnn": (1, 8, 8), "lenet5": (1, 28, 28), "mlp": (1, 28, 28)}


@pytest.mark.parametrize("name", registry.names())
def test_every_network_runs_for_other_classes(name: str) -> None:
    shape = SHAPES.get(name, (3, 32, 32))
    model = build_for(name, shape, 7)
    assert not model.training
    with torch.no_grad():
        assert model(torch.zeros(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "resnet20", "mobilenetv2", "vgg11", "digits_cnn"])
def test_in_channels_reach_the_first_convolution(name: str) -> None:
    model = build(name, in_channels=5)
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    assert first.in_channels == 5


def test_vit_tiny_size_from_its_configuration() -> None:
    # per block: two layer norms, four projections of 64 x 64 with biases, two linear layers; then patches, norm, head
    block = 2 * 128 + 4 * (64 * 64 + 64) + 64 * 128 + 128 + 128 * 64 + 64
    assert parameters(build("vit_tiny")) == 4 * block + (3 * 16 * 64 + 64) + 128 + (64 * 10 + 10)


def test_patches_of_the_vision_transformer_know_their_places() -> None:
    # equal patches give equal tokens, so only their positions can tell an image from one with its patches exchanged
    model = build("vit_tiny")
    nn.init.zeros_(model.patches.weight)
    x = torch.rand(1, 3, 32, 32)
    seen: list[torch.Tensor] = []
    model.blocks.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(x)
    tokens = seen[0][0]
    assert len({tuple(t.tolist()) for t in tokens}) == 64
    column, row = tokens[:, :32] - model.patches.bias[:32], tokens[:, 32:] - model.patches.bias[32:]
    torch.testing.assert_close(row[0:8], row[0].expand(8, 32))
    torch.testing.assert_close(column[0::8], column[0].expand(8, 32))
    torch.testing.assert_close(column[3, [0, 16]], torch.tensor([3.0]).sin().item() * torch.tensor([1.0, 0.0])
                               + torch.tensor([0.0, 1.0]) * torch.tensor([3.0]).cos())  # fmt: skip


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3)])
def test_recurrent_networks_read_rows(name: str, gates: int) -> None:
    first, second = gates * (28 * 64 + 64 * 64 + 2 * 64), gates * (2 * 64 * 64 + 2 * 64)
    assert parameters(build(name)) == first + second + 64 * 10 + 10
    model = build_for(name, (3, 5, 4), 2)
    assert model.recurrent.input_size == 12
    with torch.no_grad():
        images = torch.rand(2, 3, 5, 4)
        rows = torch.stack([images[:, :, i].reshape(2, 12) for i in range(5)], 1)
        torch.testing.assert_close(model(images), model(rows))
    with pytest.raises(TaskError, match=r"not \(7,\)"):
        build_for(name, (7,), 2)


def test_mlp_counts_features_of_any_input_shape() -> None:
    assert build_for("mlp", (3, 4, 5), 2)(torch.zeros(1, 3, 4, 5)).shape == (1, 2)


def test_resnet_layers_have_the_names_of_the_checkpoints() -> None:
    names = set(build("resnet20").state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer3.2.bn2.bias", "linear.bias"} <= names


def test_shortcut_subsamples_and_pads_with_zero_channels() -> None:
    block = build("resnet20").layer2[0]
    nn.init.zeros_(block.bn2.weight)  # the residual branch gives zero, so that the output is the shortcut alone
    x = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        out = block(x)
    assert out.shape == (2, 32, 4, 4)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.mark.parametrize("size", [1, 2, 5, 8, 31, 32])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (1, 2)])
def test_same_padding_follows_its_definition(size: int, kernel: int, stride: int) -> None:
    # TensorFlow: output ceil(n / s), total max((out - 1) s + k - n, 0), the smaller half on the left
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    padded = pad_same(torch.ones(1, 1, size, size), kernel, stride)[0, 0]
    assert padded.shape == (size + total, size + total)
    inside = padded[total // 2 : total // 2 + size, total // 2 : total // 2 + size]
    assert inside.sum() == size * size


def test_channels_round_to_multiples_of_eight_and_not_far_down() -> None:
    assert [divisible(c) for c in (3, 8, 11, 12, 24 * 0.35, 32 * 0.75)] == [8, 8, 16, 16, 8, 24]
    assert all(divisible(c) % 8 == 0 and divisible(c) >= 0.9 * c for c in range(1, 400))


def test_initialisation_depends_on_the_seed_only_and_leaves_the_global_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (initialised(lambda: build("lenet5"), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_unknown_names_and_options_are_refused_with_a_proposal() -> None:
    with pytest.raises(RegistryError, match="did you mean 'resnet20'"):
        build("resnet_20")
    with pytest.raises(TaskError, match=r"'vgg11' takes no depth=3.*num_classes"):
        build("vgg11", depth=3)
