"""What calibration sees of an activation: its extremes and an even sample of its values."""

from __future__ import annotations

import torch
from torch import Tensor

_KEEP = 1 << 15
_MOST = 1 << 21


class Observer:
    """Collects the values that enter one site, bounded in memory and independent of batch size only up to sampling."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = []
        self._count, self._stride = 0, 1

    def update(self, x: Tensor) -> None:
        """Add one batch: its minimum, its maximum and evenly spaced values."""
        flat = x.detach().reshape(-1)
        if not flat.numel():
            return
        step = max(1, flat.numel() // _KEEP) * self._stride
        self._add(torch.cat([flat.min()[None], flat.max()[None], flat[::step]]))
        if self._count > _MOST:
            self._halve()

    def _add(self, values: Tensor) -> None:
        self._parts.append(values)
        self._count += values.numel()

    def _halve(self) -> None:
        """Keep the extremes and every second value, here and in what follows, so that the sample stays even."""
        values = torch.cat(self._parts)
        self._parts, self._count, self._stride = [], 0, 2 * self._stride
        self._add(torch.cat([values.min()[None], values.max()[None], values[::2]]))

    @property
    def reached(self) -> bool:
        """Whether any value was seen."""
        return bool(self._parts)

    def values(self) -> Tensor:
        """Everything collected, float32 (n,)."""
        return torch.cat(self._parts)
