"""ResNet-8, the image classification network of MLPerf Tiny.

Source: C. Banbury et al., "MLPerf Tiny Benchmark", NeurIPS Datasets and Benchmarks 2021; reference model in
mlcommons/tiny, benchmark/training/image_classification. Differences from a torch-style residual network: inputs are raw
RGB values 0..255, convolutions have a bias, BatchNorm uses epsilon 1e-3, and strided convolutions pad as TensorFlow's
``same`` does, on the right and the bottom first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.models.base import registry

_EPS = 1e-3


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad (N, C, H, W) with zeros as TensorFlow's ``same`` does: the convolution gives ceil(H / stride) rows.

    Where the number of added rows or columns is odd, the extra one is at the bottom or the right.
    """
    added = [max(kernel - (size % stride or stride), 0) for size in (x.shape[3], x.shape[2])]
    return F.pad(x, [added[0] // 2, added[0] - added[0] // 2, added[1] // 2, added[1] - added[1] // 2])


class Block(nn.Module):
    """Two 3x3 convolutions; a strided block adds a 1x1 convolution named `shortcut`.

    Input float32 (N, in_channels, H, W), output float32 (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels, eps=_EPS)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels, eps=_EPS)
        self.shortcut = nn.Conv2d(in_channels, channels, 1, stride=stride) if stride != 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        out = F.relu(self.bn1(self.conv1(pad_same(x, 3, self.stride))))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet8(nn.Module):
    """One convolution, three blocks of 16, 32 and 64 channels, one linear layer.

    Input float32 (N, in_channels, 32, 32) with raw values 0..255, output float32 (N, num_classes).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16, eps=_EPS)
        self.block1 = Block(16, 16, 1)
        self.block2 = Block(16, 32, 2)
        self.block3 = Block(32, 64, 2)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, 32, 32) to logits (N, num_classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


@registry.register("resnet8")
def resnet8(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Build an untrained `ResNet8`."""
    return ResNet8(num_classes, in_channels)
