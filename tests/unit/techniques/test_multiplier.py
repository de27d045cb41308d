"""The MULTIPLIER technique."""

import numpy as np
import pytest

from laxity.circuits import catalogue
from laxity.core.demand import Demand
from laxity.core.errors import CircuitError, PlanError, RegistryError
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.techniques import CircuitMultiplier

SITE = Site("fc", Op("linear", (3,), (5, 3), (5,), 1, 1, 3, 5), (Slot.OPERAND, Slot.MULTIPLIER), "fc")


def figures(name):
    """What candidates are judged by, from the table and the catalogue's description."""
    table = catalogue.get(name).table
    products = np.multiply.outer(np.arange(256), np.arange(256))
    distance = np.abs(table - products)
    relative = distance[1:, 1:] / products[1:, 1:]
    at_zero = max(distance[0].max(), distance[:, 0].max())
    area = catalogue.describe(name)["area_um2"]
    return distance.mean(), round(relative.mean(), 12), distance.max(), at_zero, area


def test_candidates_are_the_approximate_circuits_that_no_other_beats():
    found = [c.name for c in CircuitMultiplier.candidates(SITE)]
    every = {name: figures(name) for name in catalogue.names()}
    assert [every[n][0] for n in found] == sorted(every[n][0] for n in found)

    def beats(one, other):
        return all(x <= y for x, y in zip(one, other, strict=True)) and one != other

    for name, own in every.items():
        rivals = [n for n, theirs in every.items() if beats(theirs, own)]
        twins = [n for n, theirs in every.items() if theirs == own and n < name]
        assert (name in found) == (not rivals and not twins and own[0] > 0), (name, rivals, twins)


def test_candidates_are_few_and_the_same_every_time():
    found = [c.name for c in CircuitMultiplier.candidates(SITE)]
    assert 10 <= len(found) <= 45
    assert found == [c.name for c in CircuitMultiplier.candidates(SITE)]
    assert len({catalogue.get(n).family for n in found}) >= 4


def test_demand_names_the_circuit():
    assert CircuitMultiplier("drum8_4").demand(Demand.of(SITE), {}).multiplier == "drum8_4"
    assert CircuitMultiplier("drum8_4").label() == "drum8_4"


def test_signed_and_unknown_circuits_are_refused():
    with pytest.raises(PlanError, match=r"'drum8s_4' is a two's complement circuit; .*name the unsigned one"):
        CircuitMultiplier("drum8s_4")
    with pytest.raises(RegistryError, match="unknown multiplier 'drumm8_4'; did you mean 'drum8_4'"):
        CircuitMultiplier("drumm8_4")
    with pytest.raises(PlanError, match="parameter 'name' of technique 'multiplier' must be str, not 8"):
        CircuitMultiplier(8)


def test_wide_circuits_are_taken_in_closed_form():
    assert CircuitMultiplier("drum16_6").demand(Demand.of(SITE), {}).multiplier == "drum16_6"
    with pytest.raises(CircuitError, match=r"k=17 in 'drum16_17' is out of range; use 3\.\.16"):
        CircuitMultiplier("drum16_17")
