"""The registry of built-in tasks and what a builder of one is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from laxity.core.registry import Registry
from laxity.task.download import Progress
from laxity.task.task import Task


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """What the user asked for when naming a built-in task.

    Attributes:
        data_dir: folder that holds the data sets and checkpoints.
        network: name of the network, or None for the task's own.
        weights: file of trained weights, or None for the task's own.
        download: fetch missing files from their official addresses.
        fresh_seed: build the network untrained, initialised from this seed, instead of loading weights.
        progress: told how far a download is.
    """

    data_dir: Path
    network: str | None = None
    weights: Path | None = None
    download: bool = False
    fresh_seed: int | None = None
    progress: Progress | None = None


TaskBuilder = Callable[[TaskRequest], Task]

tasks: Registry[TaskBuilder] = Registry("task", "laxity.tasks")
"""Tasks by name; other packages add theirs through the entry-point group ``laxity.tasks``."""

DEFAULT_NETWORKS = {"digits": "digits_cnn", "mnist": "lenet5", "fashion_mnist": "lenet5", "cifar10": "resnet20"}
"""The network of each built-in task when none is named."""


def default_data_dir() -> Path:
    """The folder named by the environment variable ``LAXITY_DATA``, else ``data`` in the working directory."""
    return Path(os.environ.get("LAXITY_DATA") or "data")


def trained_path(data_dir: Path, task: str, network: str) -> Path:
    """Where the weights of a built-in task trained here are written and looked for."""
    return data_dir / "weights" / f"{task}_{network}.safetensors"
