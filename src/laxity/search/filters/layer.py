"""One layer in a filter-wise search: its filters by relevance, the modes worth using, and what comes next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import ConfigError
from laxity.search.greedy import hull

_LEAST_PART, _FLATTEST, _STEEPEST = 1e-6, 0.5, 8.0
"""Bounds for what a probe says, which is noisy where harms are small."""

NEGLIGIBLE = 1e-9
"""Harm that is added to every move, so that among harmless ones those that save more come first."""


@dataclass(frozen=True, slots=True)
class Level:
    """All filters of a layer in one mode, everything else in the most exact one.

    Attributes:
        mode: its number.
        saving: energy saved against the most exact mode, as a fraction of the exact 8-bit network's.
        harm: divergence of the predictions above that of the most exact mode, in nats.
    """

    mode: int
    saving: float
    harm: float


EXACT = Level(0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Move:
    """A block of filters that is raised to its next mode.

    Attributes:
        site: of the layer.
        filters: numbers of the output channels.
        level: position of the new mode among those that are worth using.
        saving, harm: what that is expected to change.
    """

    site: str
    filters: tuple[int, ...]
    level: int
    saving: float
    harm: float

    @property
    def merit(self) -> float:
        """Expected saving per harm."""
        return self.saving / (max(self.harm, 0.0) + NEGLIGIBLE)


def exponent_of(fraction: float, harm: float, whole: float) -> float:
    """How fast the harm of a layer's least relevant filters grows with their number.

    1 where the order of the filters says nothing, more where the first ones hardly matter.

    Args:
        fraction: of the filters, in (0, 1), that were put into a mode, the least relevant ones.
        harm: what that did.
        whole: what all filters in that mode did.
    """
    if whole <= 0 or not 0 < fraction < 1:
        return 1.0
    part = min(max(harm / whole, _LEAST_PART), 1.0)
    return min(max(math.log(part) / math.log(fraction), _FLATTEST), _STEEPEST)


def _by_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares in proportion to relevance."""
    positive = np.clip(scores, 0.0, None)
    total = float(positive.sum())
    return positive / total if total > 0 else np.full(len(scores), 1.0 / len(scores))


def _by_rank(order: NDArray[np.int64], exponent: float) -> NDArray[np.float64]:
    """Shares by a power of the rank."""
    shares = np.empty(len(order))
    shares[order] = np.diff((np.arange(len(order) + 1) / len(order)) ** exponent)
    return shares


class Layer:
    """Filters of one site and the modes they are in.

    Harm of a whole layer in a mode is measured, and shared out among its filters; the saving is shared out evenly. Only
    modes on the lower convex hull of harm over saving are used: of others a mixture of two that are saves more for the
    same harm.

    Args:
        site: its name.
        scores: relevance of every filter, float64 (filters,), high where it matters; the least relevant come first.
        levels: the modes, see `Level`; those that save nothing are never used.
        exponent: the harm of the least relevant fraction q of the filters is taken to be ``q ** exponent`` of the
            whole layer's, see `exponent_of`; None shares harm out in proportion to the scores, of which negative ones
            count as nothing.

    Attributes:
        levels: modes in use, by rising saving; the first is the most exact one.

    Raises:
        ConfigError: a score is NaN or infinite, or there are none.
    """

    def __init__(
        self,
        site: str,
        scores: Sequence[float] | NDArray[np.float64],
        levels: Sequence[Level],
        exponent: float | None = None,
    ) -> None:
        self.site = site
        self.levels = (EXACT, *hull(levels))
        values = np.asarray(scores, dtype=np.float64)
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
            raise ConfigError(
                f"site {site!r} needs one finite score per filter, not an array of shape {values.shape}; give a vector"
            )
        self._order = np.argsort(values, kind="stable")
        self._shares = _by_scores(values) if exponent is None else _by_rank(self._order, exponent)
        self._at = np.zeros(len(values), dtype=np.int64)
        self._open = np.ones(len(values), dtype=np.bool_)

    def copy(self) -> Layer:
        """A layer in the same state, whose changes do not concern this one."""
        twin = object.__new__(Layer)
        twin.site, twin.levels, twin._order, twin._shares = self.site, self.levels, self._order, self._shares
        twin._at, twin._open = self._at.copy(), self._open.copy()
        return twin

    @property
    def modes(self) -> tuple[int, ...]:
        """Mode of every filter."""
        return tuple(self.levels[i].mode for i in self._at)

    def begin(self, mode: int) -> None:
        """Put all filters into a mode, or into the next milder one where it is not worth using."""
        self._at[:] = max(i for i, level in enumerate(self.levels) if level.mode <= mode)

    def lock(self, filters: Sequence[int] | None = None) -> None:
        """Leave filters as they are for good, all of them if None."""
        self._open[slice(None) if filters is None else list(filters)] = False

    def take(self, move: Move) -> None:
        """Raise the filters of a move."""
        self._at[list(move.filters)] = move.level

    def propose(self, block: float) -> Move | None:
        """The move with the best ratio of expected saving to harm, None where nothing is left.

        For every mode there is one candidate: of the filters in it, the least relevant `block`, a fraction of them and
        at least one, goes to the next mode.
        """
        moves = [m for m in (self._raise(level, block) for level in range(len(self.levels) - 1)) if m is not None]
        return max(moves, key=lambda m: (m.merit, -m.level), default=None)

    def _raise(self, level: int, block: float) -> Move | None:
        remaining = self._order[((self._at == level) & self._open)[self._order]]
        if not len(remaining):
            return None
        chosen = remaining[: max(1, round(block * len(remaining)))]
        before, after = self.levels[level], self.levels[level + 1]
        saving = (after.saving - before.saving) * len(chosen) / len(self._at)
        harm = (after.harm - before.harm) * float(self._shares[chosen].sum())
        return Move(self.site, tuple(chosen.tolist()), level + 1, saving, harm)
