"""The sums over operand pairs from which every error metric follows, filled part by part."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Weight = float | FloatArray | tuple[FloatArray, FloatArray]
"""Weight of each pair: one for all, an array of their shape, or factors of the rows and of the columns."""


@dataclass(slots=True)
class ErrorSums:
    """Weighted sums over operand pairs; e is approximate minus exact, y the exact result.

    Attributes:
        weight: of all pairs.
        defined: of the pairs with y != 0.
        wrong: of the pairs with e != 0.
        distance: sum of |e|.
        error: sum of e.
        square: sum of e^2.
        relative: sum of |e| / |y| over y != 0.
        signed_relative: sum of e / y over y != 0.
        worst: largest |e| over pairs of positive weight.
        worst_relative: largest |e| / |y| over those with y != 0.
        pairs: number of pairs.
    """

    weight: float = 0.0
    defined: float = 0.0
    wrong: float = 0.0
    distance: float = 0.0
    error: float = 0.0
    square: float = 0.0
    relative: float = 0.0
    signed_relative: float = 0.0
    worst: int = 0
    worst_relative: float = 0.0
    pairs: int = 0

    def add(self, result: IntArray, exact: IntArray, weight: Weight = 1.0) -> None:
        """Add pairs.

        Args:
            result: approximate results, of one shape with `exact`; two-dimensional where `weight` is two factors.
            exact: exact results.
            weight: of the pairs.
        """
        total, defined, used = _weights(exact, weight)
        self.weight += total
        self.defined += defined
        self.pairs += int(exact.size if used is None else np.count_nonzero(used))
        difference = result - exact
        if not difference.any():
            return
        error = difference.astype(np.float64)
        ratio = np.divide(error, exact, out=np.zeros_like(error), where=exact != 0)
        distance, magnitude = np.abs(error), np.abs(ratio)
        self.wrong += _total((difference != 0).astype(np.float64), weight)
        self.distance += _total(distance, weight)
        self.error += _total(error, weight)
        self.square += _total(error * error, weight)
        self.relative += _total(magnitude, weight)
        self.signed_relative += _total(ratio, weight)
        self.peaks(distance if used is None else distance[used], magnitude if used is None else magnitude[used])

    def peaks(self, distance: FloatArray, relative: FloatArray) -> None:
        """Let |e| and |e| / |y| of some pairs count for the maxima only."""
        self.worst = max(self.worst, int(distance.max(initial=0.0)))
        self.worst_relative = max(self.worst_relative, float(relative.max(initial=0.0)))

    def merge(self, other: ErrorSums) -> None:
        """Add the pairs of another."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, max(mine, theirs) if field.name.startswith("worst") else mine + theirs)


def _total(values: FloatArray, weight: Weight) -> float:
    if isinstance(weight, tuple):
        return float(weight[0] @ values @ weight[1])
    if isinstance(weight, np.ndarray):
        return float(np.vdot(values, weight))
    return float(values.sum()) * weight


def _weights(exact: IntArray, weight: Weight) -> tuple[float, float, npt.NDArray[np.bool_] | None]:
    """Weight of all pairs, of those with y != 0, and which pairs have weight (None: all)."""
    if isinstance(weight, float):
        return weight * exact.size, weight * int(np.count_nonzero(exact)), None
    defined = _total((exact != 0).astype(np.float64), weight)
    if isinstance(weight, np.ndarray):
        return float(weight.sum()), defined, weight > 0
    rows, columns = weight
    used = None if rows.all() and columns.all() else np.multiply.outer(rows > 0, columns > 0)
    return float(rows.sum() * columns.sum()), defined, used
