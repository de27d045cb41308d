"""LeNet-5 and a multilayer perceptron for 28x28 images.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc.
IEEE 86(11), 1998: LeNet-5 (figure 2) and the 784-300-100-10 network (section III.C.3). As is usual today, ReLU replaces
the scaled hyperbolic tangent, max pooling the trained subsampling, and all feature maps of S2 are connected to C3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.models.base import registry


class LeNet5(nn.Module):
    """Two convolutions of 6 and 16 channels with max pooling, then linear layers of 120, 84 and `num_classes`.

    Input float32 (N, in_channels, 28, 28), output float32 (N, num_classes).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, 28, 28) to logits (N, num_classes)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(F.relu(self.fc2(x)))


class MLP(nn.Module):
    """Linear layers of 300, 100 and `num_classes` with ReLU between them.

    Input float32 (N, ...) with `in_features` values per sample, output float32 (N, num_classes).
    """

    def __init__(self, num_classes: int = 10, in_features: int = 784) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_features, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (N, ...) to logits (N, num_classes)."""
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(F.relu(self.fc2(x)))


@registry.register("lenet5")
def lenet5(num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """Build an untrained `LeNet5`."""
    return LeNet5(num_classes, in_channels)


@registry.register("mlp")
def mlp(num_classes: int = 10, in_features: int = 784) -> nn.Module:
    """Build an untrained `MLP`."""
    return MLP(num_classes, in_features)
