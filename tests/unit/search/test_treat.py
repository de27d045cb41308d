"""Treatments side by side on digits with 4-bit weights and a multiplier that destroys the untreated network."""

from dataclasses import replace
from statistics import mean

import pytest

from laxity.core.errors import ConfigError, RunError
from laxity.core.plan import Plan, Recovery
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.evaluation.quality import predict
from laxity.search.treat import baselines, treat
from laxity.techniques import CircuitMultiplier, Integer

SETUP = Setup(task={"spec": "digits"}, target="mac-array-45nm")
COMMON = Recovery(epochs=3, samples=384, learning_rate=1e-3)


@pytest.fixture(scope="module")
def plan():
    sites = Evaluator(SETUP).prepared.sites
    return Plan.assign([s for s in sites if s.slots], [Integer(4, 8), CircuitMultiplier("coltrunc8_12")])


@pytest.mark.slow
def test_the_order_of_treatments_holds_in_the_mean(plan, tmp_path):
    ways = baselines(COMMON)
    found = treat(SETUP, plan, ways, [0, 1, 2], folder=tmp_path)
    after = {t.name: t.mean for t in found.after}
    assert list(after) == list(ways)
    assert after["none"] == found.before.mean < 0.5 < 0.9 < found.exact.mean
    best = max(after["distillation + gradient"], after["two-stage distillation + gradient"])
    assert (
        after["none"] <= after["batch-norm re-estimation"] <= after["fine-tuning"] <= after["distillation + gradient"]
    )
    assert after["gradient"] <= best
    assert after["distillation"] <= best
    assert after["error model"] >= after["fine-tuning"] - 0.02
    assert best >= after["none"] + 0.6
    assert found.before.spread == 0
    assert all(0 < t.spread < 0.05 for t in found.after if t.recovery is not None and t.recovery.epochs)
    assert found.energy_ratio < 0.6

    again, steps = tmp_path / "seed-1" / "evaluations.jsonl", []
    lines = again.read_bytes()
    same = treat(SETUP, plan, ways, [0, 1, 2], folder=tmp_path, progress=lambda what, done, *_: steps.append(done))
    assert same == found
    assert set(steps) == {0}
    assert again.read_bytes() == lines


def test_an_interrupted_comparison_goes_on(plan, tmp_path):
    ways = {"none": None, "short": Recovery(epochs=1, samples=64)}

    def stop(what, done, total, latest):
        if what.endswith("seed 1") and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        treat(SETUP, plan, ways, [0, 1], folder=tmp_path, progress=stop)
    totals = []
    found = treat(
        SETUP, plan, ways, [0, 1], folder=tmp_path, progress=lambda what, done, total, _: totals.append((what, total))
    )
    assert totals[0] == ("treatments, seed 0", 0)
    assert ("treatments, seed 1", 1) in totals
    assert max(total for _, total in totals) == 1
    alone = treat(SETUP, plan, ways, [0, 1])
    for one, other in zip((*found.after, found.exact), (*alone.after, alone.exact), strict=True):
        assert [replace(e, seconds=0) for e in one.evaluations] == [replace(e, seconds=0) for e in other.evaluations]
    assert found.after[1].mean == mean(found.after[1].accuracies)
    assert len({e.seed for e in found.after[1].evaluations}) == 2


def test_bad_requests_are_named(plan, tmp_path):
    with pytest.raises(ConfigError, match="treatments need at least one seed"):
        treat(SETUP, plan, {"none": None}, [])
    treat(SETUP, plan, {"none": None}, [0], folder=tmp_path)
    with pytest.raises(
        RunError, match="holds results of task 'digits' on target 'mac-array-45nm'; name another folder"
    ):
        treat(replace(SETUP, target="eyeriss-like"), plan, {"none": None}, [0], folder=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*file"):
        treat(SETUP, plan, {"none": None}, [0], folder=tmp_path / "file")


def test_gradients_are_named_with_the_treatments_that_have_one():
    usual, more = baselines(COMMON), baselines(COMMON, ["error_slope", "table_2d", "table_2d"])
    assert set(usual) < set(more)
    assert all(more[name] == usual[name] for name in usual)
    assert {name for name in more if name not in usual} == {
        f"{name} (table_2d)" for name in ("gradient", "distillation + gradient", "two-stage distillation + gradient")
    }
    for name in set(more) - set(usual):
        assert more[name] == replace(usual[name.removesuffix(" (table_2d)")], gradient="table_2d")
    assert not any(r.gradient == "error_slope" for r in baselines(COMMON, ["table_1d"]).values() if r is not None)


def test_the_test_split_is_looked_at_only_on_request(plan, tmp_path):
    ways = {"none": None, "short": Recovery(epochs=1, samples=64)}
    plain = treat(SETUP, plan, ways, [0, 1], folder=tmp_path)
    assert all(row.tested == () for row in (plain.exact, plain.before, *plain.after))
    found = treat(SETUP, plan, ways, [0, 1], test=True, folder=tmp_path)
    for row, before in zip(
        (found.exact, found.before, *found.after), (plain.exact, plain.before, *plain.after), strict=True
    ):
        assert replace(row, tested=()) == before
        assert [e.quality.split for e in row.tested] == ["test", "test"]
        assert [e.quality.samples for e in row.tested] == [500, 500]
        assert [e.plan_key for e in row.tested] == [e.plan_key for e in row.evaluations]
        assert [e.curve for e in row.tested] == [e.curve for e in row.evaluations]  # of the same weights
    evaluator = Evaluator(SETUP)
    model = evaluator.model(Plan.from_json(found.exact.tested[0].plan))
    right = predict(model, evaluator.task, "test").correct.mean()
    assert found.exact.tested[0].quality.value == right
    original = predict(evaluator.prepared.model, evaluator.task, "test").correct.mean()
    assert found.exact.tested[0].drop == pytest.approx(original - right)
    assert found.after[1].energy_ratio == mean(e.energy_ratio for e in found.after[1].evaluations)


def test_a_plan_stands_for_itself(plan):
    milder = Plan(
        tuple((s, k, CircuitMultiplier("coltrunc8_4") if c.kind == "multiplier" else c) for s, k, c in plan.choices)
    )
    found = treat(SETUP, plan, {"milder": milder, "trained": milder.with_recovery(Recovery(epochs=1, samples=64))}, [0])
    first, second = found.after
    assert [Plan.from_json(row.evaluations[0].plan).with_recovery(None) for row in found.after] == [milder, milder]
    assert first.recovery is None
    assert second.recovery == Recovery(epochs=1, samples=64)
    assert first.energy_ratio > found.energy_ratio
    assert first.mean > found.before.mean
