"""How the range of an integer code is chosen from observed values."""

from __future__ import annotations

import torch
from torch import Tensor

METHODS = ("minmax", "percentile", "mse")
_SHRINK = torch.linspace(1.0, 0.2, 41)


def weight_ratio(weight: Tensor, levels: int, symmetric: bool, method: str, percentile: float) -> Tensor:
    """Fraction of each channel's full range that the codes should cover.

    Args:
        weight: float32 (channels, values).
        levels: largest code for symmetric codes, number of steps for affine codes.
        symmetric: codes in [-levels, levels], else [0, levels].
        method: ``minmax|percentile|mse``.
        percentile: fraction of magnitudes to keep inside the range.

    Returns:
        float32 (channels,) in (0, 1].
    """
    full = weight.abs().amax(1).clamp_min(1e-12)
    if method == "minmax":
        return torch.ones_like(full)
    if method == "percentile":
        return (torch.quantile(weight.abs(), percentile, dim=1) / full).clamp(1e-3, 1.0)
    low = torch.zeros_like(full) if symmetric else weight.amin(1).clamp_max(0)
    high = full if symmetric else weight.amax(1).clamp_min(0)
    best, error = torch.ones_like(full), torch.full_like(full, float("inf"))
    for factor in _SHRINK.to(weight.device):
        scale = ((high if symmetric else high - low) * factor / levels).clamp_min(1e-12)[:, None]
        zero = torch.zeros_like(scale) if symmetric else torch.round(-low[:, None] * factor / scale)
        codes = torch.clamp(torch.round(weight / scale) + zero, -levels if symmetric else 0, levels)
        trial = ((codes - zero) * scale - weight).square().sum(1)
        better = trial < error
        best, error = torch.where(better, factor, best), torch.where(better, trial, error)
    return best


def input_limits(
    values: Tensor, levels: int, method: str, percentile: float, *, centred: bool = False
) -> tuple[float, float]:
    """Lowest and highest activation that the codes should represent; zero is always inside.

    Args:
        values: float32 (n,), a sample of what was observed, holding its true minimum and maximum.
        levels: number of steps between the limits.
        method: ``minmax|percentile|mse``.
        percentile: fraction of values to keep inside the range, used by ``percentile``.
        centred: the codes will cover a range that is symmetric around zero.
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if method == "percentile":
        tail = torch.quantile(values, torch.tensor([1 - percentile, percentile], device=values.device))
        return min(float(tail[0]), 0.0) if low < 0 else 0.0, max(float(tail[1]), 0.0) or high
    if method == "mse" and high > low:
        low, high = (min(low, -high), max(high, -low)) if centred else (low, high)
        errors = []
        for factor in _SHRINK.tolist():
            scale = (high - low) * factor / levels
            zero = round(-low * factor / scale)
            codes = torch.clamp(torch.round(values / scale) + zero, 0, levels)
            errors.append(float(((codes - zero) * scale - values).square().mean()))
        factor = _SHRINK[errors.index(min(errors))].item()
        return low * factor, high * factor
    return low, high
