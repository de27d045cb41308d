"""The OPERAND technique: parameters, candidates and demand."""

import math

import pytest

from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.techniques import Integer

OP = Op("linear", (300,), (5, 300), (5,), 1, 1, 300, 5)
SITE = Site("fc", OP, (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER), "fc")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weight_bits": 1}, "weight_bits of 'integer' must be between 2 and 16, not 1"),
        ({"input_bits": 17}, "input_bits of 'integer' must be between 2 and 16, not 17"),
        (
            {"weight_scheme": "asymmetric"},
            "weight_scheme of 'integer' cannot be 'asymmetric'; did you mean 'symmetric'",
        ),
        ({"input_scheme": "afine"}, "input_scheme of 'integer' cannot be 'afine'; did you mean 'affine'?"),
        ({"granularity": "layer"}, "granularity of 'integer' cannot be 'layer'"),
        ({"calibration": "min-max"}, "calibration of 'integer' cannot be 'min-max'; did you mean 'minmax'?"),
        ({"percentile": 0.2}, "percentile of 'integer' is a fraction between 0.5 and 1, not 0.2"),
        ({"percentile": math.nan}, "percentile of 'integer' is a fraction"),
        ({"weight_bits": 7.5}, "parameter 'weight_bits' of technique 'integer' must be int, not 7.5"),
        ({"weight_bits": True}, "parameter 'weight_bits' of technique 'integer' must be int, not True"),
        ({"weight_bits": "8"}, "parameter 'weight_bits' of technique 'integer' must be int, not '8'"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(PlanError, match=message):
        Integer(**parameters)


def test_candidates_are_narrower_than_the_base_and_distinct():
    found = Integer.candidates(SITE)
    assert len(set(found)) == len(found)
    assert all(c.weight_bits + c.input_bits < 16 for c in found)
    assert (found[0].weight_bits, found[-1].weight_bits) == (6, 2)


@pytest.mark.parametrize("bits", [(8, 8), (4, 6), (2, 2)])
def test_demand_counts_bits_of_words_and_sums(bits):
    demand = Integer(*bits).demand(Demand.of(SITE), {})
    assert (demand.weight_bits, demand.input_bits) == bits
    widest = 300 * (2 ** bits[0] - 1) * (2 ** bits[1] - 1)
    assert 2**demand.accumulator_bits > widest
    assert demand.accumulator_bits <= 32


@pytest.mark.parametrize(("bits", "multiplier"), [((8, 8), "dadda8"), ((9, 4), "dadda9"), ((16, 12), "dadda16")])
def test_wide_codes_need_wide_multipliers_and_sums(bits, multiplier):
    demand = Integer(*bits).demand(Demand.of(SITE), {})
    assert demand.multiplier == multiplier
    assert 2**demand.accumulator_bits > 300 * (2 ** bits[0] - 1) * (2 ** bits[1] - 1)
    assert demand.arithmetic == "integer"


def test_label():
    assert Integer(4, 6).label() == "w4a6"
