"""MobileNetV2 in the sizes for CIFAR-10 and for ImageNet.

Source: M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, table 2. For 32x32 images the first
convolution and the second stage have stride 1, so that the last feature map is 4x4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.models.base import registry

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion factor, output channels, number of blocks, stride of the first block (table 2 of the paper)."""


def divisible(channels: float, divisor: int = 8) -> int:
    """Round a channel count to a multiple of `divisor`, never down by more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; added to the input where the shapes are equal.

    Input float32 (N, in_channels, H, W), output float32 (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, hidden, 1, bias=False) if expansion != 1 else nn.Identity()
        self.bn1 = nn.BatchNorm2d(hidden) if expansion != 1 else nn.Identity()
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.project = nn.Conv2d(hidden, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.expands = expansion != 1
        self.residual = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        out = F.relu6(self.bn1(self.expand(x))) if self.expands else x
        out = F.relu6(self.bn2(self.depthwise(out)))
        out = self.bn3(self.project(out))
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """A stem, 17 inverted residuals, a 1x1 convolution of 1280 channels, and one linear layer.

    Input float32 (N, in_channels, H, W), output float32 (N, num_classes).
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 3, *, width: float = 1.0, imagenet: bool = False
    ) -> None:
        super().__init__()
        channels = divisible(32 * width)
        last = divisible(1280 * max(1.0, width))
        self.stem = nn.Conv2d(in_channels, channels, 3, stride=2 if imagenet else 1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        blocks = []
        for number, (expansion, base, repeats, first_stride) in enumerate(STAGES):
            for repeat in range(repeats):
                keep = repeat > 0 or (number == 1 and not imagenet)
                out = divisible(base * width)
                blocks.append(InvertedResidual(channels, out, 1 if keep else first_stride, expansion))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(channels, last, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(last)
        self.linear = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.blocks(F.relu6(self.bn1(self.stem(x))))
        x = F.relu6(self.bn2(self.head(x)))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


@registry.register("mobilenetv2")
def mobilenetv2(num_classes: int = 10, in_channels: int = 3, width: float = 1.0, imagenet: bool = False) -> nn.Module:
    """Build an untrained `MobileNetV2`.

    Args:
        num_classes: number of logits.
        in_channels: channels of the image.
        width: multiplier of all channel counts, for example 0.35 or 1.4.
        imagenet: strides for 224x224 images instead of 32x32.
    """
    return MobileNetV2(num_classes, in_channels, width=width, imagenet=imagenet)
