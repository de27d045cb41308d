"""A small convolutional network for 8x8 images, trained in seconds: three convolutions and one linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.models.base import registry


class DigitsCNN(nn.Module):
    """conv1, conv2, pool, conv3, pool, linear; batch normalisation and ReLU after each convolution.

    Input float32 (N, in_channels, 8, 8), output float32 (N, num_classes).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(32)
        self.linear = nn.Linear(32 * 2 * 2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, 8, 8) to logits (N, num_classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.max_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        return self.linear(torch.flatten(x, 1))


@registry.register("digits_cnn")
def digits_cnn(num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """Build an untrained `DigitsCNN`."""
    return DigitsCNN(num_classes, in_channels)
