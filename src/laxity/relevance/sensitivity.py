"""Criticality: how strongly the loss feels an error in proportion to a neuron's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from laxity.relevance.criterion import CRITERIA
from laxity.relevance.felt import FeltCriterion


@CRITERIA.register("sensitivity")
@dataclass(frozen=True)
class Sensitivity(FeltCriterion):
    """Mean over the samples of ``|delta o|``, delta being dL/do, summed over the positions of a feature map.

    Unlike in the criterion ``taylor``, what raises the loss in one place and lowers it in another does not cancel.

    Source: Q. Zhang et al., "ApproxANN: an approximate computing framework for artificial neural network", DATE 2015;
    reconstructed from the abstract.
    """

    kind: ClassVar[str] = "sensitivity"

    def of_channels(self, outputs: Tensor, gradients: Tensor) -> Tensor:
        """See `FeltCriterion.of_channels`."""
        return (outputs * gradients).abs().sum(2)
