"""The first stage of a network whose filters have modes: mode 0 everywhere, shared by all that differ in modes."""

import pytest

from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.recovery.recipe import quantised_plan
from laxity.techniques import CircuitMultiplier, FilterMultipliers, Integer

STAGED = Recovery(quantised_epochs=1, samples=64, reestimate=False)
SITES = {"conv1": 16, "conv2": 32, "conv3": 32, "linear": 10}


def plan_of(circuits, bits, digit, operands=None):
    plan = Plan(recovery=STAGED)
    for site, filters in SITES.items():
        plan = plan.with_(site, operands or Integer(), FilterMultipliers.of(circuits, (digit,) * filters, bits))
    return plan


@pytest.mark.parametrize("bits", [None, [8, 5]])
def test_exact_modes_leave_no_trace(bits):
    first = quantised_plan(plan_of(["gated8_0_0", "gated8_3_3"], bits, 1))
    uniform = Plan(tuple((s, Slot.OPERAND, Integer()) for s in SITES)).with_recovery(STAGED)
    assert first == quantised_plan(uniform)


def test_inexact_ones_stay_in_mode_0():
    first = quantised_plan(plan_of(["coltrunc8_6", "coltrunc8_9"], None, 1))
    assert {c for _, slot, c in first if slot is Slot.MULTIPLIER} == {FilterMultipliers("coltrunc8_6")}
    assert first == quantised_plan(plan_of(["coltrunc8_6", "coltrunc8_12", "mitchell8"], None, 2))
    narrow = quantised_plan(plan_of(["dadda8", "drum8_4"], [4, 3], 1))
    assert {c for _, slot, c in narrow if slot is Slot.MULTIPLIER} == {FilterMultipliers("dadda8", "4")}
    same = plan_of(["dadda8", "drum8_4"], [4, 3], 1, Integer(4, 8))
    assert all(slot is not Slot.MULTIPLIER for _, slot, _ in quantised_plan(same))
    alone = Plan(tuple((s, Slot.MULTIPLIER, CircuitMultiplier("mitchell8")) for s in SITES)).with_recovery(STAGED)
    assert quantised_plan(alone).choices == ()


def test_plans_that_differ_in_modes_have_the_weights_of_one_training(tmp_path):
    setup = Setup(task={"spec": "digits"}, target="mac-array-45nm", folder=str(tmp_path), search_samples=32)
    evaluator = Evaluator(setup)
    circuits, bits = ["coltrunc8_6", "coltrunc8_9", "coltrunc8_10"], [8, 6, 5]
    models = [evaluator.model(plan_of(circuits, bits, digit)) for digit in range(3)]
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    weights = [dict(m.named_parameters()) for m in models]
    for name, value in weights[0].items():
        assert all(value.equal(other[name]) for other in weights[1:])
    plans = [plan_of(circuits, bits, digit) for digit in range(3)]
    drops = [evaluator.evaluate(p, "search").divergence for p in plans]
    assert drops == sorted(drops)
    assert drops[0] < drops[2]
