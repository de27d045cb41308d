"""`make_task` and the kinds of data that it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from laxity.core.errors import DataError, TaskError
from laxity.task import Normalise, labels_of, make_task, tensor_split
from laxity.task.make import array_split, as_split


def arrays(count: int = 50, features: int = 4, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, features, generator=generator), torch.arange(count) % classes


def rows(task: object) -> dict[str, list[list[float]]]:
    return {n: s.fetch(range(len(s)))[0].tolist() for n, s in task.splits().items()}


@pytest.mark.parametrize("kind", ["tensors", "numpy", "dataset", "split"])
def test_every_kind_of_data_gives_the_same_splits(kind: str) -> None:
    x, y = arrays()
    data = {
        "tensors": (x, y),
        "numpy": (x.numpy(), y.numpy().astype(np.uint8)),
        "dataset": TensorDataset(x, y),
        "split": tensor_split(x, y),
    }[kind]
    task = make_task("t", nn.Linear(4, 5), train=data)
    wanted = rows(make_task("t", nn.Linear(4, 5), train=(x, y)))
    assert rows(task) == wanted
    assert [len(v) for v in wanted.values()] == [30, 5, 5, 10]
    assert sorted(r for part in wanted.values() for r in part) == sorted(x.tolist())
    for split in task.splits().values():
        assert torch.bincount(labels_of(split)).tolist() == [len(split) // 5] * 5
    assert task.num_classes == 5


def test_given_splits_are_kept_and_the_others_drawn_from_train() -> None:
    x, y = arrays()
    task = make_task("t", nn.Linear(4, 5), train=(x, y), test=(x[:7] + 1, y[:7]), validation=(x[:6], y[:6]))
    assert {n: len(s) for n, s in task.splits().items()} == {"train": 45, "calibration": 5, "validation": 6, "test": 7}
    assert rows(task)["test"] == (x[:7] + 1).tolist()


def test_bytes_are_scaled_to_the_unit_interval_unless_told_otherwise() -> None:
    x = np.full((20, 3), 255, np.uint8)
    y = np.arange(20) % 2
    assert make_task("t", nn.Linear(3, 2), train=(x, y)).example_input.tolist() == [[1.0] * 3]
    raw = make_task("t", nn.Linear(3, 2), train=(x, y), normalise=Normalise())
    assert raw.example_input.tolist() == [[255.0] * 3]


def test_read_only_arrays_are_copied_not_complained_about() -> None:
    x = np.zeros((20, 3), np.uint8)
    x.flags.writeable = False
    assert len(array_split(x, np.arange(20), "t")) == 20


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "are empty"),
        (np.zeros((4, 3)), np.zeros(0, int), "labels are empty"),
        (np.zeros(4), np.arange(4), "first dimension for the samples"),
        (np.zeros((4, 3)), np.arange(5), "4 inputs but 5 labels"),
        (np.zeros((4, 3)), np.arange(4.0), "float64"),
        (np.zeros((4, 3)), np.arange(4)[:, None], r"shape \(4, 1\)"),
        (np.zeros((4, 3)), np.zeros(4, bool), "labels are bool"),
        (np.zeros((4, 3)), np.array([0, 1, -2, 1]), r"label -2 is negative \(sample 2\)"),
        (np.array([[{}]] * 4, dtype=object), np.arange(4), "inputs have the type object"),
        (np.zeros((4, 3)), np.array(["a", "b", "c", "d"]), "labels have the type <U1"),
        (np.zeros((4, 3), complex), np.arange(4), "complex128"),
    ],
)
def test_malformed_arrays_are_named(inputs: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=f"mine: .*{message}|mine, .*{message}"):
        array_split(inputs, labels, "mine")


class Endless(IterableDataset):
    def __iter__(self) -> object:
        return iter(())


@pytest.mark.parametrize(
    "data", [None, 3, "text", Endless(), torch.zeros(3, 2), np.zeros((3, 2)), {"x": 1}, (1, 2, 3), DataLoader([1])]
)
def test_other_kinds_of_data_are_refused(data: object) -> None:
    with pytest.raises(DataError, match=r"mine is a .*; give \(inputs, labels\), or a dataset"):
        as_split(data, "mine")


def test_too_few_samples_and_missing_parts_are_named() -> None:
    x, y = arrays(3)
    with pytest.raises(DataError, match="3 samples are too few to draw test, validation, calibration"):
        make_task("t", nn.Linear(4, 5), train=(x, y))
    with pytest.raises(DataError, match="no training data"):
        make_task("t", nn.Linear(4, 5), train=None, test=(x, y))
    with pytest.raises(DataError, match="there is no sample"):
        make_task("t", nn.Linear(4, 5), train=[])
    with pytest.raises(TaskError, match="the model is a str"):
        make_task("t", "resnet", train=arrays())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(9, 5), r"fails on one input of shape \(1, 4\)"),
        (nn.LSTM(4, 5), "returns tuple for one input"),
        (nn.Unflatten(1, (2, 2)), r"returns \(1, 2, 2\)"),
        (nn.Linear(4, 3), r"labels 0..4; they must be in 0..2"),
    ],
)
def test_networks_that_do_not_fit_are_named(model: nn.Module, message: str) -> None:
    with pytest.raises((TaskError, DataError), match=message):
        make_task("t", model, train=arrays())
