"""Back-propagated error: how strongly the loss feels a change of a neuron, however large its output is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from laxity.relevance.criterion import CRITERIA
from laxity.relevance.felt import FeltCriterion


@CRITERIA.register("gradient")
@dataclass(frozen=True)
class Gradient(FeltCriterion):
    """Mean over the samples of ``|dL/do|``, summed over the positions of a feature map, each of which is a neuron.

    Source: S. Venkataramani et al., "AxNN: energy-efficient neuromorphic systems using approximate computing",
    ISLPED 2014; reconstructed from a description of the method.
    """

    kind: ClassVar[str] = "gradient"

    def of_channels(self, outputs: Tensor, gradients: Tensor) -> Tensor:
        """See `FeltCriterion.of_channels`."""
        return gradients.abs().sum(2)
