"""First-order Taylor expansion: what removing a feature map does to the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from laxity.relevance.criterion import CRITERIA
from laxity.relevance.felt import FeltCriterion


@CRITERIA.register("taylor")
@dataclass(frozen=True)
class Taylor(FeltCriterion):
    """Mean over the samples of ``|sum_p a_p dL/da_p|``, p being the positions of the feature map.

    Source: P. Molchanov et al., "Pruning convolutional neural networks for resource efficient inference", ICLR 2017,
    equation 8, there with the mean over positions; the sum here lets maps of different sizes be compared by what their
    removal costs.
    """

    kind: ClassVar[str] = "taylor"

    def of_channels(self, outputs: Tensor, gradients: Tensor) -> Tensor:
        """See `FeltCriterion.of_channels`."""
        return (outputs * gradients).sum(2).abs()
