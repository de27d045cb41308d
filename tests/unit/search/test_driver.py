"""The whole search, on a toy whose optimum is known and on digits with a tiny budget."""

from dataclasses import replace

import pytest

from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Level, Slot
from laxity.core.space import Space
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.run import Journal, make_executor
from laxity.search import Budget, search
from laxity.search.pool import Pool

PLACES = [(f"s{i}", slot) for i in range(3) for slot in (Slot.OPERAND, Slot.STRUCTURE, Slot.MULTIPLIER)]
BUDGET = Budget(max_drop=0.05, guard=1.0, evaluations=20, population=6, rounds=3, recoveries=(Recovery(epochs=2),))


@pytest.fixture
def world(toy):
    """Choices save in proportion to their number and harm with its square; repair halves the harm."""
    space = toy.space(PLACES)
    table = {
        (site, c): (0.01 * (i + 1) * (1 + k % 2), 0.001 * (i + 1) ** 2 * (1 + k % 3))
        for k, (site, slot) in enumerate(PLACES)
        for i, c in enumerate(toy.choices[slot])
    }
    return space, table


def test_all_levels_together_are_at_least_as_good_as_each_alone(toy, world):
    space, table = world
    found = search(space, toy.Pool(table), BUDGET, seed=0)
    assert found.met
    assert set(found.tried) == {"data", "software", "hardware", "cross"}
    for name, best in found.best.items():
        assert best is not None
        assert best.within(BUDGET.max_drop, BUDGET.guard)
        assert best.energy_ratio < 1
        if name != "cross":
            levels = {slot.level for _, slot, _ in Plan.from_json(best.plan)}
            assert levels == {Level(name)}
    assert found.selected.energy_ratio == min(e.energy_ratio for e in found.best.values())
    assert found.best["cross"].energy_ratio <= min(e.energy_ratio for e in found.best.values()) + 1e-12


def test_levels_get_the_same_effort(toy, world):
    space, table = world
    pool = toy.Pool(table)
    found = search(space, pool, BUDGET, seed=0)
    searched = {
        name: len({p.key for p, s, w in pool.asked if s == "search" and w.startswith(name)}) for name in found.tried
    }
    assert all(n <= BUDGET.evaluations for n in searched.values())
    repairs = {name: sum(s == "recovery" and w.startswith(name) for _, s, w in pool.asked) for name in found.tried}
    assert all(n <= 2 * BUDGET.rounds for n in repairs.values())


def test_a_search_repeats_for_its_seed(toy, world):
    space, table = world
    one, other, third = (search(space, toy.Pool(table), BUDGET, seed=s) for s in (0, 0, 1))
    assert one == other
    assert [e.plan_key for e in one.tried["cross"]] != [e.plan_key for e in third.tried["cross"]]


def test_where_nothing_fits_the_least_harmful_is_handed_over(toy, world):
    space, table = world
    hopeless = {place: (saving, harm + 1) for place, (saving, harm) in table.items()}

    class Spoilt(toy.Pool):
        def effect(self, plan):
            energy_ratio, harm = super().effect(plan)
            return energy_ratio, harm + 0.2

    found = search(space, Spoilt(hopeless), BUDGET, seed=0)
    assert not found.met
    assert all(e is None for e in found.best.values())
    assert found.selected.drop == min(e.drop for e in (found.base, *found.tried["cross"]))


def test_a_space_without_decisions_gives_the_base(toy):
    space = Space((), Plan())
    found = search(space, toy.Pool({}), BUDGET, seed=0)
    assert found.met
    assert found.selected.plan_key == Plan().key


def test_of_several_ways_of_repair_the_best_is_used(toy, world):
    space, table = world
    ways = tuple(Recovery(epochs=2, learning_rate=r) for r in (1e-4, 1e-3, 1e-2))

    def repair(plan, harm):
        return harm * (0.3 if plan.recovery.learning_rate == 1e-3 else 0.9)

    pool = toy.Pool(table, repair)
    search(space, pool, replace(BUDGET, recoveries=ways), seed=0)
    used = {p.recovery.learning_rate for p, s, w in pool.asked if s == "recovery" and w != "ways of repair"}
    assert used == {1e-3}


@pytest.mark.slow
def test_digits_with_a_tiny_budget_does_not_depend_on_the_number_of_workers(tmp_path):
    budget = Budget(
        max_drop=0.02, evaluations=4, population=4, rounds=1, candidates=2,
        recoveries=(Recovery(epochs=1, samples=64),),
    )  # fmt: skip
    found = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        setup = Setup(
            task={"spec": "digits"}, target="mac-array-45nm", probe_samples=32, search_samples=64, folder=str(folder)
        )
        evaluator = Evaluator(setup)
        space = Space.of(evaluator.prepared.sites, evaluator.base, ["integer", "magnitude"])
        journal = Journal(None)
        with make_executor(workers, Pool.initialise, (setup,)) as executor:
            outcome = search(space, Pool(executor, journal), budget, seed=0)
        timeless = {(e.plan_key, e.stage): replace(e, seconds=0.0) for e in journal}
        weights = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
        levels = {name: e and e.plan_key for name, e in outcome.best.items()}
        tried = {name: [e.plan_key for e in tried] for name, tried in outcome.tried.items()}
        probes = [(p.variable, p.choice, p.saving, p.harm) for p in outcome.probes]
        found.append((timeless, weights, levels, tried, probes, outcome.selected.plan_key, outcome.met))
    assert found[0] == found[1]
    assert found[0][1]
