"""The stages of a recovery: their order, who starts from whom, who teaches whom."""

from dataclasses import replace

import pytest
import torch

from laxity import load_task
from laxity.core.plan import Plan, Recovery
from laxity.emulate.apply import calibration_inputs, predictions
from laxity.emulate.reestimate import statistics
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.recovery import recipe as stages
from laxity.recovery.recipe import Options, quantised_plan, recover, repair
from laxity.sites import find_sites, prepare
from laxity.techniques import CircuitMultiplier, Integer, MagnitudePruning

STAGED = Recovery(epochs=1, samples=128, quantised_epochs=2, teacher="quantised", gradient="error_slope")


@pytest.fixture(scope="module")
def task():
    torch.set_num_threads(1)
    return load_task("digits")


@pytest.fixture(scope="module")
def plan(task):
    sites = find_sites(task.model, task.example_input)
    choices = [Integer(4, 8), CircuitMultiplier("coltrunc8_11"), MagnitudePruning(0.8)]
    return Plan.assign(sites, choices, last=[Integer(8, 8)])


def test_the_first_stage_is_the_plan_with_exact_circuits(plan):
    first = quantised_plan(plan.with_recovery(STAGED))
    assert [(s, c) for s, t, c in first] == [(s, c) for s, t, c in plan if c.kind != "multiplier"]
    assert first.recovery == Recovery(epochs=2, samples=128)
    assert quantised_plan(first) is None
    for one_stage in (None, Recovery(), Recovery(epochs=3, gradient="table_1d", modelled=False)):
        assert quantised_plan(plan.with_recovery(one_stage)) is None
    untrained = quantised_plan(plan.with_recovery(Recovery(epochs=1, teacher="quantised")))
    assert untrained.recovery == Recovery()


def test_plans_that_differ_in_circuits_share_their_first_stage(plan, task):
    other = plan
    for site in plan.sites():
        other = other.with_(site, CircuitMultiplier("mitchell8"))
    treated = STAGED, replace(STAGED, gradient="table_2d", regularise=0.1, compensate=True, schedule="error")
    keys = {quantised_plan(p.with_recovery(r)).key for p in (plan, other) for r in treated}
    assert len(keys) == 1


def test_stages_run_in_order_with_the_right_teachers(task, plan, monkeypatch):
    calls = []

    def train(model, _, recovery, *, teacher, **arguments):
        circuits = {getattr(m.multiplier, "name", None) for m in model.modules() if hasattr(m, "multiplier")}
        calls.append((recovery.epochs, circuits, teacher, model))
        with torch.no_grad():
            model.conv1.weight.add_(0.125)
        return [{"loss": 1.0}]

    monkeypatch.setattr(stages, "train", train)
    recover(task, plan.with_recovery(STAGED), seed=0)
    (epochs, circuits, original, first), (more, approximate, teacher, second) = calls
    assert (epochs, circuits) == (2, {None})
    assert (more, approximate) == (1, {"coltrunc8_11"})
    assert teacher is first
    assert original is not first
    assert not any(hasattr(m, "multiplier") for m in original.modules())
    assert torch.equal(second.conv1.weight, first.conv1.weight + 0.125)
    assert torch.equal(second.conv2.weight, first.conv2.weight)
    calls.clear()
    recover(task, plan.with_recovery(replace(STAGED, teacher="original")), seed=0)
    assert [c[0] for c in calls] == [2, 1]
    assert not any(hasattr(m, "multiplier") for m in calls[1][2].modules())


def test_the_second_stage_starts_with_the_statistics_of_the_first(task, plan):
    prepared, inputs = prepare(task.model, task.example_input), calibration_inputs(task, "cpu")
    quantised = repair(prepared, quantised_plan(plan.with_recovery(STAGED)), task, inputs, Options(0)).model
    start = replace(STAGED, epochs=0)
    found = {}
    for again in (False, True):
        given = plan.with_recovery(replace(start, reestimate=again))
        found[again] = repair(prepared, given, task, inputs, Options(0), quantised=quantised).model
    wanted = statistics(quantised, set(prepared.norms), inputs)
    for name in prepared.norms:
        far, near = (statistics(found[k], {name}, inputs)[name] for k in (False, True))
        assert (near[0] - wanted[name][0]).abs().mean() < 0.2 * (far[0] - wanted[name][0]).abs().mean()
        assert torch.allclose(near[1], wanted[name][1], rtol=0.02, atol=1e-3)
    target = predictions(quantised, inputs)
    errors = {k: float((predictions(m, inputs) - target).square().mean()) for k, m in found.items()}
    assert errors[True] < 0.5 * errors[False]


def test_with_exact_circuits_the_stages_are_one_long_training_in_two_parts(task):
    """Nothing is lost between them: the second one starts from the very network of the first."""
    sites = find_sites(task.model, task.example_input)
    exact = Plan.assign(sites, [Integer(4, 8), CircuitMultiplier("dadda8")])
    given = Recovery(epochs=0, quantised_epochs=1, samples=128, teacher="quantised", reestimate=False)
    prepared, inputs = prepare(task.model, task.example_input), calibration_inputs(task, "cpu")
    first = repair(prepared, quantised_plan(exact.with_recovery(given)), task, inputs, Options(0)).model
    second = recover(task, exact.with_recovery(given), seed=0).model
    x = task.validation.fetch(range(50))[0]
    assert torch.equal(first(x), second(x))


def test_the_evaluator_keeps_stages_curves_and_weights(tmp_path, plan):
    setup = Setup(task={"spec": "digits"}, target="mac-array-45nm", folder=str(tmp_path))
    wanted = plan.with_recovery(STAGED)
    records, steps = [], []
    for _ in range(2):
        evaluator = Evaluator(setup, progress=lambda *step: steps.append(step))
        records.append(evaluator.evaluate(wanted, "recovery"))
    assert replace(records[0], seconds=0) == replace(records[1], seconds=0)
    assert len(steps) == 2 * 2 + 2
    assert [set(epoch) for epoch in records[0].curve] == [{"loss", "accuracy"}]
    first = quantised_plan(wanted)
    assert {p.name for p in tmp_path.iterdir()} == {f"{p.key}.safetensors" for p in (wanted, first)}
    assert len(evaluator.evaluate(first, "recovery").curve) == 2
    alone = recover(evaluator.task, wanted, seed=0)
    x = evaluator.task.validation.fetch(range(50))[0]
    assert torch.equal(alone.model(x), evaluator.model(wanted)(x))
    assert evaluator.evaluate(plan, "recovery").curve == ()
