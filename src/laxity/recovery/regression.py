"""The error of a sum as a function of the sum: clipped slope and offset, and what they leave unexplained."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.recovery.observation import SiteObservation

_CUTS = (0.0, 0.02, 0.1, 0.25)
"""Fractions of the sums that may lie beyond a clip, at each end."""

_GAIN = 0.01
"""Fraction of the squared residual that a clip inside the observed sums has to take away."""

_MOST = 1 << 14
_TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ErrorModel:
    """``eps = clip(slope y + offset, low, high) + eta`` with ``eta ~ N(0, residual_std^2)``.

    y is the exact sum of a site without bias; all but the slope is in units of (input code) x (weight code), so that
    the model holds while scales change. Slopes are piecewise linear: beyond the sums that were seen the error stays
    what it was at the last of them.

    Attributes:
        site: name.
        slope, offset, low, high, residual_std: float32 (1,), or (kernels,) where each kernel has a model of its own.
        r2: fraction of the variance of eps that the function explains, of all kernels together; 0 where eps is
            constant.

    Source: reconstructed from the abstract of C. De la Parra, A. Guntoro, A. Kumar, "Efficient accuracy recovery in
    approximate neural networks by systematic error modelling", ASP-DAC 2021, and confirmed by measurement only.
    """

    site: str
    slope: Tensor
    offset: Tensor
    low: Tensor
    high: Tensor
    residual_std: Tensor
    r2: float

    def predict(self, sums: Tensor) -> Tensor:
        """The expected error for exact sums (..., kernels), or (..., 1) and any number for a model of all kernels."""
        return torch.clamp(sums * self.slope + self.offset, self.low, self.high)


def fit(errors: Tensor, seen: SiteObservation, *, per_kernel: bool = False, clips: bool = True) -> ErrorModel:
    """Regress errors on exact sums by least squares.

    Args:
        errors: of the sums at the sampled outputs (matrices, places, columns), float64.
        seen: where they were sampled.
        per_kernel: one model for every kernel instead of one for all of them.
        clips: try clips at quantiles of the sums, and keep those that explain more than the straight line does;
            otherwise the line ends at the least and greatest sum.
    """
    y, eps = seen.by_kernel(seen.sums), seen.by_kernel(errors)
    if not per_kernel or seen.products:
        y, eps = y.reshape(-1, 1), eps.reshape(-1, 1)
    bottom, top = y.amin(0), y.amax(0)
    slope, offset, _ = _line(y, eps, bottom, top)
    if clips:
        slope, offset, bottom, top = _clipped(y, eps)
    ends = torch.stack([slope * bottom + offset, slope * top + offset])
    low, high = ends.amin(0), ends.amax(0)
    residual = eps - torch.clamp(y * slope + offset, low, high)
    squares = float(((eps - eps.mean()) ** 2).sum())
    left = float((residual**2).sum())
    r2 = max(0.0, 1 - left / squares) if squares > _TINY else 0.0
    spread = residual.square().mean(0).sqrt()
    return ErrorModel(seen.site, slope.float(), offset.float(), low.float(), high.float(), spread.float(), r2)


def _clipped(y: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slope, offset and the sums at which the line is clipped, float64 (kernels,) each.

    A line that is clipped at two sums is a straight line of the clipped sum: for given clips least squares has a
    closed form, and few pairs of clips are compared.
    """
    step = -(-len(y) // _MOST)
    some_y, some_eps = y[::step], eps[::step]
    cuts = torch.tensor(_CUTS, dtype=torch.float64)
    lows, highs = torch.quantile(some_y, cuts, dim=0), torch.quantile(some_y, 1 - cuts, dim=0)
    lows[0], highs[0] = y.amin(0), y.amax(0)
    best = _line(some_y, some_eps, lows[0], highs[0])
    limit = best[2] * (1 - _GAIN)
    chosen = [best[0], best[1], lows[0], highs[0]]
    for low, high in itertools.product(lows, highs):
        slope, offset, squares = _line(some_y, some_eps, low, high)
        better = squares < limit
        limit = torch.where(better, squares, limit)
        chosen = [torch.where(better, new, old) for new, old in zip((slope, offset, low, high), chosen, strict=True)]
    return chosen[0], chosen[1], chosen[2], chosen[3]


def _line(y: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Least squares of eps on y clipped: slope, offset, and the squared residual, float64 (kernels,)."""
    x = torch.clamp(y, low, high)
    mean_x, mean_eps = x.mean(0), eps.mean(0)
    dx, de = x - mean_x, eps - mean_eps
    variance = (dx * dx).sum(0)
    flat = variance <= _TINY * len(y)
    slope = torch.where(flat, 0.0, (dx * de).sum(0) / torch.where(flat, 1.0, variance))
    return slope, mean_eps - slope * mean_x, ((de - slope * dx) ** 2).sum(0)
