"""The search space: exact first, groups decide together, levels can be restricted."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import PlanError, RegistryError
from laxity.core.plan import Plan
from laxity.core.slots import Level, Slot
from laxity.core.space import Space
from laxity.techniques import ChannelPruning, CircuitMultiplier, Integer, MagnitudePruning

BASE = Integer()


@pytest.fixture
def grouped(make_site):
    """Two sites that lose the same channels, and one on its own."""
    return [
        make_site("a", group="a", removable=True),
        make_site("b", group="a", removable=True),
        make_site("c"),
    ]


def test_every_decision_starts_exact(sites):
    base = Plan.assign(sites, [BASE])
    space = Space.of(sites, base)
    assert all(v.candidates[0] is None and None not in v.candidates[1:] for v in space.variables)
    assert space.plan(space.exact()) == base
    assert [v.name for v in space.variables][:3] == ["stem/structure", "stem/operand", "stem/multiplier"]
    assert "block:matmul#0/structure" not in {v.name for v in space.variables}


def test_what_the_base_holds_is_not_offered_again(sites):
    candidate = Integer.candidates(sites[0])[0]
    space = Space.of(sites, Plan.assign(sites, [candidate]), ["integer"])
    assert all(candidate not in v.candidates for v in space.variables)
    assert all(len(v.candidates) == len(Integer.candidates(sites[0])) for v in space.variables)


def test_candidates_are_distinct_and_in_their_slot(sites):
    for variable in Space.of(sites, Plan()).variables:
        offered = variable.candidates[1:]
        assert len(set(offered)) == len(offered)
        assert {c.slot for c in offered} == {variable.slot}


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_genomes_decode_choice_by_choice(make_site, seed):
    import random

    sites = [make_site("x"), make_site("y", "linear")]
    base = Plan.assign(sites, [BASE])
    space = Space.of(sites, base)
    rng = random.Random(seed)
    genome = [rng.randrange(len(v.candidates)) for v in space.variables]
    plan = space.plan(genome)
    for variable, index in zip(space.variables, genome, strict=True):
        for name in variable.sites:
            wanted = variable.candidates[index] or base.at(name).get(variable.slot)
            assert plan.at(name).get(variable.slot) == wanted


def test_groups_decide_their_structure_together(grouped):
    space = Space.of(grouped, Plan())
    places = {(v.name, v.sites) for v in space.variables if v.slot is Slot.STRUCTURE}
    assert places == {("a/structure", ("a", "b")), ("c/structure", ("c",))}
    shared = next(v for v in space.variables if v.name == "a/structure")
    index = shared.candidates.index(ChannelPruning(0.25))
    genome = [index if v is shared else 0 for v in space.variables]
    plan = space.plan(genome)
    assert plan.at("a") == plan.at("b") == {Slot.STRUCTURE: ChannelPruning(0.25)}
    assert [v.sites for v in space.variables if v.slot is Slot.OPERAND] == [("a",), ("b",), ("c",)]


def test_sites_outside_groups_are_offered_no_channels(grouped):
    space = Space.of(grouped, Plan())
    alone = next(v for v in space.variables if v.name == "c/structure")
    assert not any(isinstance(c, ChannelPruning) for c in alone.candidates)


def test_without_grouped_techniques_sites_decide_alone(grouped):
    space = Space.of(grouped, Plan(), ["magnitude"])
    assert [v.sites for v in space.variables] == [("a",), ("b",), ("c",)]
    assert all(isinstance(c, MagnitudePruning) for v in space.variables for c in v.candidates[1:])


def test_members_of_a_group_are_offered_what_suits_all(make_site):
    pair = [make_site("a", group="a", removable=True), make_site("b", group="a", removable=False)]
    space = Space.of(pair, Plan(), ["channels", "magnitude"])
    assert len(space.variables) == 1
    assert not any(isinstance(c, ChannelPruning) for c in space.variables[0].candidates)


def test_restriction_keeps_only_the_levels_named(sites):
    base = Plan.assign(sites, [BASE])
    space = Space.of(sites, base)
    for levels in itertools.chain.from_iterable(itertools.combinations(Level, n) for n in range(4)):
        part = space.restrict(levels)
        assert part.base == base
        assert [v for v in space.variables if v.slot.level in levels] == list(part.variables)
        strongest = part.plan([len(v.candidates) - 1 for v in part.variables])
        assert {slot.level for _, slot, _, _ in strongest.diff(base)} == set(levels)


def test_named_techniques_only(sites):
    space = Space.of(sites, Plan(), ["multiplier"])
    assert {v.slot for v in space.variables} == {Slot.MULTIPLIER}
    assert all(isinstance(c, CircuitMultiplier) for v in space.variables for c in v.candidates[1:])
    assert Space.of(sites, Plan(), []).variables == ()
    with pytest.raises(RegistryError, match="unknown technique 'multiplyer'; did you mean 'multiplier'"):
        Space.of(sites, Plan(), ["multiplyer"])


def test_genomes_that_do_not_fit_are_refused(sites):
    space = Space.of(sites[:1], Plan())
    with pytest.raises(PlanError, match="a genome of this space has 3 entries, not 2"):
        space.plan((0, 0))
    with pytest.raises(PlanError, match=r"stem/operand has 13 candidates, no number 13"):
        space.plan((0, 13, 0))
    with pytest.raises(PlanError, match=r"stem/operand has 13 candidates, no number -1"):
        space.plan((0, -1, 0))
