"""Records of evaluations, operations, demands and costs."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.demand import Demand, Mode, OperandTrace
from laxity.core.errors import RunError
from laxity.core.estimate import Basis, Estimate
from laxity.core.op import Op
from laxity.core.plan import Plan
from laxity.core.records import Cost, Evaluation, Quality, point_pj
from laxity.core.slots import Level, Slot
from laxity.techniques import Integer


def evaluation(**changes):
    plan = Plan().with_("a", Integer(4, 8))
    quality = Quality("accuracy", 0.9, 0.85, 0.94, 0.3, 200, "validation")
    record = Evaluation(
        plan.key, plan.to_json(), "digits", "f00", "mac-array-45nm", 0, "search", "data", quality, 0.01, 0.002, 0.05,
        0.1, 123.25, 0.5, 1e5, 1e4, 8e4, 0.75, {"torch": "2"},
    )  # fmt: skip
    return replace(record, **changes)


@settings(max_examples=50)
@given(
    drop=st.floats(-1, 1), energy_pj=st.floats(0, 1e12), seed=st.integers(0, 2**63), target=st.text(max_size=9),
)  # fmt: skip
def test_evaluations_survive_json(drop, energy_pj, seed, target):
    record = evaluation(drop=drop, energy_pj=energy_pj, seed=seed, target=target)
    assert Evaluation.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False))) == record


@pytest.mark.parametrize("name", [f.name for f in fields(Evaluation) if f.name != "curve"])
def test_missing_fields_are_named(name):
    data = evaluation().to_json()
    del data[name]
    with pytest.raises(RunError, match=f"an evaluation record is malformed: '{name}'; delete the line or start a new"):
        Evaluation.from_json(data)


@pytest.mark.parametrize("data", [[], 3, None, {"quality": 3}])
def test_other_json_is_refused(data):
    with pytest.raises(RunError, match="an evaluation record is malformed"):
        Evaluation.from_json(data)


def test_quality_of_another_form_is_refused():
    for quality in (3, {"metric": "accuracy"}, {"wrong": 1}):
        with pytest.raises(RunError, match="malformed"):
            Evaluation.from_json({**evaluation().to_json(), "quality": quality})


@pytest.mark.parametrize(
    ("drop", "error", "guard", "inside"),
    [
        (0.01, 0.0, 1, True),
        (0.0101, 0.0, 1, False),
        (0.008, 0.002, 1, True),
        (0.008, 0.003, 1, False),
        (0.008, 9, 0, True),
    ],
)
def test_budget_counts_the_guard(drop, error, guard, inside):
    assert evaluation(drop=drop, drop_error=error).within(0.01, guard) is inside


def test_costs_add_up_from_their_parts():
    parts = tuple(
        (site, part, Estimate(v, v / 2, v * 2, "pJ", basis, source))
        for site, part, v, basis, source in [
            ("a", "mac", 1.1, Basis.SYNTHESISED, "x"),
            ("a", "dram", 2.2, Basis.PUBLISHED, "y"),
            ("b", "mac", 3.3, Basis.MODELLED, "x"),
            ("b", "dram", 0.1, Basis.PUBLISHED, "y"),
        ]
    )
    unit = Estimate.point(1, "um2", Basis.MODELLED, "")
    cost = Cost(parts, unit, unit, unit)
    assert cost.energy_pj.value == math.fsum([1.1, 2.2, 3.3, 0.1])
    assert cost.energy_pj.basis is Basis.MODELLED
    assert cost.dram_energy_pj.value == math.fsum([2.2, 0.1])
    assert cost.dram_energy_pj.basis is Basis.PUBLISHED
    for grouped in (cost.by_site(), cost.by_component()):
        assert math.fsum(e.value for e in grouped.values()) == pytest.approx(cost.energy_pj.value, rel=1e-15)
    assert {k: e.value for k, e in cost.by_site().items()} == pytest.approx({"a": 3.3, "b": 3.4})
    assert {k: e.value for k, e in cost.by_component().items()} == pytest.approx({"mac": 4.4, "dram": 2.3})


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_energies_are_finite_and_not_negative(value):
    with pytest.raises(ValueError, match="an energy must be finite and not negative"):
        point_pj(value, Basis.MODELLED, "x")
    assert point_pj(2.0, Basis.MODELLED, "x").value == 2.0


def test_operations_count_all_calls():
    op = Op("conv2d", (4, 5, 5), (6, 2, 3, 3), (6, 5, 5), 2, 25, 18, 3, calls=3)
    assert op.macs == 3 * 2 * 25 * 18 * 3
    assert op.weight_elements == 108
    assert (op.input_elements, op.output_elements) == (300, 450)
    assert Op("matmul", (2, 3), (), (2, 4), 1, 2, 3, 4).weight_elements == 0


def test_demand_of_a_site_is_that_of_exact_eight_bits(make_site):
    site = make_site("x")
    demand = Demand.of(site)
    assert (demand.weight_bits, demand.input_bits, demand.output_bits, demand.accumulator_bits) == (8, 8, 8, 32)
    assert demand.macs == site.op.macs
    assert demand.multiplier == "dadda8"
    assert demand.weight_storage_bits == 8 * 108
    assert replace(demand, weight_bits=3, weight_nonzeros=10, index_bits=4).weight_storage_bits == 70


def test_operand_traces_are_keyed_by_content():
    def trace(**changes):
        parts = {
            "activations": np.arange(6).reshape(2, 3),
            "activation_signs": np.zeros((2, 3), np.int64),
            "weights": np.array([1, 2]),
            "weight_signs": np.array([0, 1]),
            "partial_sums": np.ones((2, 3), np.int64),
        }
        return OperandTrace(**{**parts, **changes})

    assert trace().key == trace(activations=np.asfortranarray(np.arange(6).reshape(2, 3))).key
    keys = {trace().key, trace(weights=np.array([1, 3])).key, trace(partial_sums=np.zeros((2, 3), np.int64)).key}
    assert len(keys) == 3


def test_slots_have_an_order_and_a_level():
    assert [s.order for s in Slot] == list(range(8))
    assert {s.value: s.level for s in Slot} == {
        "input": Level.DATA,
        "structure": Level.SOFTWARE,
        "operand": Level.DATA,
        "skip": Level.SOFTWARE,
        "multiplier": Level.HARDWARE,
        "accumulator": Level.HARDWARE,
        "memory": Level.HARDWARE,
        "guard": Level.HARDWARE,
    }


def test_records_of_older_versions_have_no_curve():
    data = evaluation().to_json()
    assert data.pop("curve") == []
    assert Evaluation.from_json(data) == evaluation()
    curve = ({"loss": 0.5, "accuracy": 0.25},)
    assert Evaluation.from_json(replace(evaluation(), curve=curve).to_json()).curve == curve


def test_weights_of_several_modes_take_the_mean_of_their_bits(make_site):
    """Half of 108 weights in 8 bits, the other half in 4; indices stay as wide as they are."""
    demand = replace(Demand.of(make_site("x")), modes=(Mode("dadda8", 8, 0.5), Mode("gated8_0_4", 4, 0.5)))
    assert demand.mean_weight_bits == 6.0
    assert (demand.widest_weight_bits, replace(demand, weight_bits=4).widest_weight_bits) == (8, 8)
    assert demand.weight_storage_bits == 54 * 8 + 54 * 4
    assert replace(demand, weight_nonzeros=10, index_bits=4).weight_storage_bits == 5 * (8 + 4) + 5 * (4 + 4)
