"""Random changes of training batches: shifts, crops and mirror images, drawn from a generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Shift:
    """Moves every image by up to `pixels` in both directions, filling with `fill`.

    Attributes:
        pixels: largest shift.
        fill: normalised value of the background.
        mirror: also mirrors every other image, on average, left to right.
    """

    pixels: int
    fill: float = 0.0
    mirror: bool = False

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return a changed copy of a batch float32 (N, C, H, W)."""
        count, _, height, width = inputs.shape
        padded = F.pad(inputs, [self.pixels] * 4, value=self.fill)
        offsets = torch.randint(0, 2 * self.pixels + 1, (2, count, 1), generator=generator)
        rows = torch.arange(height) + offsets[0]
        columns = torch.arange(width) + offsets[1]
        if self.mirror:
            flipped = torch.randint(0, 2, (count, 1), generator=generator).bool()
            columns = torch.where(flipped, columns.flip(1), columns)
        sample = torch.arange(count)[:, None, None]
        return padded[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
