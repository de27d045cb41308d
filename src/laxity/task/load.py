"""`load_task`: one entry for tasks of the package, of a Python function, of a task file, and of a user's files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from laxity.core.errors import ConfigError, DataError, LaxityError, TaskError
from laxity.core.registry import did_you_mean
from laxity.task import builtin, digits
from laxity.task.base import TaskRequest, default_data_dir, tasks
from laxity.task.download import Progress
from laxity.task.files import FileTask, load_file_task, read_task_file
from laxity.task.make import make_task
from laxity.task.python import import_object
from laxity.task.task import Task, check_task

BUILT_IN = (builtin, digits)
"""The modules whose import registers the built-in tasks."""


def load_task(
    spec: str | Path | Task | Callable[[], Any],
    *,
    data_dir: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    data: str | Path | None = None,
    download: bool = False,
    num_classes: int | None = None,
    input_shape: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Task:
    """Load a task and check it.

    `spec` is one of: a built-in name (``digits``, ``mnist``, ``fashion_mnist``, ``cifar10``); a task file
    (``task.toml``); ``module:function`` or ``file.py:function``, or the function itself, which returns a `Task`, a
    pair (model, data), or a mapping of the arguments of `make_task`; a finished `Task`; or any other name together
    with `model`, `weights` and `data`.

    Args:
        spec: which task.
        data_dir: folder of data sets; by default ``LAXITY_DATA``, else ``data``.
        model: a registered network, or ``path/net.py:Net`` for a user's own task.
        weights: trained weights, safetensors or a torch file of plain tensors.
        data: npz archive of a user's own task.
        download: fetch missing files of built-in tasks.
        num_classes: of a user's own task.
        input_shape: shape of one input of a user's own task.
        progress: told how far a download is: URL, bytes received, bytes expected or None.

    Raises:
        ConfigError: arguments do not belong together, or the task file is wrong.
        DataError: data is missing or malformed.
        RegistryError: the task or network is unknown.
        TaskError: network, weights and data do not fit, or are not sound.
    """
    own: dict[str, Any] = {"data": data, "num_classes": num_classes, "input_shape": input_shape}
    chosen: dict[str, Any] = {"model": model, "weights": weights, **own}
    if isinstance(spec, Task):
        _refuse(chosen, f"the finished task {spec.name!r}")
        check_task(spec)
        return spec
    if not isinstance(spec, (str, Path)):
        _refuse(chosen, "a task function")
        return _from_function(spec, getattr(spec, "__name__", "task"))
    text = str(spec)
    if text.endswith(".toml"):
        return load_file_task(_overridden(read_task_file(Path(text)), chosen))
    if ":" in text:
        _refuse(chosen, f"the task function {text!r}")
        return _from_function(import_object(text), text)
    if text not in tasks and data is not None:
        return load_file_task(_overridden(FileTask(text), chosen))
    builder = tasks[text]
    _refuse(own, f"the task {text!r}, which has its own data")
    folder = Path(data_dir) if data_dir is not None else default_data_dir()
    file = Path(weights) if weights is not None else None
    task = builder(TaskRequest(folder, model, file, download, progress=progress))
    check_task(task)
    return task


def _refuse(arguments: Mapping[str, Any], what: str) -> None:
    given = [f"{key}={value!r}" for key, value in arguments.items() if value is not None]
    if given:
        raise ConfigError(f"{', '.join(given)} cannot be used with {what}; leave it out, or choose a new task name")


def _overridden(read: FileTask, chosen: Mapping[str, Any]) -> FileTask:
    """The task file with what the caller gave; the caller's paths are relative to the working directory."""
    changes: dict[str, Any] = {}
    for key, value in chosen.items():
        if value is not None:
            changes[key] = value if key == "num_classes" else tuple(value) if key == "input_shape" else str(value)
    if read.folder != Path():
        for key in ("weights", "data"):
            if key in changes:
                changes[key] = str(Path(changes[key]).resolve())
        if ".py:" in changes.get("model", ""):
            changes["model"] = str(Path(changes["model"]).resolve())
    return replace(read, **changes)


def _from_function(function: Any, name: str) -> Task:
    if not callable(function):
        raise TaskError(f"{name} is a {type(function).__name__}; a task is named by a function without arguments")
    needed = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind < 2]
    if needed:
        raise TaskError(f"task function {name} needs arguments ({', '.join(needed)}); give them defaults")
    try:
        value = function()
    except LaxityError:
        raise
    except Exception as error:  # the user's own code can fail in any way
        kind = type(error).__name__
        raise TaskError(f"task function {name} failed with {kind}: {error}; run it with python to see where") from error
    return _as_task(value, name)


def _as_task(value: Any, name: str) -> Task:
    """Turn what a task function returned into a checked task."""
    if isinstance(value, Task):
        check_task(value)
        return value
    if isinstance(value, tuple) and len(value) == 2:
        value = {"model": value[0], "data": value[1]}
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise TaskError(f"{name} returned a {kind}; return a Task, (model, data), or the arguments of make_task")
    arguments = {"name": name.rpartition(":")[2], **value}
    if "data" in arguments:
        arguments |= _unpacked(arguments.pop("data"), name)
    known = list(inspect.signature(make_task).parameters)
    for key in arguments:
        if key not in known:
            raise TaskError(f"{name} returned an unknown key {key!r}{did_you_mean(key, known)}")
    for key in ("model", "train"):
        if key not in arguments:
            raise TaskError(f"{name} returned no {key!r}; a task needs a model and data")
    return make_task(**arguments)


def _unpacked(data: Any, name: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        return {"train": data}
    if set(data) == {"x", "y"}:
        return {"train": (data["x"], data["y"])}
    if set(data) == {"x_train", "y_train", "x_test", "y_test"}:
        return {"train": (data["x_train"], data["y_train"]), "test": (data["x_test"], data["y_test"])}
    if set(data) <= {"train", "calibration", "validation", "test"}:
        return dict(data)
    keys = ", ".join(map(str, data))
    raise DataError(f"{name}: data has the keys {keys}; use x, y, or x_train, y_train, x_test, y_test, or split names")
