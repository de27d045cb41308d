"""Plans: equal by content whatever the order, through JSON and back, by rules, with errors that help."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import PlanError, RegistryError
from laxity.core.plan import Plan, Recovery
from laxity.core.serial import content_key
from laxity.core.slots import Level, Slot
from laxity.techniques import ChannelPruning, CircuitMultiplier, Integer, MagnitudePruning

HALF = MagnitudePruning(0.5)
W4 = Integer(4, 8)
W8 = Integer()
DRUM = CircuitMultiplier("drum8_4")
FEW = settings(deadline=None, max_examples=60)


@FEW
@given(data=st.data(), seed=st.integers(0, 1000))
def test_order_does_not_matter(plans, data, seed):
    plan = data.draw(plans)
    shuffled = list(plan.choices)
    random.Random(seed).shuffle(shuffled)
    again = Plan(tuple(shuffled), plan.recovery)
    assert again == plan
    assert hash(again) == hash(plan)
    assert again.key == plan.key
    assert [c[:2] for c in again] == sorted((c[:2] for c in plan), key=lambda c: (c[0], c[1].order))
    stepwise = Plan(recovery=plan.recovery)
    for site, _, choice in shuffled:
        stepwise = stepwise.with_(site, choice)
    assert stepwise == plan


@FEW
@given(data=st.data())
def test_json_gives_the_plan_back(plans, data):
    plan = data.draw(plans)
    text = json.dumps(plan.to_json(), allow_nan=False)
    again = Plan.from_json(json.loads(text))
    assert again == plan
    assert again.key == plan.key
    backwards = dict(reversed(json.loads(text).items()))
    backwards["sites"] = {s: dict(reversed(c.items())) for s, c in reversed(backwards["sites"].items())}
    assert Plan.from_json(backwards).key == plan.key


@FEW
@given(data=st.data())
def test_keys_differ_exactly_where_plans_differ(plans, data):
    one, other = data.draw(plans), data.draw(plans)
    assert (one.key == other.key) == (one == other)
    assert len(one.key) == 16
    assert int(one.key, 16) >= 0


def test_equal_numbers_of_other_types_are_the_same_plan():
    """1 and 1.0, numpy's and Python's numbers are equal choices, so their plans are one."""
    whole, fraction = Plan().with_("a", MagnitudePruning(1)), Plan().with_("a", MagnitudePruning(1.0))
    assert whole == fraction
    assert whole.key == fraction.key
    text = json.loads('{"sites": {"a": {"structure": {"kind": "magnitude", "density": 1}}}}')
    assert Plan.from_json(text).key == whole.key
    assert Plan().with_("a", MagnitudePruning(np.float64(0.5))).key == Plan().with_("a", HALF).key
    assert Plan().with_("a", Integer(np.int64(4), 8)).key == Plan().with_("a", W4).key
    assert Plan(recovery=Recovery(learning_rate=1)).key == Plan(recovery=Recovery(learning_rate=1.0)).key


@FEW
@given(data=st.data())
def test_diff_lists_what_turns_one_plan_into_the_other(plans, data):
    one, other = data.draw(plans), data.draw(plans)
    changed = one
    for site, slot, here, there in one.diff(other):
        assert one.at(site).get(slot) == here != there == other.at(site).get(slot)
        changed = changed.without(site, slot) if there is None else changed.with_(site, there)
    assert changed.choices == other.choices
    assert one.diff(one) == []
    assert [(s, t, b, a) for s, t, a, b in other.diff(one)] == one.diff(other)


def test_looking_into_a_plan():
    plan = Plan().with_("b", DRUM, HALF, W4).with_("a", W8)
    assert list(plan.at("b").items()) == [(Slot.STRUCTURE, HALF), (Slot.OPERAND, W4), (Slot.MULTIPLIER, DRUM)]
    assert plan.at("c") == {}
    assert plan.sites() == ["a", "b"]
    assert plan.levels() == {Level.DATA, Level.SOFTWARE, Level.HARDWARE}
    assert plan.with_("b", W8).at("b") == {Slot.STRUCTURE: HALF, Slot.OPERAND: W8, Slot.MULTIPLIER: DRUM}
    assert plan.without("b", Slot.OPERAND).at("b") == {Slot.STRUCTURE: HALF, Slot.MULTIPLIER: DRUM}
    assert plan.without("b", Slot.MEMORY) == plan
    assert Plan().levels() == set()


def test_recovery_is_part_of_the_plan():
    plan = Plan().with_("a", W8)
    trained = plan.with_recovery(Recovery(epochs=2))
    assert trained.key != plan.key
    assert trained.with_recovery(None) == plan
    assert trained.diff(plan) == []


def test_two_choices_for_one_slot_are_refused():
    with pytest.raises(PlanError, match="site 'a' has two choices for slot 'operand'; keep one"):
        Plan((("a", Slot.OPERAND, W4), ("a", Slot.OPERAND, W8)))
    with pytest.raises(PlanError, match="site 'a' has two choices for slot 'structure'; keep one"):
        Plan().with_("a", HALF, ChannelPruning(0.5))


def test_choice_in_a_foreign_slot_is_refused():
    with pytest.raises(PlanError, match="'integer' at site 'a' belongs to slot 'operand', not 'multiplier'"):
        Plan((("a", Slot.MULTIPLIER, W4),))


class TestAssign:
    """Rules from the general to the particular."""

    def test_default_goes_where_its_slot_exists(self, sites):
        plan = Plan.assign(sites, [W8, HALF])
        assert all(plan.at(s.name)[Slot.OPERAND] == W8 for s in sites)
        assert plan.at("block:matmul#0") == {Slot.OPERAND: W8}

    def test_default_may_be_any_iterable(self, sites):
        assert Plan.assign(sites, iter([W8, HALF])) == Plan.assign(sites, [W8, HALF])
        rules = {"by_type": {"conv2d": iter([W4])}, "by_pattern": {"block.*": iter([DRUM])}, "first": iter([HALF])}
        again = {"by_type": {"conv2d": [W4]}, "by_pattern": {"block.*": [DRUM]}, "first": [HALF]}
        assert Plan.assign(sites, (W8,), **rules) == Plan.assign(sites, (W8,), **again)

    def test_type_then_pattern_then_name(self, sites):
        plan = Plan.assign(
            sites, [W8], by_type={"conv2d": [W4, HALF]}, by_pattern={"block.*": [DRUM], "block.conv2": [W8]}
        )
        assert plan.at("stem") == {Slot.STRUCTURE: HALF, Slot.OPERAND: W4}
        assert plan.at("block.conv1") == {Slot.STRUCTURE: HALF, Slot.OPERAND: W4, Slot.MULTIPLIER: DRUM}
        assert plan.at("block.conv2") == {Slot.STRUCTURE: HALF, Slot.OPERAND: W8, Slot.MULTIPLIER: DRUM}
        assert plan.at("head") == {Slot.OPERAND: W8}

    def test_later_patterns_win(self, sites):
        assert Plan.assign(sites, by_pattern={"*conv1": [W4], "block*": [W8]}).at("block.conv1")[Slot.OPERAND] == W8

    def test_first_and_last_replace_slot_by_slot(self, sites):
        plan = Plan.assign(sites, [W4, HALF], first=[W8], last=[DRUM])
        assert plan.at("stem") == {Slot.STRUCTURE: HALF, Slot.OPERAND: W8}
        assert plan.at("head") == {Slot.STRUCTURE: HALF, Slot.OPERAND: W4, Slot.MULTIPLIER: DRUM}

    def test_empty_lists_leave_sites_exact(self, sites):
        plan = Plan.assign(sites, [W4], by_pattern={"block*": []}, first=[], last=())
        assert plan == Plan()

    def test_rules_that_match_nothing_are_refused(self, sites):
        with pytest.raises(PlanError, match=r"pattern 'blok\*' matches no site; sites: stem, block.conv1"):
            Plan.assign(sites, by_pattern={"blok*": [W4]})
        with pytest.raises(PlanError, match="type 'conv1d' matches no site; sites: stem"):
            Plan.assign(sites, by_type={"conv1d": [W4]})

    def test_assigned_plans_pass_the_check(self, sites):
        Plan.assign(sites, [W4, HALF, DRUM]).check(sites)

    def test_no_sites_make_an_empty_plan(self):
        assert Plan.assign([], [W4], first=[W8], last=[W8]) == Plan()


def test_check_names_unknown_sites_and_slots(sites):
    Plan().check(sites)
    with pytest.raises(PlanError, match=r"the plan names an unknown site 'block.conv3'; did you mean 'block.conv"):
        Plan().with_("block.conv3", W4).check(sites)
    with pytest.raises(PlanError, match=r"unknown site 'zzz'; known: block.conv1, block.conv2, block:matmul#0, head"):
        Plan().with_("zzz", W4).check(sites)
    with pytest.raises(
        PlanError, match="'block:matmul#0' has no slot 'structure' for 'magnitude'; it has: operand, multiplier"
    ):
        Plan().with_("block:matmul#0", HALF).check(sites)


def test_check_tells_where_a_site_has_no_slots(make_site):
    with pytest.raises(PlanError, match="site 'f#0' has no slot 'operand' for 'integer'; it has: none"):
        Plan().with_("f#0", W4).check([make_site("f#0", slots=())])


INT = {"kind": "integer"}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([], PlanError, "a plan must be an object with 'sites'"),
        ({}, PlanError, "a plan must be an object with 'sites'"),
        ({"sites": []}, PlanError, "a plan must be an object with 'sites'"),
        ({"sites": {}, "stes": 1}, PlanError, "a plan has no key 'stes'; it has 'sites' and 'recovery'"),
        ({"sites": {"a": 3}}, PlanError, "site 'a' of the plan must map slots to choices, not 3"),
        (
            {"sites": {"a": {"operands": INT}}},
            PlanError,
            "'a' names an unknown slot 'operands'; did you mean 'operand'",
        ),
        ({"sites": {"a": {"operand": 4}}}, PlanError, "a choice must be an object with a 'kind', not 4"),
        ({"sites": {"a": {"operand": {"bits": 4}}}}, PlanError, "a choice must be an object with a 'kind'"),
        ({"sites": {"a": {"operand": {"kind": 4}}}}, PlanError, "a choice must be an object with a 'kind'"),
        (
            {"sites": {"a": {"operand": {"kind": "intger"}}}},
            RegistryError,
            "unknown technique 'intger'; did you mean 'int",
        ),
        (
            {"sites": {"a": {"multiplier": INT}}},
            PlanError,
            "'integer' at site 'a' belongs to slot 'operand', not 'multi",
        ),
        (
            {"sites": {"a": {"operand": {**INT, "weight_bit": 4}}}},
            PlanError,
            "technique 'integer' has no parameter 'weight_bit'; did you mean 'weight_bits'",
        ),
        (
            {"sites": {"a": {"operand": {**INT, "weight_bits": 4.0}}}},
            PlanError,
            "parameter 'weight_bits' of technique 'integer' must be int, not 4.0",
        ),
        (
            {"sites": {"a": {"operand": {**INT, "percentile": "0.9"}}}},
            PlanError,
            "parameter 'percentile' of technique 'integer' must be float, not '0.9'",
        ),
        (
            {"sites": {"a": {"structure": {"kind": "magnitude", "normalised": 1}}}},
            PlanError,
            "parameter 'normalised' of technique 'magnitude' must be bool, not 1",
        ),
        ({"sites": {}, "recovery": 3}, PlanError, "'recovery' of the plan must be an object or null, not 3"),
        (
            {"sites": {}, "recovery": {"epoch": 3}},
            PlanError,
            "recovery has no parameter 'epoch'; did you mean 'epochs'",
        ),
        ({"sites": {}, "recovery": {"epochs": "3"}}, PlanError, "parameter 'epochs' of recovery must be int, not '3'"),
        ({"sites": {}, "recovery": {"epochs": 1.5}}, PlanError, "parameter 'epochs' of recovery must be int, not 1.5"),
        ({"sites": {}, "recovery": {"reestimate": 1}}, PlanError, "'reestimate' of recovery must be bool, not 1"),
        ({"sites": {}, "recovery": {"batch_size": 0}}, PlanError, "recovery has a value out of range: .*batch_size=0"),
    ],
)
def test_malformed_plans_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        Plan.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": -1},
        {"batch_size": 0},
        {"samples": -1},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"distil": 1.5},
        {"temperature": 0.0},
    ],
)
def test_recovery_out_of_range_is_refused(change):
    with pytest.raises(PlanError, match="recovery has a value out of range"):
        Recovery(**change)


TREATED = Recovery(
    epochs=2, schedule="error", teacher="quantised", quantised_epochs=3, gradient="error_slope", regularise=0.05,
    alpha=0.1, compensate=True,
)  # fmt: skip


def test_treatments_are_written_where_they_are_not_usual_and_read_back():
    """Keys of plans that were made before there were treatments stay what they were."""
    usual = {
        "reestimate": True, "epochs": 2, "learning_rate": 1e-3, "batch_size": 64, "samples": 0, "distil": 0.9,
        "temperature": 4.0,
    }  # fmt: skip
    plain = Plan(recovery=Recovery(epochs=2))
    assert plain.to_json()["recovery"] == usual
    assert Plan.from_json({"sites": {}, "recovery": usual}).key == plain.key == content_key(plain.to_json())
    treated = Plan(recovery=TREATED)
    assert Plan.from_json(json.loads(json.dumps(treated.to_json()))) == treated
    new = set(treated.to_json()["recovery"]) - set(usual)
    assert new == {"schedule", "teacher", "quantised_epochs", "gradient", "regularise", "alpha", "compensate"}
    one_each = [replace(Recovery(epochs=2), **{name: getattr(TREATED, name)}) for name in new]
    assert len({Plan(recovery=r).key for r in (*one_each, TREATED, plain.recovery)}) == len(new) + 2


@pytest.mark.parametrize(
    ("change", "trains", "staged"),
    [
        ({}, False, False),
        ({"teacher": "quantised"}, False, False),
        ({"epochs": 1}, True, False),
        ({"quantised_epochs": 1}, True, True),
        ({"epochs": 1, "teacher": "quantised"}, True, True),
    ],
)
def test_recoveries_know_whether_they_train_and_in_how_many_stages(change, trains, staged):
    recovery = Recovery(**change)
    assert (recovery.trains, recovery.staged) == (trains, staged)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regularise": 1.5}, "recovery has a value out of range: .*regularise=1.5"),
        ({"alpha": -0.1}, "recovery has a value out of range: .*alpha=-0.1"),
        ({"quantised_epochs": -1}, "recovery has a value out of range: .*quantised_epochs=-1"),
        ({"teacher": "quantized"}, "recovery has no teacher 'quantized'; did you mean 'quantised'"),
        ({"schedule": "linear"}, "recovery has no schedule 'linear'"),
        ({"gradient": 3}, "parameter 'gradient' of recovery must be str, not 3"),
        ({"modelled": "yes"}, "parameter 'modelled' of recovery must be bool, not 'yes'"),
        ({"modelled": True, "gradient": "table_1d"}, "leave gradient='table_1d' or modelled=True out"),
    ],
)
def test_bad_treatments_are_refused(change, message):
    with pytest.raises(PlanError, match=message):
        Recovery(**change)
