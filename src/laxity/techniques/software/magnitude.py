"""STRUCTURE: class-blind global magnitude pruning with masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer

INDEX_BITS = 4


class Mask(nn.Module):
    """Multiplies a weight by a fixed 0/1 mask; the gradient of removed weights is zero."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight, same shape."""
        return weight * self.mask


@TECHNIQUES.register("magnitude")
@dataclass(frozen=True)
class MagnitudePruning(Approximation):
    """Remove the smallest weights of all layers that carry this choice, by one common threshold.

    The threshold does not look at layers ("class-blind"): each weight is compared after division by the root mean
    square of its layer if `normalised`, else as it is.

    Attributes:
        density: fraction of weights that stay, in (0, 1].
        normalised: compare magnitudes relative to their layer, so that no layer is emptied by its scale alone.

    Source: M. A. Hanif, R. Hafiz, M. Shafique and co-authors, PruNet (IJCNN 2018), class-blind magnitude pruning;
    reconstructed from its abstract.
    """

    kind: ClassVar[str] = "magnitude"
    slot: ClassVar[Slot] = Slot.STRUCTURE

    density: float = 0.5
    normalised: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.density <= 1:
            raise PlanError(f"density of 'magnitude' is a fraction in (0, 1], not {self.density}")

    def label(self) -> str:
        """For example ``50% kept``."""
        return f"{self.density:.0%} kept"

    @torch.no_grad()
    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Rank all weights together and give every layer its mask; of equal weights those of earlier layers stay."""
        scores = []
        for layer in layers:
            weight = layer.weight.detach().abs()
            scores.append(weight / weight.square().mean().sqrt().clamp_min(1e-12) if self.normalised else weight)
        pooled = torch.cat([s.flatten() for s in scores])
        keep = max(1, round(self.density * pooled.numel()))
        chosen = torch.argsort(pooled, descending=True, stable=True)[:keep]
        kept = torch.zeros_like(pooled).index_fill_(0, chosen, 1.0).split([s.numel() for s in scores])
        for layer, mask in zip(layers, kept, strict=True):
            layer.structure = Mask(mask.reshape(layer.weight.shape))

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Store non-zero weights with a relative index, unless dense storage is smaller.

        Source of the index width: S. Han, H. Mao, W. J. Dally, Deep Compression (ICLR 2016), 4-bit relative indices.
        """
        nonzeros = int(facts["weight_nonzeros"])
        sparse = nonzeros * (demand.weight_bits + INDEX_BITS) < demand.weight_elements * demand.weight_bits
        return replace(demand, weight_nonzeros=nonzeros, index_bits=INDEX_BITS if sparse else 0)

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """Densities from 80 % down to 10 %."""
        return [cls(density) for density in (0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1)]
