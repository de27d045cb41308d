"""Layer-wise relevance propagation by the epsilon rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from laxity.core.errors import ConfigError
from laxity.relevance.criterion import CRITERIA
from laxity.relevance.lrp.criterion import LayerwiseRelevance
from laxity.relevance.lrp.method import Flow, Method, Product, Total, cascaded, ratio, summed


@CRITERIA.register("lrp_epsilon")
@dataclass(frozen=True)
class LrpEpsilon(LayerwiseRelevance):
    """``R_i = sum_j a_i w_ij / (z_j + epsilon sign(z_j)) R_j`` with ``z_j = sum_i a_i w_ij + b_j``.

    Attributes:
        epsilon: not negative, in units of a layer's sums; what it holds back is absorbed, as is the share of biases.
        cancelling: from 0 to 1; summands of plain sums (residual additions, means) are each enlarged by this fraction
            of themselves in the direction of the sum, so that shares stay bounded where summands cancel.

    Raises:
        ConfigError: a number is out of range.

    Source: S. Bach et al., "On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
    propagation", PLoS ONE 10(7), 2015, equation 58. The division of plain sums is our own.
    """

    kind: ClassVar[str] = "lrp_epsilon"

    epsilon: float = 0.01
    cancelling: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon < float("inf"):
            raise ConfigError(f"epsilon of 'lrp_epsilon' is a finite number from 0, not {self.epsilon}")
        if not 0 <= self.cancelling <= 1:
            raise ConfigError(f"cancelling of 'lrp_epsilon' is from 0 to 1, not {self.cancelling}")

    def method(self) -> Method:
        """See `LayerwiseRelevance.method`."""
        return EpsilonRule(self.epsilon, self.cancelling)


@dataclass(frozen=True, slots=True)
class EpsilonRule(Method):
    """See `LrpEpsilon`."""

    epsilon: float
    cancelling: float

    @property
    def counts_constants(self) -> bool:
        """See `Method.counts_constants`."""
        return True

    def weighted(self, product: Product, inputs: Tensor, weight: Tensor, bias: Tensor | None, back: Tensor) -> Flow:
        """See `Method.weighted`."""
        leaf = inputs.detach().requires_grad_()
        with torch.enable_grad():
            sums = product(leaf, weight)
        z = sums.detach() if bias is None else sums.detach() + bias
        per_unit = ratio(back, z + self.epsilon * _direction(z))
        (found,) = torch.autograd.grad(sums, leaf, per_unit)
        held = summed(back - z * per_unit)
        return [inputs * found], held if bias is None else held + summed(bias * per_unit)

    def divided(self, total: Total, parts: Sequence[Tensor], back: Tensor) -> list[Tensor]:
        """See `Method.divided`."""
        sizes = [part.abs() for part in parts]
        leaves = [torch.zeros_like(part).requires_grad_() for part in parts]
        with torch.enable_grad():
            none = total(*leaves)
        z = total(*parts)
        towards = _direction(z)
        sums = z + self.cancelling * towards * total(*sizes)
        per_unit = ratio(back, sums)
        plain = torch.autograd.grad(none, leaves, per_unit, retain_graph=True)
        aside = torch.autograd.grad(none, leaves, towards * per_unit)
        found = [p * g + self.cancelling * s * h for p, s, g, h in zip(parts, sizes, plain, aside, strict=True)]
        rest = cascaded(total, [sizes], torch.where(sums == 0, back, 0.0))
        return [f + r for f, r in zip(found, rest, strict=True)]


def _direction(sums: Tensor) -> Tensor:
    """Sign of each sum, 1 for 0."""
    return torch.where(sums < 0, -1.0, 1.0).to(sums.dtype)
