"""A task: a trained network, its data, and how its quality is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity.core.errors import DataError, TaskError
from laxity.task.fingerprint import fingerprint
from laxity.task.splits import Split, TensorSplit, labels_of

Loss = Callable[[Tensor, Tensor], Tensor]
Augment = Callable[[Tensor, torch.Generator], Tensor]

SPLIT_NAMES = ("train", "calibration", "validation", "test")
_CHECKED = 8


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A trained network with the data to approximate, retrain and judge it.

    Attributes:
        name: short identifier.
        model: the network, float32, on the CPU; put into evaluation mode here.
        example_input: float32 (1, ...), one normalised input.
        train: samples for retraining.
        calibration: samples for scales and statistics.
        validation: samples that a search may look at.
        test: samples for the reported result only.
        num_classes: number of logits.
        metric: what quality means; ``"accuracy"`` is the fraction of samples whose largest logit is the label.
        loss: maps logits (N, num_classes) and targets (N,) to a scalar.
        augment: random change of a training batch, drawn from the given generator, or None.
        fingerprint: SHA-256 of the contents; computed when left empty, so give ``fingerprint=""`` to
            `dataclasses.replace` when the model or a split changes.
        notes: provenance of weights and data.
        exact: patterns of module paths and calls that are no sites and stay as they are, see `laxity.find_sites`.
    """

    name: str
    model: nn.Module
    example_input: Tensor
    train: Split
    calibration: Split
    validation: Split
    test: Split
    num_classes: int
    metric: str = "accuracy"
    loss: Loss = F.cross_entropy
    augment: Augment | None = None
    fingerprint: str = ""
    notes: str = ""
    exact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.model.eval()
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self.name, self.model, self.splits()))

    def splits(self) -> dict[str, Split]:
        """The four splits by name."""
        return {name: getattr(self, name) for name in SPLIT_NAMES}


def check_task(task: Task) -> None:
    """Check that the parts of a task are sound and fit each other.

    The network is run on the example and on the first samples of every split. Labels and inputs of splits held in
    memory are checked completely, those of other splits on the samples that are run.

    Raises:
        TaskError: the network is not float32 on the CPU, holds NaN or infinite weights, fails on an input, or gives
            outputs of the wrong shape or not finite; the metric is unknown.
        DataError: a split is empty, unlabelled, has labels out of range, or inputs that are NaN or infinite.
    """
    if task.metric != "accuracy":
        raise TaskError(f"task {task.name!r}: unknown metric {task.metric!r}; known: accuracy")
    if task.num_classes < 2:
        raise TaskError(f"task {task.name!r}: num_classes is {task.num_classes}; classification needs at least 2")
    _check_weights(task)
    if task.example_input.dim() < 2 or task.example_input.shape[0] != 1:
        shape = tuple(task.example_input.shape)
        raise TaskError(f"task {task.name!r}: the example input has shape {shape}; it needs a batch dimension of 1")
    samples = {name: _check_split(task, name, split) for name, split in task.splits().items()}
    _check_outputs(task, task.example_input, "the example input")
    for name, inputs in samples.items():
        _check_outputs(task, inputs, f"split {name!r}")


def _check_weights(task: Task) -> None:
    for name, value in task.model.state_dict().items():
        if value.device.type != "cpu":
            raise TaskError(f"task {task.name!r}: tensor {name!r} is on {value.device}; call model.cpu()")
        if value.is_floating_point() and value.dtype != torch.float32:
            raise TaskError(f"task {task.name!r}: tensor {name!r} is {value.dtype}; call model.float()")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise TaskError(
                f"task {task.name!r}: weight {name!r} holds NaN or infinite values; train the network again"
            )


def _check_outputs(task: Task, inputs: Tensor, where: str) -> None:
    shape = tuple(inputs.shape)
    try:
        with torch.no_grad():
            outputs = task.model(inputs)
    except Exception as error:  # the user's own code can fail in any way
        what = f"{type(error).__name__}: {str(error).strip()}"
        raise TaskError(
            f"task {task.name!r}: the network fails on {where} of shape {shape}: {what}; "
            "make inputs and network fit (channels, image size, dimensions)"
        ) from error
    if not isinstance(outputs, Tensor):
        raise TaskError(f"task {task.name!r}: the network returns a {type(outputs).__name__}; it must return logits")
    wanted = (shape[0], task.num_classes)
    if tuple(outputs.shape) != wanted:
        raise TaskError(
            f"task {task.name!r}: outputs for {where} have shape {tuple(outputs.shape)}, not {wanted}; "
            "set num_classes to the number of logits"
        )
    if not bool(torch.isfinite(outputs).all()):
        raise TaskError(f"task {task.name!r}: outputs for {where} are NaN or infinite; check weights and input scaling")


def _check_split(task: Task, name: str, split: Split) -> Tensor:
    """Check the data of a split and return its first inputs."""
    where = f"task {task.name!r}, split {name!r}"
    if len(split) == 0:
        raise DataError(f"{where} is empty; give it at least one sample")
    inputs, targets = split.fetch(range(min(_CHECKED, len(split))))
    if inputs.dtype != torch.float32 or targets.dtype != torch.int64:
        raise DataError(f"{where} gives {inputs.dtype} and {targets.dtype}; fetch must give float32 and int64")
    if isinstance(split, TensorSplit):
        targets = labels_of(split)
        stored = split.inputs
        if stored.is_floating_point() and not bool(torch.isfinite(stored[split.indices]).all()):
            raise DataError(f"{where} has inputs that are NaN or infinite; remove or repair these samples")
    if not bool(torch.isfinite(inputs).all()):
        raise DataError(f"{where} has inputs that are NaN or infinite; remove or repair these samples")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= task.num_classes:
        raise DataError(f"{where} has labels {low}..{high}; they must be in 0..{task.num_classes - 1}")
    return inputs
