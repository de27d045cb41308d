"""Repair plans by fine-tuning, and find the cheapest one that fits the budget afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.search.pareto import front
from laxity.search.pool import Pool

_PER_ROUND = 2


def recover(
    found: Sequence[Evaluation],
    pool: Pool,
    recovery: Recovery,
    *,
    rounds: int,
    fits: Callable[[Evaluation], bool],
    what: str,
) -> list[Evaluation]:
    """Fine-tune non-dominated plans, two per round, closing in on the cheapest that fits the budget.

    The front is ordered by energy. Each round splits what is left of it in three; where a repaired plan fits, the
    search goes on among cheaper ones, where none fits, among dearer ones.

    Args:
        found: evaluations of unrepaired plans.
        pool: runs the repairs.
        recovery: how to repair.
        rounds: number of rounds.
        fits: whether an evaluation is within the budget.
        what: shown with the progress.

    Returns:
        The evaluations of all repaired plans.
    """
    ordered = front([e for e in found if e.energy_ratio < 1], lambda e: (e.energy_ratio, e.divergence))
    low, high = 0, len(ordered)
    results: list[Evaluation] = []
    for number in range(rounds):
        left = high - low
        if left <= 0:
            break
        picks = sorted({low + (i + 1) * left // (_PER_ROUND + 1) for i in range(_PER_ROUND)})
        picks = [p for p in picks if low <= p < high] or [low]
        plans = [Plan.from_json(ordered[p].plan).with_recovery(recovery) for p in picks]
        repaired = pool.run(plans, "recovery", f"{what}, repair round {number + 1}")
        results.extend(repaired)
        fitting = [p for p, e in zip(picks, repaired, strict=True) if fits(e)]
        if fitting:
            above = [p for p in picks if p < fitting[0]]
            low, high = (above[-1] + 1 if above else low), fitting[0]
        else:
            low = picks[-1] + 1
    return results
