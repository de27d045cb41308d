"""The MULTIPLIER technique that composes wide products."""

import pytest

from laxity.circuits import catalogue
from laxity.core.approximation import Approximation
from laxity.core.demand import Demand
from laxity.core.errors import CircuitError, PlanError
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.techniques.hardware.composed import ComposedProduct

SITE = Site("fc", Op("linear", (3,), (5, 3), (5,), 1, 1, 3, 5), (Slot.OPERAND, Slot.MULTIPLIER), "fc")


def test_demand_says_what_is_composed():
    demand = ComposedProduct("drum8_4").demand(Demand.of(SITE), {})
    assert demand.multiplier == "drum8_4"
    assert demand.arithmetic == "integer products composed of drum8_4"
    assert ComposedProduct("drum8_4").label() == "drum8_4 parts"


def test_round_trip():
    choice = ComposedProduct("udm4")
    assert Approximation.from_json(choice.to_json()) == choice


def test_a_layer_needs_codes():
    class Layer:
        site, operand = SITE, None

    with pytest.raises(PlanError, match="site 'fc' has a multiplier but float32 operands"):
        ComposedProduct("drum8_4").attach(None, [Layer()])
    layer = Layer()
    layer.operand = object()
    ComposedProduct("drum8_4").attach(None, [layer])
    assert layer.multiplier.part is catalogue.get("drum8_4")


def test_circuits_without_table_are_refused():
    with pytest.raises(PlanError, match="'drum8s_4' is a two's complement circuit; parts are magnitudes"):
        ComposedProduct("drum8s_4")
    with pytest.raises(CircuitError, match="at most 20 operand bits"):
        ComposedProduct("drum16_6")
