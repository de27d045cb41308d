"""Recurrent classifiers that read a sequence, or an image row by row.

Source: S. Hochreiter, J. Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997; K. Cho et al., Learning
Phrase Representations using RNN Encoder-Decoder (EMNLP 2014), for the gated recurrent unit. Images as sequences of rows
are a usual test of recurrent networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from laxity.core.errors import TaskError
from laxity.models.base import registry


class RecurrentClassifier(nn.Module):
    """Two recurrent layers and a linear layer on the last output of the second one.

    Input float32 (N, steps, features), or images (N, channels, H, W) whose rows are the steps. Output float32
    (N, num_classes).
    """

    def __init__(self, layer: type[nn.LSTM] | type[nn.GRU], features: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.recurrent = layer(features, hidden, num_layers=2, batch_first=True)
        self.linear = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences or images to logits (N, num_classes)."""
        steps = x.movedim(-2, 1).flatten(2)
        return self.linear(self.recurrent(steps)[0][:, -1])


def step_features(input_shape: Sequence[int]) -> int:
    """Values per time step of inputs (steps, features) or (channels, H, W).

    Raises:
        TaskError: the inputs have fewer than two dimensions.
    """
    if len(input_shape) < 2:
        raise TaskError(
            f"recurrent networks take inputs (steps, features) or (channels, height, width), not {tuple(input_shape)}"
        )
    return math.prod(input_shape) // input_shape[-2]


@registry.register("lstm")
def lstm(num_classes: int = 10, input_shape: Sequence[int] = (28, 28), hidden: int = 64) -> nn.Module:
    """Build an untrained `RecurrentClassifier` of two LSTM layers."""
    return RecurrentClassifier(nn.LSTM, step_features(input_shape), hidden, num_classes)


@registry.register("gru")
def gru(num_classes: int = 10, input_shape: Sequence[int] = (28, 28), hidden: int = 64) -> nn.Module:
    """Build an untrained `RecurrentClassifier` of two layers of gated recurrent units."""
    return RecurrentClassifier(nn.GRU, step_features(input_shape), hidden, num_classes)
