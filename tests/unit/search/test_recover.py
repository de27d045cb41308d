"""Repair closes in on the cheapest plan that fits, within the repairs it may spend."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.search.recipes import Recipes
from laxity.search.recover import recover
from laxity.techniques import MagnitudePruning

REPAIR = Recovery(epochs=3)


def world(toy, size, edge, noise=()):
    """Plans 0..size-1 by rising energy; repaired, those from `edge` on fit a drop of 0.01."""
    plans = [Plan().with_("a", MagnitudePruning((i + 1) / (size + 1))) for i in range(size)]
    index = {p.choices: i for i, p in enumerate(plans)}

    def repair(plan, _):
        i = index[plan.choices]
        ok = (i >= edge) != (i in noise and plan.recovery.epochs == REPAIR.epochs)
        return 0.005 if ok else 0.02 + 0.01 * (edge - i)

    table = {("a", p.at("a")[Slot.STRUCTURE]): (0.9 - 0.8 * i / size, 1.0 - i / size) for i, p in enumerate(plans)}
    pool = toy.Pool(table, repair)
    return plans, pool, pool.run(plans, "search", "")


def fits(evaluation):
    return evaluation.drop <= 0.01


@settings(deadline=None, max_examples=80)
@given(size=st.integers(1, 40), share=st.floats(0, 1), rounds=st.integers(0, 8))
def test_repairs_are_bounded_and_end_at_the_edge(toy, size, share, rounds):
    edge = round(share * (size + 1))
    plans, pool, found = world(toy, size, edge)
    pool.asked.clear()
    results = recover(found, pool, Recipes(REPAIR), rounds=rounds, fits=fits, hopeful=lambda e: True, what="toy")
    assert len(pool.asked) <= 2 * rounds
    assert len(results) == len(pool.asked)
    assert {stage for _, stage, _ in pool.asked} <= {"recovery"}
    assert all(plan.recovery.epochs in {3, 6} for plan, _, _ in pool.asked)
    best = min((e.energy_ratio for e in results if fits(e)), default=None)
    planned = 2 * rounds - int(0.2 * 2 * rounds)  # a fifth is kept for second chances
    if planned >= size and edge < size:
        wanted = pool.effect(plans[edge])[0]
        assert best == pytest.approx(wanted)


def test_a_monotone_problem_is_solved_with_few_repairs(toy):
    plans, pool, found = world(toy, 30, 13)
    results = recover(found, pool, Recipes(REPAIR), rounds=6, fits=fits, hopeful=lambda e: True, what="toy")
    assert min(e.energy_ratio for e in results if fits(e)) == pytest.approx(pool.effect(plans[13])[0])


def test_dominated_and_costly_plans_are_not_repaired(toy):
    plans, pool, found = world(toy, 10, 5)
    worse = toy.evaluation(Plan().with_("b", MagnitudePruning(0.5)), "search", 0.95, 5.0, 0.5)
    dearer = toy.evaluation(Plan().with_("c", MagnitudePruning(0.5)), "search", 1.2, 0.0, 0.0)
    pool.asked.clear()
    recover([*found, worse, dearer], pool, Recipes(REPAIR), rounds=10, fits=fits, hopeful=lambda e: True, what="toy")
    assert {p.choices for p, _, _ in pool.asked} <= {p.choices for p in plans}


def test_what_failed_narrowly_gets_a_second_chance_with_longer_training(toy):
    """Plan 4 fails by chance after the usual repair and succeeds after a longer one."""
    plans, pool, found = world(toy, 6, 4, noise={4})
    results = recover(found, pool, Recipes(REPAIR), rounds=6, fits=fits, hopeful=lambda e: True, what="toy")
    longer = [e for e in results if Plan.from_json(e.plan).recovery.epochs == 6]
    assert longer
    assert min(e.energy_ratio for e in results if fits(e)) == pytest.approx(pool.effect(plans[4])[0])


def test_nothing_to_repair(toy):
    _, pool, _ = world(toy, 3, 1)
    assert recover([], pool, Recipes(REPAIR), rounds=3, fits=fits, hopeful=lambda e: True, what="toy") == []
