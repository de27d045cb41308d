"""How well scores order what really fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from laxity.core.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def area_under_roc(scores: FloatArray, events: BoolArray) -> float:
    """Probability that an event has a higher score than what is none, ties counting half; NaN where one is missing.

    Source: the Mann-Whitney statistic; J. A. Hanley, B. J. McNeil, Radiology 143, 1982.
    """
    positive = int(events.sum())
    negative = len(events) - positive
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[events].sum() - positive * (positive + 1) / 2) / (positive * negative))


def spearman(first: FloatArray, second: FloatArray) -> float:
    """Rank correlation, ties in the middle; NaN where one of both does not vary or fewer than two are given."""
    if len(first) < 2:
        return float("nan")
    a, b = (rankdata(x) - (len(x) + 1) / 2 for x in (first, second))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Faults by what they strike, for example layers or filters.

    Attributes:
        group: of each fault, int64 (n,), from 0 without gaps.
        place: of each group, the number of its layer, int64 (groups,).
        unit: of each group, the number of its filter or neuron, int64 (groups,); -1 for a whole layer.
    """

    group: IntArray
    place: IntArray
    unit: IntArray

    @staticmethod
    def layers(place: IntArray) -> Groups:
        """One group per layer that is struck."""
        found, group = np.unique(place, return_inverse=True)
        return Groups(group.reshape(-1), found, np.full(len(found), -1))

    @staticmethod
    def units(place: IntArray, unit: IntArray) -> Groups:
        """One group per filter or neuron that is struck."""
        found, group = np.unique(np.stack([place, unit]), axis=1, return_inverse=True)
        return Groups(group.reshape(-1), found[0], found[1])

    def means(self, values: FloatArray | BoolArray, cap: float = np.inf) -> FloatArray:
        """Mean of each group, float64 (groups,); values above the cap count as the cap."""
        size = np.bincount(self.group, minlength=len(self.place))
        return np.bincount(self.group, np.minimum(values.astype(np.float64), cap), len(self.place)) / size

    def sizes(self) -> IntArray:
        """Number of faults in each group."""
        return np.bincount(self.group, minlength=len(self.place)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ProtectionCurve:
    """What is saved when what has the highest scores is protected first.

    Attributes:
        protected: share of the faults whose target is protected, increasing from 0 to 1.
        removed: share of the events that do not happen then.
    """

    protected: FloatArray
    removed: FloatArray

    @property
    def area(self) -> float:
        """Area under the curve: 0.5 for protection at random, on average."""
        return float(np.trapezoid(self.removed, self.protected))

    def at(self, share: float) -> float:
        """Share of the events removed where this share of the faults is protected against."""
        return float(np.interp(share, self.protected, self.removed))


def protection_curve(scores: FloatArray, size: IntArray | FloatArray, events: IntArray | FloatArray) -> ProtectionCurve:
    """Protect groups of faults from the highest score down; groups of equal score together, in proportion.

    Args:
        scores: of each group, (groups,).
        size: what its protection costs, for example its number of faults, (groups,).
        events: in each group, (groups,).

    Raises:
        DataError: there is no event or no fault, or a number is negative.
    """
    total, hit = float(np.sum(size)), float(np.sum(events))
    if total <= 0 or hit <= 0 or np.min(size) < 0 or np.min(events) < 0:
        raise DataError("a protection curve needs groups with faults and at least one event; take more faults")
    _, level = np.unique(-scores, return_inverse=True)
    level = level.reshape(-1)
    protected = np.cumsum(np.bincount(level, size)) / total
    removed = np.cumsum(np.bincount(level, events)) / hit
    return ProtectionCurve(np.concatenate([[0.0], protected]), np.concatenate([[0.0], removed]))
