"""Training: it learns, repeats to the last bit, follows its treatments, and goes on after being killed."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from laxity.core.errors import PlanError, RegistryError, RunError, TaskError
from laxity.core.plan import Plan, Recovery
from laxity.emulate import approximate
from laxity.emulate.apply import calibration_inputs
from laxity.recovery.distillation import Distillation
from laxity.recovery.train import Through, retrain, train
from laxity.sites import find_sites
from laxity.task import make_task
from laxity.techniques import CircuitMultiplier, Integer

SOURCE = Path(__file__).resolve().parents[3] / "src"


class Quadrants(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.fc(torch.relu(self.second(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def task():
    torch.manual_seed(1)
    x = torch.randn(300, 3, 8, 8) + torch.randn(300, 3, 1, 1)
    y = (x[:, 0].mean((1, 2)) > 0).long() + 2 * (x[:, 1].mean((1, 2)) > 0).long()
    return make_task("quadrants", Quadrants(), train=(x, y))


def plan_for(task):
    return Plan.assign(find_sites(task.model, task.example_input), [Integer(4, 6)])


def test_retraining_lowers_the_loss_and_is_repeatable(task):
    start = approximate(task, plan_for(task))
    recovery = Recovery(epochs=4, learning_rate=3e-2, batch_size=32, distil=0.0)
    runs = []
    for label in ("a", "a", "b"):
        model = copy.deepcopy(start)
        steps = []
        losses = retrain(
            model, task, recovery, seed=0, label=label, progress=lambda i, n, loss, steps=steps: steps.append((i, n))
        )
        runs.append((losses, {k: v.clone() for k, v in model.state_dict().items()}))
        per_epoch = -(-len(task.train) // 32)
        assert steps == [(i + 1, 4 * per_epoch) for i in range(4 * per_epoch)]
        assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
        assert not model.training
    assert len(runs[0][0]) == 4
    assert runs[0][0][-1] < 0.8 * runs[0][0][0]
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(v, runs[1][1][k]) for k, v in runs[0][1].items())
    assert any(not torch.equal(v, runs[2][1][k]) for k, v in runs[0][1].items())


def test_ranges_of_activations_stay(task):
    model = approximate(task, plan_for(task))
    before = [m.operand.input.scale.clone() for m in (model.first, model.second, model.fc)]
    retrain(model, task, Recovery(epochs=1, samples=40), seed=0)
    assert [m.operand.input.scale for m in (model.first, model.second, model.fc)] == before


def test_a_loss_that_explodes_is_reported(task):
    model = approximate(task, plan_for(task))
    with pytest.raises(TaskError, match="the loss became nan while retraining, in epoch 1 of 1; use a smaller"):
        retrain(model, task_with_loss(task), Recovery(epochs=1, samples=40, distil=0.0), seed=0)
    assert not any(p.requires_grad for p in model.parameters())


def task_with_loss(task):
    return replace(task, loss=lambda logits, y: logits.sum() * float("nan"))


def circuits(task, name, weight_bits=4):
    return Plan.assign(find_sites(task.model, task.example_input), [Integer(weight_bits, 8), CircuitMultiplier(name)])


def state_of(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


TREATMENTS = [
    {"gradient": "error_slope"},
    {"gradient": "table_1d"},
    {"gradient": "table_2d"},
    {"gradient": "table_2d window=4 tolerance=0"},
    {"regularise": 0.1},
]


@pytest.mark.parametrize("change", TREATMENTS, ids=str)
@pytest.mark.parametrize("name", ["dadda8", "coltrunc8_8"])
def test_treatments_of_errors_change_training_only_where_there_are_errors(task, change, name):
    start = approximate(task, circuits(task, name))
    usual = Recovery(epochs=1, samples=64, learning_rate=1e-2, distil=0.5)
    found = []
    for recovery in (usual, replace(usual, **change)):
        model = copy.deepcopy(start)
        retrain(model, task, recovery, seed=0, teacher=task.model)
        found.append(state_of(model))
    if name == "dadda8":
        assert all(torch.allclose(v, found[1][k], atol=1e-4) for k, v in found[0].items())
    assert equal(*found) == (name == "dadda8" and "table" not in change.get("gradient", ""))
    assert not any(getattr(layer, "gradient", None) for layer in model.modules())


def test_training_through_the_model_of_exact_products_is_plain_training_but_for_rounding(task):
    start = approximate(task, circuits(task, "dadda8"))
    usual = Recovery(epochs=2, samples=64, learning_rate=1e-3)
    found = []
    for recovery in (usual, replace(usual, modelled=True)):
        model = copy.deepcopy(start)
        found.append((retrain(model, task, recovery, seed=0, teacher=task.model), model))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-3)
    assert all(layer.multiplier is not None for layer in found[1][1].modules() if hasattr(layer, "multiplier"))


def test_training_goes_through_noise_and_clips_unless_told_otherwise(task):
    start = approximate(task, circuits(task, "coltrunc8_10"))
    recovery = Recovery(epochs=1, samples=64, learning_rate=1e-2, modelled=True)
    found = []
    for arguments in ({}, {"through": Through()}, {"through": Through(noise=False)}, {"through": Through(clips=False)}):
        model = copy.deepcopy(start)
        train(model, task, recovery, seed=0, teacher=task.model, **arguments)
        found.append(state_of(model))
    assert equal(found[0], found[1])
    assert not any(equal(found[0], other) for other in found[2:])
    assert not equal(found[2], found[3])


def test_a_model_of_the_errors_teaches_the_true_circuit(task):
    """What is learnt through the model lowers the loss of the table, and the multipliers are back."""
    model = approximate(task, circuits(task, "coltrunc8_10"))
    x, y = task.train.fetch(range(len(task.train)))
    before = float(task.loss(model(x), y))
    recovery = Recovery(epochs=4, learning_rate=3e-2, batch_size=32, distil=0.0, modelled=True)
    losses = retrain(model, task, recovery, seed=0)
    after = float(task.loss(model(x), y))
    assert after < 0.8 * before
    assert losses[-1] < losses[0]
    assert {layer.multiplier.name for layer in model.modules() if hasattr(layer, "multiplier")} == {"coltrunc8_10"}


def test_accuracy_is_followed_on_the_watched_samples(task):
    model = approximate(task, plan_for(task))
    found = train(model, task, Recovery(epochs=2, samples=40), seed=0, watched=20)
    x, y = task.validation.fetch(range(20))
    assert found[-1]["accuracy"] == pytest.approx(float((model(x).argmax(1) == y).float().mean()))
    assert [set(epoch) for epoch in found] == [{"loss", "accuracy"}] * 2
    again = train(approximate(task, plan_for(task)), task, Recovery(epochs=2, samples=40), seed=0)
    assert [e["loss"] for e in again] == [e["loss"] for e in found]


def test_temperature_grows_with_the_error_of_the_outputs(task):
    inputs = calibration_inputs(task, "cpu", 64)
    found = []
    for name in ("dadda8", "coltrunc8_6", "coltrunc8_10", "coltrunc8_13"):
        loss = Distillation(task, Recovery(temperature=2.0, schedule="error"), task.model)
        loss.begin(approximate(task, circuits(task, name, 8)), inputs)
        found.append(loss.temperature)
    assert 2.0 < found[0] < 2.2
    assert found == sorted(found)
    assert found[-1] > 1.2 * found[0]
    assert found[-1] <= 8.0
    constant = Distillation(task, Recovery(temperature=2.0), task.model)
    constant.begin(approximate(task, circuits(task, "coltrunc8_13", 8)), inputs)
    assert constant.temperature == 2.0


def test_unknown_gradients_and_staged_recoveries_are_refused(task):
    model = approximate(task, circuits(task, "coltrunc8_8"))
    with pytest.raises(RegistryError, match="'eror_slope'; did you mean 'error_slope'"):
        retrain(model, task, Recovery(epochs=1, gradient="eror_slope"), seed=0)
    for recovery in (Recovery(epochs=1, quantised_epochs=1), Recovery(epochs=1, teacher="quantised")):
        with pytest.raises(PlanError, match=r"call laxity\.recovery\.recover\(task, plan, seed=\.\.\.\)"):
            retrain(model, task, recovery, seed=0)


RECIPES = {
    "plain": Recovery(epochs=3, samples=48, learning_rate=1e-2),
    "treated": Recovery(epochs=3, samples=48, gradient="error_slope", regularise=0.05, alpha=0.05, schedule="error"),
    "modelled": Recovery(epochs=3, samples=48, modelled=True),
}


class StoppedError(Exception):
    """Stands for whatever ends a training between two steps."""


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("after", [1, 2, 4, 5])
def test_training_goes_on_to_the_same_bits(task, tmp_path, recipe, after):
    plan, recovery = circuits(task, "coltrunc8_8"), replace(RECIPES[recipe], batch_size=24)
    whole = approximate(task, plan)
    losses = retrain(whole, task, recovery, seed=3, teacher=task.model)

    def stop(step, steps, loss):
        assert steps == 6
        if step == after:
            raise StoppedError

    file = tmp_path / "state.safetensors"
    with pytest.raises(StoppedError):
        retrain(approximate(task, plan), task, recovery, seed=3, teacher=task.model, progress=stop, checkpoint=file)
    assert file.exists() == (after > 2)
    steps = []
    resumed = approximate(task, plan)
    found = retrain(
        resumed, task, recovery, seed=3, teacher=task.model, progress=lambda i, n, _: steps.append(i), checkpoint=file
    )
    assert found == losses
    assert equal(state_of(resumed), state_of(whole))
    assert steps[0] == 1 + 2 * ((after - 1) // 2)


def test_a_finished_training_is_not_repeated(task, tmp_path):
    file, recovery = tmp_path / "state.safetensors", Recovery(epochs=1, samples=40)
    first, second = (approximate(task, plan_for(task)) for _ in range(2))
    losses = retrain(first, task, recovery, seed=0, checkpoint=file)
    steps = []
    assert retrain(second, task, recovery, seed=0, checkpoint=file, progress=lambda *s: steps.append(s)) == losses
    assert not steps
    assert equal(state_of(first), state_of(second))


def test_checkpoints_are_plain_data_and_checked(task, tmp_path):
    file, recovery = tmp_path / "state.safetensors", Recovery(epochs=1, samples=40)
    model = approximate(task, plan_for(task))
    losses = retrain(model, task, recovery, seed=0, checkpoint=file)
    with safe_open(str(file), framework="pt") as opened:
        header = json.loads(opened.metadata()["laxity"])
        names = set(opened.keys())
    assert header["curve"] == [{"loss": losses[0]}]
    assert {f"model.{n}" for n in model.state_dict()} <= names
    assert any(n.startswith("optimiser.0.exp_avg") for n in names)
    for change in ({"seed": 1}, {"recovery": replace(recovery, learning_rate=1e-2)}, {"label": "other"}):
        arguments = {"seed": 0, "recovery": recovery, "label": "", **change}
        with pytest.raises(RunError, match=r"state\.safetensors belongs to another training; delete it"):
            retrain(model, task, arguments.pop("recovery"), checkpoint=file, **arguments)
    raw = file.read_bytes()
    for damaged in (raw[: len(raw) // 2], b"", b"{}"):
        file.write_bytes(damaged)
        with pytest.raises(RunError, match=r"state\.safetensors is damaged: .*; delete it to train from the start"):
            retrain(model, task, recovery, seed=0, checkpoint=file)


def test_what_was_reached_before_a_loss_exploded_is_kept(task, tmp_path):
    file, calls = tmp_path / "state.safetensors", []

    def loss(logits, y):
        calls.append(len(y))
        return nn.functional.cross_entropy(logits, y) * (float("inf") if len(calls) > 3 else 1.0)

    model = approximate(task, plan_for(task))
    recovery = Recovery(epochs=3, samples=48, batch_size=24, distil=0.0)
    with pytest.raises(TaskError, match=r"inf .* epoch 2 of 3; .* after epoch 1 is kept in .*state\.safetensors"):
        retrain(model, replace(task, loss=loss), recovery, seed=0, checkpoint=file)
    assert file.exists()


KILLED = """
import sys, torch
from pathlib import Path
from laxity import CircuitMultiplier, Integer, Plan, Recovery, approximate, find_sites, load_task, retrain
from laxity.emulate.weights import save_state

torch.set_num_threads(1)
folder, step_s = Path(sys.argv[1]), float(sys.argv[2])
task = load_task("digits")
plan = Plan.assign(find_sites(task.model, task.example_input), [Integer(4, 8), CircuitMultiplier("coltrunc8_10")])
model = approximate(task, plan)
recovery = Recovery(epochs=5, samples=192, gradient="error_slope", regularise=0.02)


def progress(step, steps, loss):
    import time
    time.sleep(step_s)


retrain(model, task, recovery, seed=7, teacher=task.model, progress=progress, checkpoint=folder / "state.safetensors")
save_state(model, folder / "weights.safetensors")
"""


def run(folder, step_s=0.0):
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(step_s)], env=environment)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_goes_on_to_the_same_bits(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(whole).wait(300) == 0
    state = broken / "state.safetensors"
    for _ in range(2):
        known, end = (state.stat().st_mtime_ns if state.exists() else 0), time.monotonic() + 200
        process = run(broken, 0.2)
        while not (state.exists() and state.stat().st_mtime_ns != known):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert not (broken / "weights.safetensors").exists()
    assert run(broken).wait(300) == 0
    assert (broken / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert [p.name for p in sorted(broken.iterdir())] == ["state.safetensors", "weights.safetensors"]
