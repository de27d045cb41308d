"""Training of the reference tasks: deterministic, the best epoch chosen on validation data, the test set used once."""

from __future__ import annotations

import copy
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from laxity.core.errors import ConfigError, RunError, TaskError
from laxity.core.seeds import derive
from laxity.core.serial import write_json
from laxity.task.base import DEFAULT_NETWORKS, TaskRequest, default_data_dir, tasks, trained_path
from laxity.task.splits import Split, batches
from laxity.task.task import Task
from laxity.task.weights import write_state


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples per step.
        optimiser: ``"sgd"`` (Nesterov momentum 0.9) or ``"adam"``.
        learning_rate: its largest value; it falls to zero along half a cosine after a linear warm-up of one epoch.
        weight_decay: factor of the L2 penalty (decoupled for Adam).
    """

    epochs: int
    batch_size: int = 64
    optimiser: str = "adam"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3


RECIPES = {
    "digits": Recipe(epochs=40, batch_size=32),
    "mnist": Recipe(epochs=8),
    "fashion_mnist": Recipe(epochs=20),
    "cifar10": Recipe(epochs=100, batch_size=128, optimiser="sgd", learning_rate=0.1, weight_decay=5e-4),
}
"""Recipes of the built-in tasks."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass gave: number from 1, mean training loss, accuracy on the validation split, seconds since start."""

    number: int
    loss: float
    validation_accuracy: float
    time_s: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult:
    """A trained network and how it came about.

    Attributes:
        model: the network with the weights of the best epoch, in evaluation mode.
        best_epoch: the first epoch with the highest validation accuracy.
        validation_accuracy: of that epoch.
        test_accuracy: of that epoch, measured once.
        history: one entry per epoch.
        recipe: what was used.
        seed: root of all random streams.
        time_s: wall-clock time.
    """

    model: nn.Module
    best_epoch: int
    validation_accuracy: float
    test_accuracy: float
    history: tuple[Epoch, ...]
    recipe: Recipe
    seed: int
    time_s: float


def accuracy(model: nn.Module, split: Split, *, batch_size: int = 256, limit: int | None = None) -> float:
    """Return the fraction of samples whose largest logit is the label, over the first `limit` samples or all.

    Raises:
        DataError: the split is empty.
    """
    right = total = 0
    with torch.inference_mode():
        for inputs, targets in batches(split, batch_size, limit=limit):
            right += int((model(inputs).argmax(1) == targets).sum())
            total += len(targets)
    return right / total


def train(task: Task, *, seed: int, recipe: Recipe, progress: Callable[[Epoch], None] | None = None) -> TrainResult:
    """Train a copy of the task's network, starting from its present weights.

    Runs on one thread, so that equal seeds give equal weights on the same kind of machine.

    Args:
        task: data, loss, augmentation, and the network to start from.
        seed: root of the streams for order, augmentation and dropout.
        recipe: epochs, optimiser and schedule.
        progress: called after each epoch.

    Raises:
        ConfigError: the recipe names an unknown optimiser or no epoch.
        TaskError: the loss became NaN or infinite.
    """
    model = copy.deepcopy(task.model)
    optimiser = _optimiser(model, recipe)
    schedule = _schedule(optimiser, recipe, math.ceil(len(task.train) / recipe.batch_size))
    best, best_state, history, start = -1.0, {}, list[Epoch](), time.perf_counter()
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "train", "dropout"))
        for number in range(1, recipe.epochs + 1):
            loss = _one_epoch(task, model, optimiser, schedule, recipe, seed, number)
            valid = accuracy(model.eval(), task.validation)
            if valid > best:
                best, best_state = valid, {k: v.clone() for k, v in model.state_dict().items()}
            history.append(Epoch(number, loss, valid, time.perf_counter() - start))
            if progress is not None:
                progress(history[-1])
        model.load_state_dict(best_state)
        tested = accuracy(model, task.test)
    first = next(e.number for e in history if e.validation_accuracy == best)
    return TrainResult(model, first, best, tested, tuple(history), recipe, seed, time.perf_counter() - start)


