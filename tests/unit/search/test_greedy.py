"""The greedy path on problems whose optimum is known, and how evaluations are spent along it."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.slots import Slot
from laxity.search.greedy import path, walk

PLACES = [("a", Slot.OPERAND), ("b", Slot.STRUCTURE), ("c", Slot.MULTIPLIER)]


@st.composite
def tables(draw):
    """Savings and harms of every choice, in thousandths, some useless, some harmless."""
    choices = {Slot.OPERAND: 5, Slot.STRUCTURE: 4, Slot.MULTIPLIER: 4}
    return {
        (name, slot, i): (draw(st.integers(-20, 200)) / 1000, draw(st.integers(0, 100)) / 1000)
        for name, slot in PLACES
        for i in range(choices[slot])
    }


def problem(toy, drawn):
    table = {(name, toy.choices[slot][i]): values for (name, slot, i), values in drawn.items()}
    space = toy.space(PLACES)
    return space, table


def totals(space, table, genome):
    saving = harm = 0.0
    for variable, index in zip(space.variables, genome, strict=True):
        if index:
            s, h = table[variable.sites[0], variable.candidates[index]]
            saving, harm = saving + s, harm + h + 1e-6
    return saving, harm


@settings(deadline=None, max_examples=80)
@given(drawn=tables())
def test_every_point_of_the_path_is_optimal_for_its_harm(toy, drawn):
    """Greedy solves the relaxed knapsack exactly where a step is whole: nothing saves more with as little harm.

    A millionth of harm is added to every choice but exact, as the path does.
    """
    space, table = problem(toy, drawn)
    everything = [
        totals(space, table, g) for g in itertools.product(*(range(len(v.candidates)) for v in space.variables))
    ]
    for genome in path(space, toy.probes(space, table)):
        saving, harm = totals(space, table, genome)
        best = max(s for s, h in everything if h <= harm + 1e-12)
        assert saving >= best - 1e-9


@settings(deadline=None, max_examples=80)
@given(drawn=tables())
def test_the_path_only_goes_forward(toy, drawn):
    space, table = problem(toy, drawn)
    genomes = path(space, toy.probes(space, table))
    assert genomes[0] == (0, 0, 0)
    assert len(set(genomes)) == len(genomes)
    for before, after in itertools.pairwise(genomes):
        assert sum(x != y for x, y in zip(before, after, strict=True)) == 1
        assert totals(space, table, after)[0] > totals(space, table, before)[0]
        assert totals(space, table, after)[1] >= totals(space, table, before)[1]
    slopes = [
        (totals(space, table, b)[1] - totals(space, table, a)[1])
        / (totals(space, table, b)[0] - totals(space, table, a)[0])
        for a, b in itertools.pairwise(genomes)
    ]
    assert all(y >= x - 1e-9 for x, y in itertools.pairwise(slopes))


@settings(deadline=None, max_examples=80)
@given(drawn=tables())
def test_the_path_ends_with_the_most_that_can_be_saved(toy, drawn):
    space, table = problem(toy, drawn)
    last = path(space, toy.probes(space, table))[-1]
    most = sum(max(0.0, *(table[v.sites[0], c][0] for c in v.candidates[1:])) for v in space.variables)
    assert totals(space, table, last)[0] == pytest.approx(most)


def test_tiny_harms_do_not_turn_the_path_back(toy):
    """Of two nearly harmless choices the one that saves much must not be followed by the one that saves little."""
    space = toy.space(PLACES[:1])
    mild, strong = toy.choices[Slot.OPERAND][0], toy.choices[Slot.OPERAND][3]
    table = {("a", mild): (0.01, 1e-7), ("a", strong): (0.5, 1.5e-6)}
    assert path(space, toy.probes(space, table)) == [(0,), (4,)]


def test_decisions_without_probes_stay_exact(toy):
    space = toy.space(PLACES)
    assert path(space, []) == [(0, 0, 0)]


def genomes_of(length):
    return [(i,) for i in range(length)]


class Counter:
    """Evaluates positions of a path: harm is the position."""

    def __init__(self, toy):
        self.toy, self.seen = toy, []

    def __call__(self, genomes):
        from laxity.core.plan import Plan

        self.seen += genomes
        return [self.toy.evaluation(Plan(), "search", 1.0, g[0], float(g[0])) for g in genomes]


@settings(deadline=None, max_examples=80)
@given(length=st.integers(1, 60), count=st.integers(1, 30), edge=st.integers(-1, 70))
def test_walks_spend_what_they_may_and_close_in_on_the_edge(toy, length, count, edge):
    run = Counter(toy)
    found = walk(genomes_of(length), run, [lambda e: e.drop <= edge], count=count)
    assert len(run.seen) == len(set(run.seen)) <= count
    assert found == sorted(run.seen)
    assert (0,) not in run.seen
    if length == 1:
        assert not found
        return
    assert (length - 1,) in run.seen
    inside = max((g[0] for g in run.seen if g[0] <= edge), default=0)
    outside = min((g[0] for g in run.seen if g[0] > inside), default=None)
    closed = outside is None or outside - inside == 1
    assert len(run.seen) == min(count, length - 1) or closed
