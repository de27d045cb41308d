"""What one pass of the exact quantised network tells about the operands of its sites, and what its predictions feel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from laxity.techniques.data.codes import IntegerOperands

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Feeling:
    """How logits move with the outputs of one site, to first order, sample by sample.

    For the classes that the exact network finds most likely, with J the derivative of a logit with respect to an output
    of the site and y that output without bias: what is kept are sums over all places at which a kernel's output stands.

    Attributes:
        constant: float32 (samples, classes, kernels), the sum of J.
        linear: of the same shape, the sum of J y.
        square: of the same shape, the sum of J^2.
    """

    constant: Tensor
    linear: Tensor
    square: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SiteObservation:
    """Operands of one site, as codes, and the exact sums they give.

    A layer has one matrix per group, with one row per place and one column per kernel of the group. A product of two
    activations has as many matrices as were sampled; its outputs have no kernels to tell apart and count as one.

    Attributes:
        site: name.
        operand: coders of both operands.
        left: codes (matrices, places, reduction), float32.
        right: codes (matrices, reduction, columns), float32: the weights of a layer.
        histogram: how often each input code occurs, from the least code on, with padding; adds up to 1.
        right_histogram: the same for the codes of the right operand.
        sums: exact sums (matrices, places, columns), float64, zero-points taken off.
        unit: float32 (kernels,), what one unit of a sum is at the output of the site.
        products: of two activations.
        feeling: None where it was not asked for.
    """

    site: str
    operand: IntegerOperands
    left: Tensor
    right: Tensor
    histogram: FloatArray
    right_histogram: FloatArray
    sums: Tensor
    unit: Tensor
    products: bool
    feeling: Feeling | None

    @property
    def kernels(self) -> int:
        """Number of kernels that are told apart."""
        return 1 if self.products else self.right.shape[0] * self.right.shape[2]

    @property
    def reduction(self) -> int:
        """Products per sum."""
        return self.left.shape[2]

    def by_kernel(self, values: Tensor) -> Tensor:
        """Bring (matrices, places, columns) into (places, kernels)."""
        return values.reshape(-1, 1) if self.products else values.transpose(0, 1).flatten(1)


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """Everything that error models need to know about a network; nothing in it depends on a multiplier.

    Attributes:
        sites: in order of execution.
        logits: of the exact quantised network for the samples whose feeling is known, float32 (samples, classes).
        classes: int64 (samples, felt classes), the classes to which the features belong, from the most likely on.
    """

    sites: dict[str, SiteObservation]
    logits: Tensor
    classes: Tensor


def histogram_of(codes: Tensor, low: int, high: int) -> FloatArray:
    """How often each whole number from `low` to `high` occurs in `codes`, float64 counts."""
    counts: FloatArray = torch.bincount((codes.reshape(-1) - low).to(torch.int64), minlength=high - low + 1).numpy()
    return counts.astype(np.float64)
