"""The MULTIPLIER technique that corrects outputs by low bits of their inputs."""

import numpy as np
import pytest

from laxity.circuits import catalogue
from laxity.core.approximation import Approximation
from laxity.core.demand import Demand
from laxity.core.errors import CircuitError, PlanError, RegistryError
from laxity.core.op import Op, Site
from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.techniques import CircuitMultiplier, ControlVariate, Integer
from laxity.techniques.hardware.control_variate import suggested_bits, with_control_variates

SLOTS = (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER)
SITE = Site("fc", Op("linear", (3,), (5, 3), (5,), 1, 1, 3, 5), SLOTS, "fc")
OTHER = Site("last", Op("linear", (5,), (2, 5), (2,), 1, 1, 5, 2), SLOTS, "last")
TRANSPOSED = Site("up", Op("conv_transpose1d", (4, 3), (4, 3, 2), (6, 4), 2, 3, 2, 6), SLOTS, "up")
PRODUCT = Site("qk", Op("matmul", (3, 4), (), (3, 3), 1, 3, 4, 3), (Slot.OPERAND, Slot.MULTIPLIER), "qk")


def test_round_trip_and_label():
    choice = ControlVariate("optrunc8_3", 3, 4)
    assert Approximation.from_json(choice.to_json()) == choice
    assert choice.label() == "optrunc8_3 +cv3"
    assert choice.circuits_used() == ("optrunc8_3",)


def test_demand_says_how_many_bits_are_summed():
    demand = ControlVariate("optrunc8_3", 3).demand(Demand.of(SITE), {})
    assert (demand.multiplier, demand.correction_bits) == ("optrunc8_3", 3)
    narrow = ControlVariate("optrunc8_3", 3).demand(Integer(8, 6).demand(Demand.of(SITE), {}), {})
    assert narrow.correction_bits == 1
    assert ControlVariate("optrunc8_3").demand(Demand.of(SITE), {}) == CircuitMultiplier("optrunc8_3").demand(
        Demand.of(SITE), {}
    )


def test_suggested_bits_are_those_that_are_dropped():
    for dropped in range(1, 5):
        assert suggested_bits(f"gated8_{dropped}_0") == dropped
    assert suggested_bits("perf8_0_3") == 8  # drops bits of the weight, so that the whole activation counts
    assert suggested_bits("dadda8") == 0
    with pytest.raises(CircuitError, match="'drum8s_4' is signed"):
        suggested_bits("drum8s_4")


@pytest.mark.parametrize("name", ["coltrunc8_7", "optrunc8_3", "mitchell8"])
def test_suggested_bits_leave_the_least_of_the_mean_error(name):
    circuit = catalogue.get(name)
    mean = (circuit.table - np.multiply.outer(np.arange(256), np.arange(256))).mean(1)
    left = []
    for bits in range(1, 9):
        design = np.stack([np.arange(256) % 2**bits, np.ones(256)], 1)
        rest = mean - design @ np.linalg.lstsq(design, mean, rcond=None)[0]
        left.append(rest @ rest)
    assert suggested_bits(name) == 1 + int(np.argmin(left))


def test_candidates_correct_what_is_perforated_or_truncated():
    found = ControlVariate.candidates(SITE)
    errors = [catalogue.get(c.name).metrics().med for c in found]
    assert errors == sorted(errors)
    assert all(c.bits == suggested_bits(c.name) > 0 for c in found)
    assert {catalogue.get(c.name).family for c in found} == {"perf", "optrunc", "coltrunc"}
    assert ControlVariate.candidates(PRODUCT) == ControlVariate.candidates(TRANSPOSED) == []


def test_a_plan_of_circuits_gets_control_variates():
    sites = [SITE, OTHER, TRANSPOSED, PRODUCT]
    plan = Plan.assign(sites, [Integer(), CircuitMultiplier("optrunc8_3")]).with_("last", CircuitMultiplier("dadda8"))
    found = with_control_variates(plan, sites)
    assert found.at("fc")[Slot.MULTIPLIER] == ControlVariate("optrunc8_3", 3)
    assert found.at("last")[Slot.MULTIPLIER] == ControlVariate("dadda8", 0)
    assert found.at("up") == plan.at("up")
    assert found.at("qk") == plan.at("qk")
    fixed = with_control_variates(plan, sites, 5)
    assert fixed.at("fc")[Slot.MULTIPLIER] == ControlVariate("optrunc8_3", 5)
    assert with_control_variates(Plan().with_("fc", Integer()), sites) == Plan().with_("fc", Integer())


def test_bad_choices_are_refused():
    with pytest.raises(PlanError, match="bits of 'control_variate' are 0 to 8, the operand of 'dadda8', not 9"):
        ControlVariate("dadda8", 9)
    with pytest.raises(
        PlanError, match="fraction_bits of 'control_variate' are 0 to 16, or -1 for as many as fit, not 17"
    ):
        ControlVariate("dadda8", 3, 17)
    with pytest.raises(
        PlanError, match="activations of 'control_variate' cannot be 'calibrate'; did you mean 'calibrated'"
    ):
        ControlVariate("dadda8", 3, -1, "calibrate")
    with pytest.raises(PlanError, match="'drum8s_4' is a two's complement circuit"):
        ControlVariate("drum8s_4")
    with pytest.raises(RegistryError, match="unknown multiplier 'optrunk8_3'"):
        ControlVariate("optrunk8_3")


def test_bad_sites_are_refused():
    choice = ControlVariate("optrunc8_3", 3)
    choice.check(SITE)
    with pytest.raises(PlanError, match=r"site 'qk' is a product of two activations, .* 'name': 'optrunc8_3'} there"):
        choice.check(PRODUCT)
    with pytest.raises(PlanError, match="site 'up' is a transposed convolution, whose outputs add up unequal numbers"):
        Plan().with_("up", choice).check([TRANSPOSED])

    class Layer:
        site, operand = SITE, None

    with pytest.raises(PlanError, match="site 'fc' has a control variate but no integer operands"):
        choice.attach(None, [Layer()])
