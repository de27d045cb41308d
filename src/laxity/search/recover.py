"""Repair plans by fine-tuning, and find the cheapest one that fits the budget afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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
    search goes on among cheaper ones, where none fits, among dearer ones. Rounds that are left when nothing remains
    to be split give a second chance, with twice the epochs, to cheaper plans that failed most narrowly.

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
    used = 0
    while used < rounds and low < high:
        picks = sorted({low + (i + 1) * (high - low) // (_PER_ROUND + 1) for i in range(_PER_ROUND)})
        plans = [Plan.from_json(ordered[p].plan).with_recovery(recovery) for p in picks]
        used += 1
        repaired = pool.run(plans, "recovery", f"{what}, repair round {used}")
        results.extend(repaired)
        fitting = [p for p, e in zip(picks, repaired, strict=True) if fits(e)]
        if fitting:
            above = [p for p in picks if p < fitting[0]]
            low, high = (above[-1] + 1 if above else low), fitting[0]
        else:
            low = picks[-1] + 1
    if used < rounds:
        longer = replace(recovery, epochs=2 * recovery.epochs)
        again = _narrow_failures(results, fits, (rounds - used) * _PER_ROUND)
        plans = [Plan.from_json(e.plan).with_recovery(longer) for e in again]
        results.extend(pool.run(plans, "recovery", f"{what}, second chance"))
    return results


def _narrow_failures(results: Sequence[Evaluation], fits: Callable[[Evaluation], bool], most: int) -> list[Evaluation]:
    """Plans cheaper than every fitting one, those that lost least accuracy first."""
    bar = min((e.energy_ratio for e in results if fits(e)), default=1.0)
    failed = [e for e in results if e.energy_ratio < bar and not fits(e)]
    return sorted(failed, key=lambda e: (e.drop, e.divergence))[:most]
