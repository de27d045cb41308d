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


def test_candidates_are_the_approximate_circuits_by_rising_error():
    found = [c.name for c in CircuitMultiplier.candidates(SITE)]
    products = np.multiply.outer(np.arange(256), np.arange(256))
    errors = {name: np.abs(catalogue.get(name).table - products).mean() for name in catalogue.names()}
    assert sorted(found) == sorted(n for n, e in errors.items() if e > 0)
    assert [errors[n] for n in found] == sorted(errors[n] for n in found)


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
