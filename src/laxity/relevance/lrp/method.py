"""What distinguishes rules of relevance: how it is divided among the summands of a weighted sum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Flow = tuple[list[Tensor], float]
"""Relevance of the inputs of a node, and what is absorbed there, by biases, constants or a stabiliser."""

Product = Callable[[Tensor, Tensor], Tensor]
"""A map that is linear in its activation and in its weight, such as a convolution without bias."""

Total = Callable[..., Tensor]
"""A sum with coefficients that are not negative: an addition, a mean, an average pooling."""


class Method(ABC):
    """How relevance is divided; everything else about the walk is common to all methods."""

    @property
    @abstractmethod
    def counts_constants(self) -> bool:
        """Whether biases and other constants are given a share, which is then absorbed."""

    @abstractmethod
    def weighted(self, product: Product, inputs: Tensor, weight: Tensor, bias: Tensor | None, back: Tensor) -> Flow:
        """Divide the relevance of weighted sums of activations.

        Args:
            product: maps activations and weight to the sums.
            inputs: activations.
            weight: of the layer.
            bias: broadcasts with the sums, or None.
            back: relevance of the sums.

        Returns:
            Relevance of the activations, as a list of one, and what is absorbed.
        """

    @abstractmethod
    def divided(self, total: Total, parts: Sequence[Tensor], back: Tensor) -> list[Tensor]:
        """Divide the relevance of plain sums among their parts, so that nothing is lost, however the parts cancel.

        Args:
            total: maps the parts to the sums.
            parts: the summands.
            back: relevance of the sums.
        """


def summed(tensor: Tensor) -> float:
    """Sum of all elements, in float64."""
    return float(tensor.sum(dtype=torch.float64))


def ratio(back: Tensor, sums: Tensor) -> Tensor:
    """Relevance per unit of the sums; 0 where the sum is 0."""
    return torch.where(sums == 0, 0.0, back / torch.where(sums == 0, 1.0, sums))


def proportional(total: Total, weights: Sequence[Tensor], back: Tensor) -> tuple[list[Tensor], Tensor]:
    """Divide relevance in proportion to weights that are not negative.

    Returns:
        Relevance of the parts, and that of sums whose weights are all 0, which remains to be divided.
    """
    leaves = [w.detach().requires_grad_() for w in weights]
    with torch.enable_grad():
        sums = total(*leaves)
    found = torch.autograd.grad(sums, leaves, ratio(back, sums.detach()))
    return [(w * g).detach() for w, g in zip(leaves, found, strict=True)], torch.where(sums == 0, back, 0.0)


def cascaded(total: Total, choices: Sequence[Sequence[Tensor]], back: Tensor) -> list[Tensor]:
    """Divide relevance in proportion to the first choice of weights, what cannot be divided so to the next, and so on.

    Whatever remains after all of them is divided equally.
    """
    parts = [torch.zeros_like(w) for w in choices[0]]
    for weights in (*choices, [torch.ones_like(w) for w in choices[0]]):
        if not bool(back.any()):
            break
        found, back = proportional(total, weights, back)
        parts = [p + f for p, f in zip(parts, found, strict=True)]
    return parts
