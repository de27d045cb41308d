"""The MULTIPLIER technique of several circuits."""

import json

import numpy as np
import pytest

from laxity.circuits import catalogue
from laxity.core.approximation import Approximation
from laxity.core.demand import Demand, Mode
from laxity.core.errors import CircuitError, PlanError, RegistryError
from laxity.core.op import Op, Site
from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.techniques import FilterMultipliers, Integer
from laxity.techniques.hardware.filter_multipliers import mean_error

SLOTS = (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER)
SITE = Site("fc", Op("linear", (3,), (5, 3), (5,), 1, 1, 3, 5), SLOTS, "fc")
TRANSPOSED = Site("up", Op("conv_transpose1d", (4, 3), (4, 3, 2), (6, 4), 2, 3, 2, 6), SLOTS, "up")
PRODUCT = Site("qk", Op("matmul", (3, 4), (), (3, 3), 1, 3, 4, 3), (Slot.OPERAND, Slot.MULTIPLIER), "qk")
MIXED = FilterMultipliers("dadda8 drum8_4 drum8_4", "8 8 4", "01120")


def test_round_trip():
    plan = Plan().with_("fc", Integer(), MIXED)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert Approximation.from_json(MIXED.to_json()) == MIXED
    assert FilterMultipliers.of(["dadda8", "drum8_4", "drum8_4"], [0, 1, 1, 2, 0], [8, 8, 4]) == MIXED
    assert FilterMultipliers.of(["drum8_4"], [0, 0]) == FilterMultipliers("drum8_4", "", "00")


def test_demand_has_the_shares_of_modes():
    demand = MIXED.demand(Integer().demand(Demand.of(SITE), {}), {})
    assert demand.modes == (Mode("dadda8", 8, 0.4), Mode("drum8_4", 8, 0.4), Mode("drum8_4", 4, 0.2))
    assert (demand.multiplier, demand.weight_bits) == ("dadda8", 8)
    assert demand.mean_weight_bits == pytest.approx(7.2)


def test_demand_of_filters_that_are_all_alike_names_no_modes():
    demand = FilterMultipliers("dadda8 drum8_4", "8 6", "11111").demand(Demand.of(SITE), {})
    assert (demand.multiplier, demand.weight_bits, demand.modes) == ("drum8_4", 6, ())
    same = FilterMultipliers("drum8_4 drum8_4", "", "01010").demand(Integer(6).demand(Demand.of(SITE), {}), {})
    assert (same.multiplier, same.weight_bits, same.modes) == ("drum8_4", 6, ())


def test_demand_counts_channels_that_pruning_left():
    demand = MIXED.demand(Demand.of(SITE), {"weight_nonzeros": 6.0, "kept:3": 1.0, "kept:4": 1.0})
    assert demand.modes == (Mode("drum8_4", 4, 0.5), Mode("dadda8", 8, 0.5))


def test_mean_errors_are_those_of_tables_with_rounded_weights():
    a, b = np.arange(256), np.arange(256)
    for name, bits in (("dadda8", 8), ("dadda8", 4), ("mitchell8", 8), ("drum8_4", 5)):
        step = 2 ** (8 - bits)
        rounded = np.minimum(np.rint(b / step), 2**bits - 1).astype(int) * step
        expected = np.abs(catalogue.get(name).table[:, rounded] - np.multiply.outer(a, b)).mean()
        assert mean_error(name, bits) == pytest.approx(expected)
    assert 0 == mean_error("dadda8", 8) < mean_error("drum16_6", 16) < mean_error("drum16_6", 4)


def test_labels_and_circuits():
    assert MIXED.label() == "40% dadda8/w8 + 40% drum8_4/w8 + 20% drum8_4/w4"
    assert MIXED.circuits_used() == ("dadda8", "drum8_4")
    assert FilterMultipliers("dadda8 drum8_4", "", "111").circuits_used() == ("drum8_4",)
    assert FilterMultipliers("dadda8 drum8_4").label() == "100% dadda8"


def test_original_channels_are_counted():
    MIXED.check(SITE)
    FilterMultipliers("dadda8 drum8_4", "", "010101").check(TRANSPOSED)
    for site, outputs in ((SITE, 5), (TRANSPOSED, 6)):
        with pytest.raises(PlanError, match=f"name 4 filters, and site '{site.name}' has {outputs} output channels"):
            FilterMultipliers("dadda8 drum8_4", "", "0101").check(site)
    with pytest.raises(
        PlanError, match=r"site 'qk' is a product of two activations, which has no filters; use .*'mult"
    ):
        FilterMultipliers("dadda8").check(PRODUCT)
    with pytest.raises(PlanError, match="name 4 filters, and site 'fc' has 5"):
        Plan().with_("fc", FilterMultipliers("dadda8", "", "0000")).check([SITE])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "", ""), r"1 to 10 names separated by blanks, not 0: ''"),
        ((" ".join(["dadda8"] * 11), "", ""), r"1 to 10 names separated by blanks, not 11"),
        (("dadda8 drum8s_4", "", ""), r"'drum8s_4' of 'filter_multipliers' is a two's complement circuit"),
        (("dadda8 drum8_4", "8", "01"), r"name 1 widths \('8'\) for 2 circuits \('dadda8 drum8_4'\); give one per"),
        (("dadda8", "1", "0"), r"whole numbers from 2 on separated by blanks, not '1' in '1'"),
        (("dadda8", "four", "0"), r"not 'four' in 'four'"),
        (
            ("dadda8 drum8_4", "", "0102"),
            r"hold '2' at output channel 3, and there are the modes 0 to 1, .*'dadda8 drum8_4'",
        ),
        (("dadda8 drum8_4", "", "0x"), r"hold 'x' at output channel 1"),
        (("dadda8 drum8_4", "", "0²"), r"hold '²' at output channel 1"),
    ],
)
def test_bad_choices_are_refused(arguments, message):
    with pytest.raises(PlanError, match=message):
        FilterMultipliers(*arguments)


def test_unknown_circuits_are_refused():
    with pytest.raises(RegistryError, match="unknown multiplier 'drumm8_4'; did you mean 'drum8_4'"):
        FilterMultipliers("dadda8 drumm8_4")
    with pytest.raises(CircuitError, match="k=17 in 'drum16_17' is out of range"):
        FilterMultipliers("drum16_17")
    with pytest.raises(PlanError, match=r"digits from 0 to 9, not \[0, 10\]"):
        FilterMultipliers.of(["dadda8"], [0, 10])


class Coder:
    bits = 6


class Operand:
    weight = Coder()


class Layer:
    site, operand, outputs, kept = SITE, None, 5, None


def test_layers_need_codes_that_are_wide_enough():
    with pytest.raises(PlanError, match="site 'fc' has multipliers but floating-point operands"):
        MIXED.attach(None, [Layer()])
    layer = Layer()
    layer.operand = Operand()
    with pytest.raises(
        PlanError, match=r"a mode of site 'fc' has weights of 8 bits \('8 8 4'\), and the OPERAND choice st"
    ):
        MIXED.attach(None, [layer])
    FilterMultipliers("dadda8 drum8_4", "", "00100").attach(None, [layer])
    assert layer.multiplier.numbers == (0, 0, 1, 0, 0)
    assert layer.multiplier.core_of(2) is catalogue.get("drum8_4")