def _optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.epochs < 1 or recipe.batch_size < 2:
        raise ConfigError(f"epochs is {recipe.epochs} and batch_size {recipe.batch_size}; use at least 1 and 2")
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(model.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=decay)
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(model.parameters(), rate, weight_decay=decay)
    raise ConfigError(f"unknown optimiser {recipe.optimiser!r}; known: adam, sgd")


def _schedule(optimiser: torch.optim.Optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    total = steps * recipe.epochs

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / steps) * 0.5 * (1 + math.cos(math.pi * step / total))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def _one_epoch(
    task: Task,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    recipe: Recipe,
    seed: int,
    number: int,
) -> float:
    """Train for one pass over the data; return the mean loss per sample."""
    model.train()
    order = torch.Generator().manual_seed(derive(seed, "train", "order", number))
    change = torch.Generator().manual_seed(derive(seed, "train", "augment", number))
    total = 0.0
    for clean, targets in batches(task.train, recipe.batch_size, generator=order):
        inputs = clean if task.augment is None else task.augment(clean, change)
        loss = task.loss(model(inputs), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item() * len(targets)
    if not math.isfinite(total):
        raise TaskError(f"training {task.name!r}: the loss is {total} in epoch {number}; lower the learning rate")
    return total / len(task.train)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_named(
    name: str,
    *,
    seed: int,
    out: Path | None = None,
    network: str | None = None,
    epochs: int | None = None,
    data_dir: Path | None = None,
    download: bool = False,
    progress: Callable[[Epoch], None] | None = None,
) -> tuple[TrainResult, Path]:
    """Train a built-in task from scratch and write the weights and a JSON record next to them.

    Args:
        name: a built-in task.
        seed: root of all random streams, initial weights included.
        out: the ``.safetensors`` file to write; by default the file under `data_dir` where `load_task` looks.
        network: name of the network, by default the task's own.
        epochs: instead of the recipe's.
        data_dir: folder of data sets.
        download: fetch missing data.
        progress: called after each epoch.

    Returns:
        The result and the path of the weights.

    Raises:
        RegistryError: the task or network is unknown.
        DataError: the data is not there, or corrupt.
        ConfigError: `out` does not end in ``.safetensors``, or `epochs` is less than 1.
        RunError: `out` cannot be written.
    """
    folder = data_dir or default_data_dir()
    chosen = network or DEFAULT_NETWORKS.get(name, "network")
    builder = tasks[name]
    path = _writable(out or trained_path(folder, name, chosen))
    task = builder(TaskRequest(folder, network, None, download, fresh_seed=seed))
    recipe = RECIPES.get(name, Recipe(epochs=20))
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    result = train(task, seed=seed, recipe=recipe, progress=progress)
    size = write_state(path, result.model)
    write_json(path.with_suffix(".json"), _record(name, chosen, result, size))
    return result, path


def _writable(path: Path) -> Path:
    """Refuse a place that cannot be written before the time for training is spent."""
    if path.suffix != ".safetensors":
        raise ConfigError(f"weights cannot be written to {path}; give a file name that ends in .safetensors")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {path.parent}: {error.strerror or error}; choose another --out") from error
    if not os.access(path.parent, os.W_OK):
        raise RunError(f"cannot write to {path.parent}; choose another --out")
    return path


def _record(name: str, network: str, result: TrainResult, size_bytes: int) -> dict[str, object]:
    return {
        "task": name,
        "network": network,
        "seed": result.seed,
        "best_epoch": result.best_epoch,
        "validation_accuracy": result.validation_accuracy,
        "test_accuracy": result.test_accuracy,
        "size_bytes": size_bytes,
        "time_s": round(result.time_s, 2),
        "recipe": result.recipe,
        "versions": {
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
    }
