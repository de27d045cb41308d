"""What calibration sees of an activation: its extremes and an even sample of its values."""

from __future__ import annotations

import torch
from torch import Tensor

_KEEP = 1 << 15


class Observer:
    """Collects the values that enter one site, bounded in memory and independent of batch size only up to sampling."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []

    def update(self, x: Tensor) -> None:
        """Add one batch: its minimum, its maximum and evenly spaced values."""
        flat = x.detach().reshape(-1)
        if not flat.numel():
            return
        step = max(1, flat.numel() // _KEEP)
        self._parts.append(torch.cat([flat.min()[None], flat.max()[None], flat[::step]]))

    @property
    def reached(self) -> bool:
        """Whether any value was seen."""
        return bool(self._parts)

    def values(self) -> Tensor:
        """Everything collected, float32 (n,)."""
        return torch.cat(self._parts)
