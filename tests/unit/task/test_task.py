"""Tasks: what a check finds, and what the fingerprint depends on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from laxity.core.errors import DataError, TaskError
from laxity.task import Task, check_task, load_task, make_task, subset, tensor_split


def toy(**changes: object) -> Task:
    torch.manual_seed(0)
    inputs, targets = torch.rand(40, 6), torch.arange(40) % 4
    task = make_task("toy", nn.Linear(6, 4), train=(inputs, targets), test=(inputs[:8], targets[:8]))
    return replace(task, **changes) if changes else task


class Bare:
    """A split with chosen contents."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def fetch(self, indices: object) -> tuple[Tensor, Tensor]:
        rows = torch.as_tensor(list(indices))
        return self.inputs[rows], self.targets[rows]


def test_a_sound_task_passes_and_is_in_evaluation_mode() -> None:
    task = toy()
    check_task(task)
    assert not task.model.training
    assert [len(s) for s in task.splits().values()] == [32, 4, 4, 8]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"num_classes": 5}, TaskError, r"shape \(1, 4\), not \(1, 5\)"),
        ({"num_classes": 1}, TaskError, "at least 2"),
        ({"metric": "loss"}, TaskError, "unknown metric 'loss'"),
        ({"example_input": torch.zeros(2, 6)}, TaskError, "batch dimension of 1"),
        ({"example_input": torch.zeros(1, 7)}, TaskError, r"fails on the example input of shape \(1, 7\)"),
        ({"model": nn.Linear(6, 4).double()}, TaskError, r"torch.float64; call model.float\(\)"),
        ({"model": nn.Identity()}, TaskError, r"shape \(1, 6\)"),
        ({"model": nn.LSTM(6, 4)}, TaskError, "returns a tuple"),
        ({"train": Bare(torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))}, DataError, "'train' is empty"),
        ({"test": Bare(torch.zeros(3, 6), torch.zeros(3))}, DataError, "must give float32 and int64"),
        ({"test": Bare(torch.zeros(3, 6).double(), torch.zeros(3).long())}, DataError, "must give float32 and int64"),
        ({"validation": Bare(torch.zeros(3, 6), torch.tensor([0, 4, 1]))}, DataError, r"labels 0..4; .* 0..3"),
        ({"validation": Bare(torch.zeros(3, 6), torch.tensor([0, -1, 1]))}, DataError, "labels -1..1"),
        ({"validation": Bare(torch.full((3, 6), float("inf")), torch.tensor([0, 1, 1]))}, DataError, "NaN or infinite"),
        ({"validation": Bare(torch.zeros(3, 5), torch.tensor([0, 1, 1]))}, TaskError, "split 'validation'"),
    ],
)
def test_every_defect_is_named(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_task(toy(**changes, fingerprint="not computed"))


def test_labels_and_inputs_in_memory_are_checked_to_the_last() -> None:
    inputs, targets = torch.zeros(500, 6), torch.zeros(500, dtype=torch.int64)
    targets[-1] = 9
    with pytest.raises(DataError, match=r"labels 0..9"):
        check_task(toy(train=tensor_split(inputs, targets)))
    inputs[-1, 3] = float("nan")
    with pytest.raises(DataError, match="NaN"):
        check_task(toy(train=tensor_split(inputs, targets.zero_())))


def test_weights_that_are_not_finite_are_named() -> None:
    task = toy()
    with torch.no_grad():
        task.model.weight[0, 0] = float("nan")
    with pytest.raises(TaskError, match="weight 'weight' holds NaN"):
        check_task(task)


def test_outputs_that_overflow_are_found() -> None:
    task = toy()
    with torch.no_grad():
        task.model.weight.fill_(3e38)
    with pytest.raises(TaskError, match=r"outputs .* NaN or infinite"):
        check_task(task)


def test_fingerprint_changes_with_every_part() -> None:
    task = toy()
    inputs, targets = torch.rand(40, 6), torch.arange(40) % 4
    other_weights = nn.Linear(6, 4)
    other_weights.load_state_dict(task.model.state_dict())
    assert replace(task, model=other_weights, fingerprint="").fingerprint == task.fingerprint
    with torch.no_grad():
        other_weights.bias[0] += 1e-6
    base = tensor_split(inputs, targets)
    prints = [
        task.fingerprint,
        replace(task, name="other", fingerprint="").fingerprint,
        replace(task, model=other_weights, fingerprint="").fingerprint,
        replace(task, model=nn.Sequential(task.model), fingerprint="").fingerprint,
        replace(task, train=base, fingerprint="").fingerprint,
        replace(task, train=subset(base, range(39)), fingerprint="").fingerprint,
        replace(task, train=tensor_split(inputs, targets.flip(0)), fingerprint="").fingerprint,
        replace(task, train=tensor_split(inputs + 1, targets), fingerprint="").fingerprint,
        replace(task, calibration=task.validation, fingerprint="").fingerprint,
    ]
    assert len(set(prints)) == len(prints)


def test_fingerprint_is_the_same_in_another_process() -> None:
    code = "from laxity.task import load_task; print(load_task('digits').fingerprint)"
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "77",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == load_task("digits").fingerprint
