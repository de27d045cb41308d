"""`make_task`: a task from a user's network and data, with the missing splits drawn in a fixed way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import IterableDataset

from laxity.core.errors import DataError, TaskError
from laxity.task.splits import DatasetSplit, Normalise, Split, TensorSplit, labels_of, stratified, subset, tensor_split
from laxity.task.task import Augment, Loss, Task, check_task

SPLIT_SEED = 1
"""Root of the fixed splits of users' data; not the seed of a run."""

FRACTIONS = {"test": 0.2, "validation": 0.1, "calibration": 0.1}
"""Shares that are split off where no such split is given; the rest is for training."""

_NO_DATASETS = (IterableDataset, Tensor, np.ndarray, str, bytes, Mapping, tuple)


def make_task(
    name: str,
    model: nn.Module,
    *,
    train: Any,
    calibration: Any = None,
    validation: Any = None,
    test: Any = None,
    num_classes: int | None = None,
    normalise: Normalise | None = None,
    augment: Augment | None = None,
    loss: Loss = F.cross_entropy,
    notes: str = "",
    exact: Sequence[str] = (),
) -> Task:
    """Make a checked task.

    Data is a pair of arrays or tensors (inputs, class numbers), a map-style ``Dataset`` of such pairs, or a `Split`.
    What is not given is drawn from `train` by label, always in the same way: 1/5 for test, 1/10 each for the others.

    Args:
        name: short identifier.
        model: a trained network, float32 on the CPU; it is put into evaluation mode.
        train: samples for training, or all samples.
        calibration: samples for scales and statistics.
        validation: samples that a search may look at.
        test: samples for the reported result only.
        num_classes: number of logits; by default as many as the network gives.
        normalise: applied to arrays and datasets; by default 1/255 for uint8 arrays, else nothing.
        augment: random change of training batches.
        loss: maps logits and targets to a scalar.
        notes: provenance.
        exact: patterns of what stays as it is, see `laxity.find_sites`.

    Raises:
        DataError: data is empty, unlabelled, malformed, or too little to be split.
        TaskError: the network does not run on the data, or is not sound.
    """
    if not isinstance(model, nn.Module):
        raise TaskError(f"task {name!r}: the model is a {type(model).__name__}; give a torch.nn.Module")
    given = {"train": train, "calibration": calibration, "validation": validation, "test": test}
    splits = _all_splits({k: v for k, v in given.items() if v is not None}, name, normalise)
    example = splits["calibration"].fetch([0])[0]
    model.eval()
    task = Task(
        name=name,
        model=model,
        example_input=example,
        train=splits["train"],
        calibration=splits["calibration"],
        validation=splits["validation"],
        test=splits["test"],
        num_classes=num_classes or _count_logits(name, model, example),
        loss=loss,
        augment=augment,
        notes=notes,
        exact=tuple(exact),
    )
    check_task(task)
    return task


def _all_splits(given: Mapping[str, Any], task: str, normalise: Normalise | None) -> dict[str, Split]:
    """The splits that are given, and the others drawn from the training data."""
    splits = {name: as_split(data, f"task {task!r}, {name} data", normalise) for name, data in given.items()}
    if "train" not in splits:
        raise DataError(f"task {task!r} has no training data; give train=(inputs, labels) or a dataset")
    return splits | _drawn(splits["train"], [name for name in FRACTIONS if name not in splits], task)


def as_split(data: Any, what: str, normalise: Normalise | None = None) -> Split:
    """Turn a pair of arrays, a map-style dataset, or a split into a split that is not empty.

    Args:
        data: see `make_task`.
        what: name for messages.
        normalise: applied at fetch; not to a `Split`, which has its own.

    Raises:
        DataError: the data is of another kind, empty, unlabelled or malformed.
    """
    split: Split
    if isinstance(data, Split):
        split = data
    elif isinstance(data, tuple) and len(data) == 2:
        split = array_split(data[0], data[1], what, normalise)
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, _NO_DATASETS):
        split = DatasetSplit(data, torch.arange(len(data)), normalise or Normalise())
    else:
        kind = type(data).__name__
        raise DataError(f"{what} is a {kind}; give (inputs, labels), or a dataset with __len__ and __getitem__")
    if len(split) == 0:
        raise DataError(f"{what}: there is no sample; give at least one")
    return split


def array_split(inputs: Any, labels: Any, what: str, normalise: Normalise | None = None) -> TensorSplit:
    """Make a split from inputs (N, ...) of numbers and labels (N,) of integers; uint8 inputs stay uint8 in memory.

    Raises:
        DataError: the arrays are empty, hold objects or text, differ in length, or the labels are not class numbers.
    """
    x, y = _array(inputs, f"{what}: inputs"), _array(labels, f"{what}: labels")
    if x.ndim < 2:
        raise DataError(
            f"{what}: inputs have shape {x.shape}; they need a first dimension for the samples, then features"
        )
    if y.ndim != 1 or y.dtype.kind not in "iu":
        kind = f"{y.dtype} of shape {y.shape}"
        raise DataError(
            f"{what}: labels are {kind}; class numbers of shape (N,) are needed, as y.astype('int64') gives"
        )
    if len(x) != len(y):
        raise DataError(f"{what}: {len(x)} inputs but {len(y)} labels; every sample needs one label")
    if y.min() < 0:
        raise DataError(f"{what}: label {y.min()} is negative (sample {int(y.argmin())}); number the classes from 0")
    stored = torch.from_numpy(np.require(x if x.dtype == np.uint8 else x.astype(np.float32), requirements=["C", "W"]))
    default = Normalise(1 / 255) if x.dtype == np.uint8 else Normalise()
    return tensor_split(stored, torch.from_numpy(y.astype(np.int64)), None, normalise or default)


def _array(values: Any, what: str) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise DataError(f"{what} have the type {array.dtype}; only arrays of numbers are read, convert them")
    if array.size == 0:
        raise DataError(f"{what} are empty (shape {array.shape}); give at least one sample")
    return array


def _drawn(train: Split, names: list[str], task: str) -> dict[str, Split]:
    """Split the named parts off `train`; the result holds them and what is left for training."""
    if not names:
        return {}
    labels = labels_of(train).numpy()
    sizes = [round(FRACTIONS[n] * len(labels)) for n in names]
    rest = len(labels) - sum(sizes)
    if min(*sizes, rest) < 1:
        raise DataError(
            f"task {task!r}: {len(labels)} samples are too few to draw {', '.join(names)} from; "
            "give more samples, or these splits"
        )
    parts = stratified(labels, [*sizes, rest], SPLIT_SEED)
    return {n: subset(train, torch.from_numpy(part)) for n, part in zip([*names, "train"], parts, strict=True)}


def _count_logits(name: str, model: nn.Module, example: Tensor) -> int:
    try:
        with torch.no_grad():
            outputs = model(example)
    except Exception as error:  # the user's own code can fail in any way
        what = f"{type(error).__name__}: {str(error).strip()}"
        raise TaskError(
            f"task {name!r}: the network fails on one input of shape {tuple(example.shape)}: {what}; "
            "make inputs and network fit (channels, image size, dimensions)"
        ) from error
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise TaskError(
            f"task {name!r}: the network returns {shape} for one input; it must return logits (1, num_classes)"
        )
    return int(outputs.shape[1])
