"""Which recovery repairs which plan: by trial, with gradients of errors only where errors can be estimated."""

import pytest

from laxity.core.errors import PlanError
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.search.recipes import Recipes, choose, estimable
from laxity.techniques import CircuitAccumulator, CircuitMultiplier, Integer, MagnitudePruning

PLACES = [(f"s{i}", slot) for i in range(2) for slot in (Slot.OPERAND, Slot.STRUCTURE, Slot.MULTIPLIER)]
GRADIENTS = ("straight_through", "error_slope")
DATA = Plan().with_("s0", Integer(4, 4), MagnitudePruning(0.5))
CIRCUITS = DATA.with_("s1", CircuitMultiplier("drum8_4"))


@pytest.fixture
def pool(toy):
    """Repair by the slope of the error works best where multipliers are approximate."""

    def make(slope):
        return toy.Pool({("s0", c): (0.1, 0.1) for c in toy.choices[Slot.MULTIPLIER]}, repair(slope))

    def repair(slope):
        return lambda plan, harm: harm * (slope if plan.recovery.gradient == "error_slope" else 0.5)

    return make


def test_errors_can_be_estimated_of_multipliers_of_whole_numbers_alone():
    assert not estimable(Plan())
    assert not estimable(DATA)
    assert estimable(CIRCUITS)
    assert not estimable(CIRCUITS.with_("s0", CircuitAccumulator()))


@pytest.mark.parametrize(("slope", "gradient"), [(0.2, "error_slope"), (0.8, "straight_through")])
def test_the_better_gradient_is_found_and_used_where_multipliers_are_approximate(toy, pool, slope, gradient):
    trials = pool(slope)
    recipes = choose(toy.space(PLACES), trials, [Recovery(epochs=2)], GRADIENTS)
    assert recipes.of(CIRCUITS).gradient == gradient
    assert recipes.of(DATA).gradient == "straight_through"
    assert [(p.recovery.gradient, s, w) for p, s, w in trials.asked] == [
        (g, "recovery", "ways of repair") for g in GRADIENTS
    ]
    assert all(estimable(p) for p, _, _ in trials.asked)


def test_learning_rates_are_tried_on_data_first(toy, pool):
    trials = pool(0.2)
    rates = [Recovery(epochs=2, learning_rate=r) for r in (1e-4, 1e-3)]
    choose(toy.space(PLACES), trials, rates, GRADIENTS)
    assert len(trials.asked) == 4
    assert [{slot for _, slot, _ in p} for p, _, _ in trials.asked[:2]] == [{Slot.OPERAND}] * 2


@pytest.mark.parametrize(
    ("recovery", "gradients", "places"),
    [
        (Recovery(), GRADIENTS, PLACES),
        (Recovery(epochs=1), GRADIENTS[:1], PLACES),
        (Recovery(epochs=1, modelled=True), GRADIENTS, PLACES),
        (Recovery(epochs=1), GRADIENTS, [p for p in PLACES if p[1] is not Slot.MULTIPLIER]),
    ],
)
def test_nothing_is_tried_where_there_is_nothing_to_choose(toy, pool, recovery, gradients, places):
    trials = pool(0.2)
    assert choose(toy.space(places), trials, [recovery], gradients) == Recipes(recovery)
    assert not trials.asked


def test_networks_whose_errors_cannot_be_estimated_are_repaired_as_usual(toy, pool):
    class Refusing(type(pool(0.2))):
        def run(self, plans, stage, what):
            raise PlanError("site 's0' is a transposed convolution")

    recipes = choose(toy.space(PLACES), Refusing({}), [Recovery(epochs=1)], GRADIENTS)
    assert recipes == Recipes(Recovery(epochs=1))


def test_recipes_are_applied_for_as_long_as_is_wanted():
    recipes = Recipes(Recovery(epochs=2), Recovery(epochs=3, gradient="error_slope"))
    assert recipes.apply(DATA).recovery == Recovery(epochs=2)
    assert recipes.apply(CIRCUITS, times=2).recovery == Recovery(epochs=6, gradient="error_slope")
