"""The extreme value of a weighted sum of probabilities that evidence from all strata together still allows.

Every stratum has a curve: how strongly its outcomes speak against each value of its probability, in natural logarithms.
An interval of the weighted sum is the set of sums of values whose evidence adds up to no more than a budget. That is
the union over all ways to share the budget out, which is never wider than one fixed way with the same budget, such as
Bonferroni's. The search is exact up to a grid, and rounded outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laxity.statistics.interval import Values

CELLS = 1024
"""Of the grid on which sums of several strata are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Candidate values and the evidence against them.

    Attributes:
        values: ascending, float64 (n,), already multiplied by the weight of the stratum.
        evidence: natural logarithms, float64 (n,). Between two neighbours it must be nowhere smaller than at the one of
            them where it is smaller: true for monotone curves, and for convex ones whose least point is on the grid.
    """

    values: Values
    evidence: Values


def largest(curves: Sequence[Curve], budget: float) -> float:
    """Largest sum of one value per curve whose evidence adds up to at most the budget."""
    values, costs = _stairs(curves[0].values, curves[0].evidence)
    for number, curve in enumerate(curves[1:], 2):
        more, cost = _stairs(curve.values, curve.evidence)
        if number == len(curves):
            return _best_pair(values, costs, more, cost, budget)
        values, costs = _merge(values, costs, more, cost)
    return float(values[costs <= budget].max(initial=values[0]))


def smallest_sum(curves: Sequence[Curve], budget: float) -> float:
    """Smallest sum of one value per curve whose evidence adds up to at most the budget."""
    return -largest([Curve(-c.values[::-1], c.evidence[::-1]) for c in curves], budget)


def _stairs(values: Values, evidence: Values) -> tuple[Values, Values]:
    """Upper ends of the cells, and the least evidence against anything from there on, which does not fall."""
    upper = np.concatenate([values[1:], values[-1:]])
    cost = np.minimum(evidence, np.concatenate([evidence[1:], evidence[-1:]]))
    return upper, np.minimum.accumulate(cost[::-1])[::-1]


def _best_pair(values: Values, costs: Values, more: Values, cost: Values, budget: float) -> float:
    last = np.searchsorted(cost, budget - costs, side="right") - 1
    possible = last >= 0
    if not possible.any():  # everything is excluded: fall back to the least contradicted values
        return float(values[0] + more[0])
    return float((values[possible] + more[last[possible]]).max())


def _merge(values: Values, costs: Values, more: Values, cost: Values) -> tuple[Values, Values]:
    """Stairs of sums: sums are rounded up to a grid, and each keeps its least evidence."""
    sums, total = np.add.outer(values, more).ravel(), np.add.outer(costs, cost).ravel()
    start, end = float(sums.min()), float(sums.max())
    if start == end:
        return np.array([end]), np.array([float(total.min())])
    # Rounded up, with a margin for the rounding of the division itself.
    cells = np.ceil((sums - start) * ((CELLS - 1) / (end - start)) + 1e-9).astype(np.int64)
    least = np.full(CELLS, np.inf)
    np.minimum.at(least, np.minimum(cells, CELLS - 1), total)
    return np.linspace(start, end, CELLS), np.minimum.accumulate(least[::-1])[::-1]
