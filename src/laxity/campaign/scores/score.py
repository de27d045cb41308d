"""What a vulnerability score is, what it gets to look at, and where it is found by name."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.campaign.scores.slopes import Objective
from laxity.core.registry import Registry
from laxity.relevance.lrp.method import Method

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LARGEST = float(np.finfo(np.float32).max)


class Struck(ABC):
    """Single faults with the images that meet them, none of them injected.

    Derivatives and relevances are those of a reference network in floating point, margins those of the network whose
    memories are struck. Both may be the same.

    Args:
        model: the struck network, in evaluation mode.
        reference: a network of plain layers in floating point that has layers of the same names.
        inputs: float32 (m, ...), the images that faults are counted in.
        image: which of them each fault meets, int64 (n,).
        place: number of the layer of each fault in `names`, int64 (n,).
        names: of the layers.
        seed: root seed of scores that draw.
    """

    def __init__(
        self,
        model: nn.Module,
        reference: nn.Module,
        inputs: Tensor,
        image: IntArray,
        place: IntArray,
        names: tuple[str, ...],
        seed: int,
    ) -> None:
        self.model, self.reference, self.inputs = model, reference, inputs
        self.image, self.place, self.names, self.seed = image, place, names, seed
        self._known: dict[str, FloatArray] = {}
        with torch.no_grad():
            self.logits = torch.cat([model(part) for part in inputs.split(256)])
        top = self.logits.topk(2, 1)
        self.first, self.second = top.indices.T
        self._margin = (top.values[:, 0] - top.values[:, 1]).to(torch.float64).numpy()

    def __len__(self) -> int:
        return len(self.image)

    @abstractmethod
    def change(self) -> FloatArray:
        """By how much what is struck changes, float64 (n,); at most the largest number of float32, also for NaN."""

    @abstractmethod
    def unit(self) -> IntArray:
        """Which filter holds the struck weight, or which neuron is struck, within its layer, int64 (n,)."""

    @abstractmethod
    def disturbance(self) -> FloatArray:
        """Largest change of a value at the struck place, float64 (n,), in units of the largest value there.

        For a weight the values are the outputs of its layer for the image, of which those of one filter change by dw
        times an input; for a neuron they are the activations that are stored with it.
        """

    @abstractmethod
    def _slopes(self, objective: Objective) -> FloatArray:
        """See `slope`."""

    @abstractmethod
    def _relevances(self, method: Method) -> FloatArray:
        """See `relevance`."""

    def margin(self) -> FloatArray:
        """Distance of the two largest logits of the image, float64 (n,)."""
        return self._margin[self.image]

    def slope_of_loss(self) -> FloatArray:
        """Derivative of the image's cross-entropy with respect to what is struck, float64 (n,).

        The class is the predicted one, so that labels are not needed.
        """
        return self._once(
            "loss", lambda: self._slopes(lambda z, rows: F.cross_entropy(z, self.first[rows], reduction="none"))
        )

    def slope_of_margin(self) -> FloatArray:
        """Derivative of the distance of the two largest logits with respect to what is struck, float64 (n,)."""

        def margin(logits: Tensor, rows: Tensor) -> Tensor:
            some = torch.arange(len(rows))
            return logits[some, self.first[rows]] - logits[some, self.second[rows]]

        return self._once("margin", lambda: self._slopes(margin))

    def relevance(self, method: Method) -> FloatArray:
        """Layer-wise relevance of the struck filter or neuron, mean over all images of its absolute value, (n,)."""
        return self._once(f"relevance {method!r}", lambda: self._relevances(method))

    def _once(self, key: str, compute: object) -> FloatArray:
        if key not in self._known:
            assert callable(compute)
            self._known[key] = compute()
        return self._known[key]


class Score(ABC):
    """A number for every fault, high where it is expected to change the prediction; a frozen dataclass of its options.

    Attributes:
        cap: scores above it count as this when faults of a group are averaged; infinite for none.

    Raises:
        ConfigError: an option has no such value.
    """

    kind: ClassVar[str]
    cap: ClassVar[float] = math.inf

    @abstractmethod
    def of(self, struck: Struck) -> FloatArray:
        """Scores of all faults, float64 (n,), not below 0; infinite for what is as bad as can be, never NaN.

        Raises:
            TaskError: the network is none that this score can judge.
        """


SCORES: Registry[type[Score]] = Registry("vulnerability score", "laxity.scores")
"""Scores by kind; other packages add theirs through the entry-point group ``laxity.scores``."""


def finite(change: FloatArray) -> FloatArray:
    """Changes to NaN or beyond float32 as the largest change that float32 knows."""
    with np.errstate(invalid="ignore"):
        return np.clip(np.nan_to_num(change, nan=LARGEST, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)
