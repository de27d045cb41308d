"""Repair plans by fine-tuning, and find the cheapest one that fits the budget afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from laxity.core.plan import Plan
from laxity.core.records import Evaluation
from laxity.search.pareto import front
from laxity.search.pool import Pool
from laxity.search.recipes import Recipes

_PER_ROUND = 2
_SPREAD = 0.6
_SECOND_CHANCES = 0.2


def recover(
    found: Sequence[Evaluation],
    pool: Pool,
    recipes: Recipes,
    *,
    rounds: int,
    fits: Callable[[Evaluation], bool],
    hopeful: Callable[[Evaluation], bool],
    what: str,
    favourites: Sequence[Plan] = (),
) -> list[Evaluation]:
    """Fine-tune non-dominated plans, two per round on average, closing in on the cheapest that fits the budget.

    The front is ordered by energy. Most repairs are spread evenly over it, because a single repair may fail by
    chance; others go between the cheapest plan that fits and the next cheaper one that was tried. The last fifth, and
    what is left when nothing remains between those two, gives a second chance with twice the epochs to cheaper plans
    that failed most narrowly.

    Args:
        found: evaluations of unrepaired plans.
        pool: runs the repairs.
        recipes: how to repair.
        rounds: half the number of repairs to spend.
        fits: whether an evaluation is within the budget.
        hopeful: whether a repaired plan that does not fit is near enough for a second chance.
        what: shown with the progress.
        favourites: plans to repair first, at most half of all.

    Returns:
        The evaluations of all repaired plans.
    """
    ordered = front([e for e in found if e.energy_ratio < 1], lambda e: (e.energy_ratio, e.divergence))
    first = [recipes.apply(plan) for plan in favourites[: rounds * _PER_ROUND // 2]]
    preferred = pool.run(first, "recovery", f"{what}: repair of favourites") if first else []
    total = rounds * _PER_ROUND - len(preferred)
    tried: dict[int, Evaluation] = {}

    def repair(positions: Sequence[int]) -> None:
        fresh = [p for p in dict.fromkeys(positions) if p not in tried]
        plans = [recipes.apply(Plan.from_json(ordered[p].plan)) for p in fresh]
        tried.update(zip(fresh, pool.run(plans, "recovery", f"{what}: repair"), strict=True))

    spread = min(len(ordered), math.ceil(_SPREAD * total))
    repair([i * len(ordered) // spread for i in range(spread)])
    planned = total - int(_SECOND_CHANCES * rounds * _PER_ROUND)
    while len(tried) < planned:
        step = _refine(tried, fits, len(ordered))
        if not step:
            break
        repair(step[: planned - len(tried)])
    failures = _narrow_failures([*preferred, *tried.values()], fits)
    again = [e for e in failures if hopeful(e)][: total - len(tried)]
    plans = [recipes.apply(Plan.from_json(e.plan), times=2) for e in again]
    return [*preferred, *tried.values(), *pool.run(plans, "recovery", f"{what}: second chance")]


def _refine(tried: Mapping[int, Evaluation], fits: Callable[[Evaluation], bool], count: int) -> list[int]:
    """Two positions between the cheapest plan that fits, or the end of the front, and the next cheaper one tried."""
    cheapest = min((p for p, e in tried.items() if fits(e)), default=count)
    below = max((p for p in tried if p < cheapest), default=-1)
    return sorted({below + (cheapest - below) * (i + 1) // (_PER_ROUND + 1) for i in range(_PER_ROUND)} - {below})


def _narrow_failures(results: Sequence[Evaluation], fits: Callable[[Evaluation], bool]) -> list[Evaluation]:
    """Plans cheaper than every fitting one, those that lost least accuracy first."""
    bar = min((e.energy_ratio for e in results if fits(e)), default=1.0)
    failed = [e for e in results if e.energy_ratio < bar and not fits(e)]
    return sorted(failed, key=lambda e: (e.drop, e.divergence))
