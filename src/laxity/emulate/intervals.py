"""Which residuals of checksums are no alarm: from tables of errors, and from calibration data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from laxity.core.errors import DataError, PlanError
from laxity.emulate.checksum import Checksums, FloatArray
from laxity.emulate.layer import EmulatedLayer
from laxity.techniques.data.codes import IntegerOperands
from laxity.techniques.hardware.abft import ChecksumGuard, positions

_ROUNDING = 1 + 1e-9
"""The largest deviation that was seen lies inside the interval that is made of it."""

_LEAST_SPREAD = 1e-3
"""Of a position, as a fraction of the mean over positions: where calibration data hardly vary, others may."""


class CodeCounts:
    """How often each input code of a layer occurs."""

    def __init__(self, layer: EmulatedLayer) -> None:
        assert isinstance(layer.operand, IntegerOperands)  # the caller has looked
        self._coder = layer.operand.input
        first, last = self._coder.code_range
        self._first, self._counts = first, np.zeros(last - first + 1, np.int64)

    def see(self, x: Tensor) -> None:
        """Count codes of inputs."""
        codes = (self._coder.codes(x).reshape(-1).cpu().numpy() - self._first).astype(np.int64)
        self._counts += np.bincount(codes, minlength=len(self._counts))

    @property
    def shares(self) -> FloatArray:
        """Of each code, float64 (codes,), adding up to 1; equal ones where nothing was seen."""
        counts = self._counts if self._counts.any() else np.ones_like(self._counts)
        return counts / counts.sum()


def fit_slopes(layer: EmulatedLayer, shares: FloatArray) -> None:
    """Set the slopes of a fitted checksum filter: least squares of errors on codes as often as they occur, rounded."""
    guard = guard_of(layer)
    guard.slopes.zero_()
    errors = Checksums(layer).errors()
    assert isinstance(layer.operand, IntegerOperands)  # errors() has a table
    first, last = layer.operand.input.code_range
    codes = np.arange(first, last + 1)
    centred = codes - shares @ codes
    variance = float(shares @ centred**2)
    slopes = errors @ (shares * centred) / variance if variance > 0 else np.zeros(errors.shape[:2])
    guard.slopes.copy_(torch.from_numpy(np.rint(slopes)))


def accept_possible(layer: EmulatedLayer) -> None:
    """Accept what any operands can give: least and greatest error at every place, added over the places."""
    errors = Checksums(layer).errors()
    _accept(layer, float(errors.min(2).sum(1).min()), float(errors.max(2).sum(1).max()))


def accept_predicted(layer: EmulatedLayer, shares: FloatArray) -> None:
    """Accept mean and deviations under independent operands, as many as a normal residual exceeds rarely enough.

    The share of false alarms is divided among the positions and both sides.
    """
    guard = guard_of(layer)
    errors = Checksums(layer).errors()
    mean = errors @ shares
    variance = (errors - mean[:, :, None]) ** 2 @ shares
    each = guard.checking.false_alarms / (2 * positions(layer.site.op))
    reach = -float(ndtri(each)) * guard.checking.margin * np.sqrt(variance.sum(1))
    centre = mean.sum(1)
    _accept(layer, float((centre - reach).min()), float((centre + reach).max()))


def _accept(layer: EmulatedLayer, low: float, high: float) -> None:
    guard = guard_of(layer)
    half = 2.0 ** (guard.checking.bits - 1)
    if low < -half or high >= half:
        needed = math.ceil(math.log2(max(-low, high + 1))) + 1
        raise PlanError(
            f"errors of the sums at site {layer.site.name!r} reach from {low:.3g} to {high:.3g}, more than "
            f"{guard.checking.bits} bits tell apart; set bits of 'abft' to {needed} or more"
        )
    guard.accept(torch.tensor([low], dtype=torch.float64), torch.tensor([high], dtype=torch.float64))


class Deviations:
    """Residuals of calibration data: the first part tells where they lie, the second how far they stray from there.

    What the second part says holds for further samples that are drawn like these, because the first part knows nothing
    of it: the largest of n deviations is exceeded by the next one with probability 1 / (n + 1).
    """

    def __init__(self, layer: EmulatedLayer) -> None:
        self._layer, self._checksums = layer, Checksums(layer)
        self._per_position = guard_of(layer).checking.granularity == "position"
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0
        self._count = 0
        self._place: tuple[Tensor, Tensor] | None = None
        self._scores: list[Tensor] = []

    def locate(self, x: Tensor) -> None:
        """See inputs of the first part."""
        found = self._residuals(x)
        self._sum, self._squares = self._sum + found.sum(0), self._squares + found.square().sum(0)
        self._count += len(found)

    def judge(self, x: Tensor) -> None:
        """See inputs of the second part."""
        if self._place is None:
            self._place = self._located()
        centre, spread = self._place
        self._scores.append(((self._residuals(x) - centre).abs() / spread).amax(1))

    def _residuals(self, x: Tensor) -> Tensor:
        found = self._checksums.residuals(x, self._checksums.clean(x)).values.double()
        if not bool(torch.isfinite(found).all()):
            raise DataError(
                f"outputs of site {self._layer.site.name!r} are not finite on the calibration data; check the inputs"
            )
        return found

    def _located(self) -> tuple[Tensor, Tensor]:
        """Centre and unit of deviations, float64 (1,) or (checks,)."""
        if not self._count:
            raise self._too_few()
        mean = torch.as_tensor(self._sum) / self._count
        if not self._per_position:
            return mean.mean().reshape(1), torch.ones(1, dtype=torch.float64)
        spread = (torch.as_tensor(self._squares) / self._count - mean**2).clamp_min(0).sqrt()
        floor = float(spread.mean()) * _LEAST_SPREAD
        return mean, spread.clamp_min(floor) if floor > 0 else torch.ones_like(spread)

    def settle(self) -> None:
        """Set the interval.

        Raises:
            DataError: there are too few inputs.
        """
        if self._place is None:
            raise self._too_few()
        guard, scores = guard_of(self._layer), torch.cat(self._scores)
        allowed = max(0, math.floor(guard.checking.false_alarms * (len(scores) + 1)) - 1)
        allowed = min(allowed, len(scores) - 1)
        reach = float(scores.sort(descending=True).values[allowed]) * guard.checking.margin * _ROUNDING
        centre, spread = self._place
        guard.accept(centre - reach * spread, centre + reach * spread)
        guard.samples.copy_(torch.tensor([len(scores), allowed]))

    def _too_few(self) -> DataError:
        return DataError(
            f"site {self._layer.site.name!r} measures the residuals of its checksums on two parts of the calibration "
            "data, and one of them did not reach it; give more inputs"
        )


def guard_of(layer: EmulatedLayer) -> ChecksumGuard:
    """The guard of a layer that has checksums."""
    assert isinstance(layer.guard, ChecksumGuard)  # so chosen
    return layer.guard


def parts(batches: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The first quarter of the inputs and the rest, in batches."""
    left = math.ceil(sum(map(len, batches)) / 4)
    first: list[Tensor] = []
    second: list[Tensor] = []
    for batch in batches:
        here, there = batch[:left], batch[left:]
        left -= len(here)
        first += [here] * bool(len(here))
        second += [there] * bool(len(there))
    return first, second
