"""Which entries of a tensor belong to which sample of the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.core.errors import PlanError


@dataclass(frozen=True, slots=True)
class Layout:
    """Samples along one dimension, alone or together with something else.

    Attributes:
        axis: the dimension.
        samples: their number.
        outer: samples change more slowly than what shares the dimension with them.
    """

    axis: int
    samples: int
    outer: bool

    def first(self, values: Tensor) -> Tensor:
        """Bring samples to the first dimension: (samples, ...)."""
        rest = values.shape[self.axis] // self.samples
        sizes = (self.samples, rest) if self.outer else (rest, self.samples)
        return values.unflatten(self.axis, sizes).movedim(self.axis + (not self.outer), 0)


def layout_of(reach: Tensor, samples: int, site: str) -> Layout:
    """Find the layout of samples from what reaches the prediction for the first one of them.

    Networks keep samples apart, so that the derivative of the first sample's logits is 0 wherever another sample is.

    Args:
        reach: that derivative with respect to an output of `site`, kernels in the last dimension.
        samples: in the batch.
        site: named in errors.

    Raises:
        PlanError: no dimension holds the samples, or predictions depend on several samples.
    """
    for layout in _candidates(reach.shape[:-1], samples):
        if not bool(torch.any(layout.first(reach)[1:] != 0)):
            return layout
    raise PlanError(
        f"the output of site {site!r}, shape {tuple(reach.shape)} with kernels last, has no dimension for the "
        f"{samples} inputs, or mixes them, so what single predictions feel cannot be told; use felt_samples=0"
    )


def _candidates(shape: torch.Size, samples: int) -> Iterator[Layout]:
    """Layouts that a tensor's shape allows, plain ones first."""
    for axis, size in enumerate(shape):
        if size == samples:
            yield Layout(axis, samples, outer=True)
    for axis, size in enumerate(shape):
        if size > samples and size % samples == 0:
            yield Layout(axis, samples, outer=True)
            yield Layout(axis, samples, outer=False)
