"""NSGA-II: repeatable, spends exactly what it is given, finds the front of a small problem."""

import itertools

import pytest

from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.core.space import Space
from laxity.search.evolve import evolve
from laxity.search.pareto import front

PLACES = [(f"s{i}", slot) for i in range(4) for slot in (Slot.OPERAND, Slot.MULTIPLIER)]


def effect(genome):
    """Two objectives that conflict, with an interaction."""
    saving = sum((i % 3 + 1) * g for i, g in enumerate(genome))
    harm = sum((i % 2 + 1) * g * g for i, g in enumerate(genome)) + genome[0] * genome[-1]
    return 1 - saving / 100, float(harm)


class Run:
    """Remembers what it is asked."""

    def __init__(self, toy):
        self.toy, self.calls = toy, []

    def __call__(self, genomes):
        self.calls.append(list(genomes))
        return [self.toy.evaluation(Plan(), "search", *effect(g), 0.0) for g in genomes]

    @property
    def seen(self):
        return list(dict.fromkeys(itertools.chain(*self.calls)))


STARTS = [(0,) * 8, (1,) * 8, (2, 0) * 4]


@pytest.mark.parametrize(("count", "population"), [(30, 6), (17, 5), (1, 12), (0, 4)])
def test_exactly_the_given_evaluations_are_spent(toy, count, population):
    space, run = toy.space(PLACES), Run(toy)
    evolve(space, STARTS, run, count=count, population=population, seed=0, label="x")
    assert len(set(run.seen) - set(STARTS)) == count
    assert all(0 <= g < len(v.candidates) for genome in run.seen for g, v in zip(genome, space.variables, strict=True))
    if count:
        assert run.calls[0] == STARTS


def test_the_course_depends_on_seed_and_label_only(toy):
    def course(seed, label):
        run = Run(toy)
        evolve(toy.space(PLACES), STARTS, run, count=40, population=8, seed=seed, label=label)
        return run.calls

    assert course(0, "data") == course(0, "data")
    assert course(0, "data") != course(1, "data")
    assert course(0, "data") != course(0, "cross")


def test_small_spaces_are_exhausted_and_left(toy):
    space, run = toy.space([("s", Slot.STRUCTURE)]), Run(toy)
    evolve(space, [(0,)], run, count=50, population=4, seed=0, label="x")
    assert set(run.seen) == {(i,) for i in range(5)}


def test_spaces_without_decisions_cost_nothing(toy):
    run = Run(toy)
    evolve(Space((), Plan()), [()], run, count=5, population=4, seed=0, label="x")
    assert run.calls == []


def test_it_comes_nearer_to_the_front_than_its_first_generations(toy):
    run = Run(toy)
    evolve(toy.space(PLACES), STARTS, run, count=300, population=20, seed=0, label="x")

    def volume(genomes):
        """Hypervolume below the corner (1, 400)."""
        corner, total, bar = (1.0, 400.0), 0.0, 400.0
        for energy, harm in front([effect(g) for g in genomes], lambda p: p):
            if harm < bar:
                total += (corner[0] - energy) * (bar - harm)
                bar = harm
        return total

    assert volume(run.seen) > 1.05 * volume(run.seen[:60])
