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


def test_candidates_are_all_approximate_circuits_by_mean_error():
    found = [c.name for c in CircuitMultiplier.candidates(SITE)]
    products = np.multiply.outer(np.arange(256), np.arange(256))
    means = {name: np.abs(catalogue.get(name).table - products).mean() for name in catalogue.names()}
    assert sorted(found) == sorted(name for name, mean in means.items() if mean > 0)
    assert [means[n] for n in found] == sorted(means[n] for n in found)
    assert found == [c.name for c in CircuitMultiplier.candidates(SITE)]


@pytest.mark.parametrize("name", ["coltrunc8_6", "mitchell8", "udm8", "almsoa8_3", "dadda8"])
def test_errors_are_those_of_the_table(name):
    table = catalogue.get(name).table
    products = np.multiply.outer(np.arange(256), np.arange(256))
    distance = np.abs(table - products)
    relative = distance[1:, 1:] / products[1:, 1:]
    at_zero = max(distance[0].max(), distance[:, 0].max())
    expected = distance.mean(), relative.mean(), distance.max(), at_zero
    assert CircuitMultiplier(name).errors() == pytest.approx(expected, rel=1e-12)


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
