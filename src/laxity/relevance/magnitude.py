"""Size of the weights: a criterion that needs no data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from laxity.relevance.criterion import CRITERIA, Criterion, Scores, Subject


@CRITERIA.register("magnitude")
@dataclass(frozen=True)
class Magnitude(Criterion):
    """Sum of the absolute weights of a filter (L1 norm), after its batch norm has been folded into it.

    Source: H. Li et al., "Pruning filters for efficient ConvNets", ICLR 2017.
    """

    kind: ClassVar[str] = "magnitude"

    def scores(self, subject: Subject) -> Scores:
        """See `Criterion.scores`."""
        return {name: _norms(layer) for name, layer in subject.layers.items()}


def _norms(layer: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    weight: Tensor = layer.weight.detach().abs().to(torch.float64)
    if isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        weight = weight.unflatten(0, (layer.groups, -1)).transpose(1, 2).flatten(0, 1)
    norms: np.ndarray[Any, np.dtype[np.float64]] = weight.flatten(1).sum(1).cpu().numpy()
    return norms
