"""What is measured: layers and networks, their inputs, and the plan that approximates them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import laxity as lx
from laxity.core.approximation import Approximation
from laxity.core.seeds import derive
from laxity.models.base import build, initialised
from laxity.sites.find import run_recorded
from laxity.sites.fold import fold_batch_norm
from speed.tables import SEED, ArbitraryTable

BATCH = 8
QUICK_BATCH = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """A convolution with stride 1 that keeps the size of its input.

    Attributes:
        inputs, outputs: channels.
        size: height and width.
        kernel: taps per dimension.
        groups: as in torch.
    """

    inputs: int
    outputs: int
    size: int
    kernel: int
    groups: int = 1

    @property
    def name(self) -> str:
        """For tables."""
        to = "" if self.outputs == self.inputs else f" to {self.outputs}"
        kind = "depthwise " if self.groups > 1 else ""
        return f"{self.inputs}x{self.size}x{self.size}{to} {kind}{self.kernel}x{self.kernel}"

    def layer(self) -> nn.Conv2d:
        """The layer with torch's initial weights."""
        sizes = self.inputs, self.outputs, self.kernel
        make = lambda: nn.Conv2d(*sizes, padding=self.kernel // 2, groups=self.groups)  # noqa: E731
        return initialised(make, SEED).eval()

    def input(self, batch: int, *, half_zero: bool) -> Tensor:
        """Normal values: their magnitudes, or after ReLU, half of them 0."""
        values = normal(batch, self.inputs, self.size, self.size)
        return values.relu() if half_zero else values.abs()

    def products(self, batch: int) -> int:
        """Multiply-accumulates of one forward pass."""
        return batch * self.size**2 * self.outputs * (self.inputs // self.groups) * self.kernel**2


LAYERS = (
    Shape(16, 16, 32, 3),
    Shape(64, 64, 56, 3),
    Shape(128, 128, 28, 3),
    Shape(256, 256, 14, 3),
    Shape(64, 256, 56, 1),
)
DEPTHWISE = (Shape(384, 384, 14, 3, 384), Shape(144, 144, 56, 3, 144))
MANY_OUTPUTS = (Shape(512, 512, 7, 3), Shape(256, 256, 14, 3))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with a shortcut that is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.changes = stride != 1 or inputs != outputs
        if self.changes:
            self.shortcut, self.bn4 = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 width, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (self.bn4(self.shortcut(x)) if self.changes else x))


class ResNet50(nn.Module):
    """The residual network of 50 layers for 224x224 images, strides in the 3x3 convolutions.

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64)
        blocks, inputs = [], 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for i in range(count):
                blocks.append(Bottleneck(inputs, width, stride if i == 0 else 1))
                inputs = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(inputs, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, 224, 224) to logits (N, 1000)."""
        x = self.blocks(F.max_pool2d(F.relu(self.bn(self.stem(x))), 3, stride=2, padding=1))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


@dataclass(frozen=True, slots=True)
class Network:
    """A whole network with random weights.

    Attributes:
        name: for tables.
        make: builds it.
        sample: shape of one input.
        batch: inputs per forward pass.
    """

    name: str
    make: Callable[[], nn.Module]
    sample: tuple[int, ...]
    batch: int

    def model(self, x: Tensor) -> nn.Module:
        """The network in eval mode; its norms have the statistics of `x`."""
        model = initialised(self.make, SEED).train()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        with torch.no_grad():
            model(x)
        return model.eval().requires_grad_(False)

    def input(self, batch: int) -> Tensor:
        """Normal values."""
        return normal(batch, *self.sample)


NETWORKS = (
    Network("ResNet-20, 32x32", lambda: build("resnet20"), (3, 32, 32), 16),
    Network("ResNet-50, 224x224", ResNet50, (3, 224, 224), 2),
    Network("MobileNetV2, 224x224", lambda: build("mobilenetv2", num_classes=1000, imagenet=True), (3, 224, 224), 4),
    Network("ViT, 4 blocks of width 64, 64 tokens", lambda: build("vit_tiny"), (3, 32, 32), 16),
    Network("LSTM, 2 layers of 256, 28 steps", lambda: build("lstm", input_shape=(28, 64), hidden=256), (28, 64), 16),
)


def normal(*shape: int) -> Tensor:
    """Values of the standard normal distribution."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(derive(SEED, "input", *shape)))


def folded(model: nn.Module, x: Tensor) -> nn.Module:
    """A copy of the native network whose batch norms are folded into its layers, as they are in the emulated one."""
    own = copy.deepcopy(model)
    fold_batch_norm(own, run_recorded(own, x[:1]))
    return own


def approximated(model: nn.Module, x: Tensor, bits: int, multiplier: Approximation | None = None) -> nn.Module:
    """The model with all sites approximated: weights of 8 bits, activations of `bits`, and a table if nothing else."""
    choices = lx.Integer(8, bits), multiplier or ArbitraryTable(bits)
    return lx.approximate(model, lx.Plan.assign(lx.find_sites(model, x[:1]), choices), calibration=x)
