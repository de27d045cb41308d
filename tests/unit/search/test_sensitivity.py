"""Thinning and ranking: what is kept, what is measured, and that nothing is paid for in vain."""

import numpy as np
import pytest

import laxity as lx
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.core.space import Space, Variable
from laxity.search.sensitivity import priced, rank, thin, unbeaten
from laxity.targets import load_target
from laxity.techniques import CircuitMultiplier, Integer

PLACES = [("a", Slot.OPERAND), ("b", Slot.OPERAND), ("a", Slot.MULTIPLIER)]


def table_of(toy, values):
    """(site, slot, number) -> (saving, harm)."""
    return {(site, toy.choices[slot][i]): effect for (site, slot, i), effect in values.items()}


def test_candidates_beaten_everywhere_are_dropped(toy):
    space = toy.space(PLACES)
    values = {("a", Slot.MULTIPLIER, i): (0.0, 0.1) for i in range(4)}
    for site in ("a", "b"):
        values |= {
            (site, Slot.OPERAND, 0): (0.05, 0.01),
            (site, Slot.OPERAND, 1): (0.04, 0.02),
            (site, Slot.OPERAND, 2): (0.10, 0.03),
            (site, Slot.OPERAND, 3): (-0.01, 0.0),
            (site, Slot.OPERAND, 4): (0.20, 0.30),
        }
    pool = toy.Pool(table_of(toy, values))
    thinned, spent = thin(space, pool, 6)
    assert [v.name for v in thinned.variables] == ["a/operand", "b/operand"]
    kept = [toy.choices[Slot.OPERAND][i] for i in (0, 2, 4)]
    assert all(v.candidates == (None, *kept) for v in thinned.variables)
    assert len(spent) == 9
    assert thinned.base == space.base


def test_circuits_that_another_beats_in_the_network_are_never_evaluated(toy):
    """Against brute force, over prices drawn at random; what knows no errors of its own stays."""
    names = ["drum8_6", "drum8_5", "drum8_4", "drum8_3", "coltrunc8_4", "coltrunc8_6", "mitchell8", "udm8", "bam8_6_2"]
    circuits = [CircuitMultiplier(name) for name in names]
    errors = {c: c.errors() for c in circuits}
    for seed in range(20):
        generator = np.random.default_rng(seed)
        savings = dict(zip(circuits, generator.choice([-0.02, 0.0, 0.01, 0.02, 0.03], len(circuits)), strict=True))
        operands = Variable("a/operand", ("a",), Slot.OPERAND, (None, *toy.choices[Slot.OPERAND]))
        space = Space((operands, Variable("a/multiplier", ("a",), Slot.MULTIPLIER, (None, *circuits))), Plan())
        pool = toy.Pool({("a", c): (saving, 0.0) for c, saving in savings.items()})
        found = unbeaten(space, pool)
        assert pool.asked == []
        assert found.variables[0] == operands

        def beats(one, other, savings=savings):
            figures = [(-savings[c], *errors[c]) for c in (one, other)]
            return all(x <= y for x, y in zip(*figures, strict=True)) and figures[0] != figures[1]

        expected = {c for c in circuits if savings[c] > 0 and not any(beats(o, c) for o in circuits if o != c)}
        kept = set(found.variables[1].candidates[1:]) if len(found.variables) > 1 else set()
        assert kept == expected


@pytest.mark.parametrize("most", [2, 5, 12, 40])
def test_at_most_so_many_candidates_with_both_ends(toy, most):
    from laxity.techniques import Integer

    choices = [Integer(w, a) for w in range(2, 8) for a in (7, 8)]
    space = Space((Variable("a/operand", ("a",), Slot.OPERAND, (None, *choices)),), Plan())
    table = {("a", c): (0.01 * (i + 1), 0.1 * (i + 1)) for i, c in enumerate(choices)}
    thinned, _ = thin(space, toy.Pool(table), most)
    kept = thinned.variables[0].candidates[1:]
    assert len(kept) == min(most, 12)
    assert {choices[0], choices[-1]} <= set(kept)


def test_probes_measure_one_choice_at_a_time(toy):
    space = toy.space(PLACES)
    values = {
        (site, slot, i): (0.01 * (i + 1) * (2 if site == "a" else 1), 0.1 * i)
        for site, slot in PLACES
        for i in range(len(toy.choices[slot]))
    }
    table = table_of(toy, values)
    pool = toy.Pool(table)
    probes = rank(space, pool)
    assert len(probes) == 5 + 5 + 4
    for probe in probes:
        saving, harm = table[probe.variable.partition("/")[0], probe.choice]
        assert probe.saving == pytest.approx(saving)
        assert probe.harm == probe.drop == pytest.approx(harm)
    assert {stage for _, stage, _ in pool.asked} == {"sensitivity"}
    single = [p for p, _, _ in pool.asked if p.choices]
    assert all(len(p.choices) == 1 and p.recovery == Recovery() for p in single)


def test_groups_are_probed_together(toy):

    choice = toy.choices[Slot.STRUCTURE][0]
    space = Space((Variable("g/structure", ("a", "b"), Slot.STRUCTURE, (None, choice)),), Plan())
    (probe,) = rank(space, toy.Pool({("a", choice): (0.1, 0.2), ("b", choice): (0.3, 0.0)}))
    assert (probe.saving, probe.harm) == (pytest.approx(0.4), pytest.approx(0.2))


@pytest.mark.parametrize(("target", "there"), [("eyeriss-like", False), ("mac-array-45nm", True)])
def test_only_what_the_target_prices_is_searched(target, there):
    task = lx.load_task("digits")
    sites = lx.find_sites(task.model, task.example_input)
    space = Space.of(sites, Plan.assign(sites, [Integer()]))
    left = priced(space, sites, load_target(target))
    kinds = {c.kind for v in left.variables for c in v.candidates if c is not None}
    assert ("control_variate" in kinds) is there
    assert {"multiplier", "integer"} <= kinds
