"""Whether the faults of a campaign were drawn from the population that its report names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc

from laxity.core.errors import ConfigError, DataError

LEAST_EXPECTED = 5.0
"""Draws that a cell must expect for the chi-square distribution to fit.

Source: W. G. Cochran, Annals of Mathematical Statistics 23 (1952) 315."""

SUSPICIOUS = 1e-3
"""p-value below which a sample is taken not to come from the declared population."""


@dataclass(frozen=True, slots=True)
class PopulationCheck:
    """Result of a chi-square test of goodness of fit.

    Attributes:
        statistic: sum over cells of (seen - expected) ** 2 / expected.
        cells: after pooling.
        pooled: cells that were put together because they expect few draws.
        p_value: probability of so large a statistic if the population is the declared one.
        worst: name of the cell that contributes most.
        draws: in all.
    """

    statistic: float
    cells: int
    pooled: int
    p_value: float
    worst: str
    draws: int

    @property
    def plausible(self) -> bool:
        """Whether the sample may come from the declared population."""
        return self.p_value >= SUSPICIOUS


def check_population(seen: Mapping[str, int], declared: Mapping[str, float]) -> PopulationCheck:
    """Compare drawn fault sites with the declared population.

    Cells that expect fewer than 5 draws are pooled into one; if that still expects too few, it joins the smallest other
    cell.

    Args:
        seen: number of draws by cell, for example by layer or by bit.
        declared: share of each cell in the population, or any numbers in proportion to it, for example bits per layer.

    Raises:
        ConfigError: the declaration has negative or no shares.
        DataError: a draw from a cell that the population does not have, or too few draws for a test.

    Source: K. Pearson, Philosophical Magazine 50 (1900) 157.
    """
    weights = np.array([declared[name] for name in declared], np.float64)
    if not (weights.size and np.all(np.isfinite(weights) & (weights >= 0)) and weights.sum() > 0):
        raise ConfigError("a declared population has shares of at least 0 and more than 0 in all")
    outside = [name for name, n in seen.items() if n and declared.get(name, 0) == 0]
    if outside:
        raise DataError(f"faults were drawn in {outside[0]!r}, which the declared population does not contain")
    names = [name for name in declared if declared[name] > 0]
    counts = np.array([seen.get(name, 0) for name in names], np.float64)
    draws = counts.sum()
    expected = draws * weights[weights > 0] / weights.sum()
    names, counts, expected, pooled = _pool(names, counts, expected)
    if len(names) < 2:
        raise DataError(f"{draws:g} draws are too few to test a population of {len(declared)} cells")
    parts = (counts - expected) ** 2 / expected
    statistic = float(parts.sum())
    p_value = float(gammaincc((len(names) - 1) / 2, statistic / 2))
    return PopulationCheck(statistic, len(names), pooled, p_value, names[int(parts.argmax())], int(draws))


def _pool(names: list[str], counts: np.ndarray, expected: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray, int]:
    few = expected < LEAST_EXPECTED
    if not few.any():
        return names, counts, expected, 0
    kept = [name for name, small in zip(names, few, strict=True) if not small]
    counts, rest_counts = counts[~few], float(counts[few].sum())
    expected, rest = expected[~few], float(expected[few].sum())
    if rest >= LEAST_EXPECTED or not kept:
        return [*kept, "small cells"], np.append(counts, rest_counts), np.append(expected, rest), int(few.sum())
    smallest = int(expected.argmin())
    counts[smallest] += rest_counts
    expected[smallest] += rest
    return kept, counts, expected, int(few.sum()) + 1
