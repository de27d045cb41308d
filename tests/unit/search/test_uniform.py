"""One multiplier for the whole network: the ladder is climbed from mild to brutal, and stops where it should."""

from dataclasses import replace

import pytest

from laxity import approximate, find_sites, load_task, retrain
from laxity.core.errors import ConfigError, PlanError
from laxity.core.plan import Plan, Recovery
from laxity.evaluation.evaluator import Setup
from laxity.search.journaled import unfinished
from laxity.search.uniform import uniform
from laxity.techniques import Integer

SETUP = Setup(task={"spec": "digits"}, target="mac-array-45nm")
NAMES = ["coltrunc8_12", "coltrunc8_6", "mitchell8", "coltrunc8_10"]
SHORT = Recovery(epochs=1, samples=128)


def choices(evaluation):
    return {(c.kind, c.label()) for _, _, c in Plan.from_json(evaluation.plan)}


def test_the_climb_stops_at_the_first_that_is_over_the_budget(tmp_path):
    found = uniform(SETUP, NAMES, max_drop=0.05, recipe=SHORT, folder=tmp_path)
    ratios = [rung.before.energy_ratio for rung in found.rungs]
    assert ratios == sorted(ratios, reverse=True)
    assert all(r < 1 for r in ratios)
    assert found.quantised.energy_ratio == 1
    accepted = [rung.accepted for rung in found.rungs]
    stop = accepted.index(False)
    assert 0 < stop == sum(accepted)
    assert found.rungs[stop].name == "coltrunc8_12"
    assert found.rungs[stop].after is not None
    assert all(rung.after is None for rung in found.rungs[stop + 1 :])
    assert found.chosen == found.rungs[stop - 1]
    for rung in found.rungs[: stop + 1]:
        assert (
            choices(rung.after) == choices(rung.before) == {("integer", Integer().label()), ("multiplier", rung.name)}
        )
        assert Plan.from_json(rung.after.plan).recovery == SHORT
        assert rung.accepted == (rung.after.drop <= 0.05)

    steps = []
    again = uniform(
        SETUP, NAMES, max_drop=0.05, recipe=SHORT, folder=tmp_path, progress=lambda *step: steps.append(step[1])
    )
    assert again == found
    assert set(steps) == {0}

    whole = uniform(SETUP, NAMES, max_drop=0.05, recipe=SHORT, folder=tmp_path, whole=True)
    assert [r.name for r in whole.rungs] == [r.name for r in found.rungs]
    assert all(rung.after is not None for rung in whole.rungs)
    assert whole.chosen.energy_ratio <= found.chosen.energy_ratio
    assert [replace(r, after=None) for r in whole.rungs[:stop]] == [replace(r, after=None) for r in found.rungs[:stop]]


def test_the_quantised_network_is_trained_where_quantisation_alone_is_over_the_budget():
    found = uniform(
        SETUP, ["coltrunc8_12"], max_drop=0.005, recipe=replace(SHORT, compensate=True), operands=Integer(2, 8)
    )
    recovery = Plan.from_json(found.quantised.plan).recovery
    assert recovery == SHORT
    assert choices(found.quantised) == {("integer", Integer(2, 8).label())}
    assert found.chosen is None
    assert not found.rungs[0].accepted


def test_bad_requests_are_named():
    with pytest.raises(ConfigError, match="needs at least one multiplier"):
        uniform(SETUP, [])
    with pytest.raises(PlanError, match="is a two's complement circuit"):
        uniform(SETUP, ["drum8s_4"])


def test_what_is_reported_is_judged_on_the_test_split(tmp_path):
    plain = uniform(SETUP, NAMES, max_drop=0.05, recipe=SHORT, folder=tmp_path)
    found = uniform(SETUP, NAMES, max_drop=0.05, recipe=SHORT, folder=tmp_path, test=True)
    assert replace(found, tested=()) == plain
    assert [e.plan_key for e in found.tested] == [found.quantised.plan_key, found.chosen.after.plan_key]
    assert [e.quality.split for e in found.tested] == ["test", "test"]
    nothing = uniform(SETUP, ["coltrunc8_14"], max_drop=0.0, recipe=SHORT, test=True)
    assert nothing.chosen is None
    assert [e.plan_key for e in nothing.tested] == [nothing.quantised.plan_key]


def test_trainings_under_way_tell_their_curves(tmp_path):
    checkpoints = tmp_path / "seed-0" / "checkpoints"
    assert unfinished(tmp_path) == []
    checkpoints.mkdir(parents=True)
    (checkpoints / "torn.training.safetensors").write_bytes(b"torn")
    assert unfinished(tmp_path) == []
    task = load_task("digits")
    model = approximate(task, Plan.assign(find_sites(task.model, task.example_input), [Integer()]))
    file = checkpoints / "there.training.safetensors"
    losses = retrain(model, task, replace(SHORT, epochs=2), seed=0, checkpoint=file)
    assert [[epoch["loss"] for epoch in curve] for curve in unfinished(tmp_path)] == [losses]
