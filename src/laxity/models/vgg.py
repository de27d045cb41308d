"""VGG-11 with batch normalisation for CIFAR-10.

Source: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
configuration A. For 32x32 images one linear layer follows the five poolings, as is usual for CIFAR-10.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from laxity.models.base import registry

CONFIGURATION_A = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
"""Output channels of the 3x3 convolutions; 0 is a 2x2 max pooling."""


class VGG(nn.Module):
    """Convolutions with BatchNorm and ReLU, max poolings, and one linear layer.

    Input float32 (N, in_channels, 32, 32), output float32 (N, num_classes).
    """

    def __init__(self, configuration: tuple[int, ...], num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for width in configuration:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, 32, 32) to logits (N, num_classes)."""
        return self.linear(torch.flatten(self.features(x), 1))


@registry.register("vgg11")
def vgg11(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Build an untrained VGG-11."""
    return VGG(CONFIGURATION_A, num_classes, in_channels)
