"""What a criterion of relevance is, what it gets to look at, and where it is found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.core.registry import Registry
from laxity.sites.prepare import Prepared
from laxity.task.task import Loss

Scores = dict[str, NDArray[np.float64]]
"""Per site one number per output channel, high where the channel matters."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A trained network with the samples on which relevance is judged.

    Attributes:
        prepared: the network, batch norms folded, in eval mode, without gradients of weights; to be left as it is.
        layers: its sites that have weights, by name, in order of execution.
        inputs: float32 (n, ...), on the network's device.
        targets: true classes, int64 (n,).
        loss: maps logits (n, classes) and targets (n,) to a scalar.
        seed: root seed.
    """

    prepared: Prepared
    layers: dict[str, nn.Module]
    inputs: Tensor
    targets: Tensor
    loss: Loss
    seed: int

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets, `size` samples at a time, the last ones perhaps fewer."""
        return zip(self.inputs.split(size), self.targets.split(size), strict=True)


class Criterion(ABC):
    """A way to tell how much each output channel of each site matters; a frozen dataclass whose fields are its options.

    Raises:
        ConfigError: an option has no such value.
    """

    kind: ClassVar[str] = ""

    @abstractmethod
    def scores(self, subject: Subject) -> Scores:
        """Relevance of the output channels of all of ``subject.layers``, float64 (channels,), high where they matter.

        Raises:
            TaskError: the network is none that this criterion can judge; names what is in the way and the remedy.
        """


CRITERIA: Registry[type[Criterion]] = Registry("criterion of relevance", "laxity.relevance")
