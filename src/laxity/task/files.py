"""A user's task from files: network, weights, data as an npz archive, and the TOML file that names them."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from laxity.core.errors import ConfigError, DataError, TaskError
from laxity.core.registry import did_you_mean
from laxity.models import build_for, initialised
from laxity.task.make import array_split, make_task
from laxity.task.python import import_object
from laxity.task.splits import Normalise, TensorSplit, labels_of
from laxity.task.task import Task
from laxity.task.weights import load_weights, read_state

_PAIR = ("x", "y")
_FOUR = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, slots=True)
class FileTask:
    """What a task file says.

    Attributes:
        name: short identifier.
        model: a registered network, or ``path/file.py:Class``.
        weights: file of trained weights; may be missing if the Python network brings its own.
        data: npz archive with ``x, y`` or with ``x_train, y_train, x_test, y_test``.
        num_classes: number of classes; by default the largest label plus one.
        input_shape: shape of one input; the data is reshaped to it.
        mean: subtracted per channel, after 8-bit values were divided by 255.
        std: divides per channel.
        folder: base of relative paths.
    """

    name: str
    model: str | None = None
    weights: str | None = None
    data: str | None = None
    num_classes: int | None = None
    input_shape: tuple[int, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    folder: Path = Path()


def read_task_file(path: Path) -> FileTask:
    """Read a TOML task file.

    Raises:
        ConfigError: the file is missing, no TOML, has a key twice, an unknown key, or a value of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text + "\n")  # with a last line end, every error has a line number
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the task file {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}; each key may stand once, text needs quotes") from error
    known = {f.name for f in fields(FileTask)} - {"folder"}
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}{did_you_mean(key, known)}")
        values[key] = _typed(path, key, value)
    return replace(FileTask(path.stem, folder=path.parent), **values)


def _typed(path: Path, key: str, value: Any) -> Any:
    if key == "num_classes":
        if isinstance(value, bool) or not isinstance(value, int) or value < 2:
            raise ConfigError(f"{path}: num_classes is {value!r}; it must be an integer of at least 2")
        return value
    if key in {"mean", "std", "input_shape"}:
        items = value if isinstance(value, list) else [value]
        kinds = (int,) if key == "input_shape" else (int, float)
        if not items or any(isinstance(i, bool) or not isinstance(i, kinds) for i in items):
            raise ConfigError(f"{path}: {key} is {value!r}; it must be a number or a list of numbers")
        return tuple(items) if key == "input_shape" else tuple(float(i) for i in items)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{path}: {key} is {value!r}; it must be a text in quotes")
    return value


def load_file_task(wanted: FileTask) -> Task:
    """Build and check the task that the files make up.

    Raises:
        ConfigError: the network or the data is not named.
        DataError: the data is missing or malformed.
        RegistryError: the network is unknown.
        TaskError: network, weights and data do not fit each other.
    """
    for key in ("model", "data"):
        if getattr(wanted, key) is None:
            raise ConfigError(f"task {wanted.name!r} has no {key}; name one (model, weights and data make a task)")
    path = wanted.folder / str(wanted.data)
    arrays = read_arrays(path, wanted.input_shape)
    train = _split(wanted, arrays, path, "x" if "x" in arrays else "x_train")
    test = _split(wanted, arrays, path, "x_test") if "x_test" in arrays else None
    labels = [labels_of(split) for split in (train, test) if split is not None]
    classes = wanted.num_classes or max(2, *(int(y.max()) + 1 for y in labels))
    model, origin = _model(wanted, train.inputs.shape[1:], classes)
    notes = f"data: {wanted.data}; weights: {origin}"
    return make_task(wanted.name, model, train=train, test=test, num_classes=classes, notes=notes)


def _split(wanted: FileTask, arrays: Mapping[str, np.ndarray], path: Path, name: str) -> TensorSplit:
    inputs, labels = arrays[name], arrays[name.replace("x", "y", 1)]
    normalise = Normalise(1 / 255 if inputs.dtype == np.uint8 else 1.0, wanted.mean or (0.0,), wanted.std or (1.0,))
    return array_split(inputs, labels, f"{path}, {name}", normalise)


def read_arrays(path: Path, input_shape: Sequence[int] | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of an npz archive: ``x, y``, or ``x_train, y_train, x_test, y_test``.

    Args:
        path: the archive.
        input_shape: shape of one input, to which inputs are reshaped.

    Raises:
        DataError: the file is missing, no npz archive, holds Python objects, or lacks an array.
    """
    if not path.is_file():
        raise DataError(f"no data at {path}; give an .npz archive with the arrays x and y")
    try:
        with path.open("rb") as handle:
            archive = np.load(handle, allow_pickle=False)
            single = isinstance(archive, np.ndarray)
            found = [] if single else archive.files
            names = next((n for n in (_PAIR, _FOUR) if set(n) <= set(found)), ())
            arrays = {name: _array(archive[name], name) for name in names}
    except Exception as error:  # a damaged archive can make numpy and zipfile fail in any way
        remedy = "save plain number arrays with np.savez(path, x=x, y=y)"
        raise DataError(f"cannot read {path} as an npz archive of numbers: {error}; {remedy}") from error
    if single:
        raise DataError(f"{path} holds one array; save inputs and labels together with np.savez(path, x=x, y=y)")
    if not names:
        raise DataError(_arrays_missing(path, found))
    return {k: _shaped(v, k, path, input_shape) if k.startswith("x") else v for k, v in arrays.items()}


def _array(value: Any, name: str) -> np.ndarray:
    """Refuse what numpy hands over as bytes because it is no array."""
    if not isinstance(value, np.ndarray):
        raise DataError(f"member {name!r} is no array")
    return value


def _arrays_missing(path: Path, found: Sequence[str]) -> str:
    has_inputs = any(name.startswith("x") for name in found)
    labels = "it has no labels, and " if has_inputs and not any(name.startswith("y") for name in found) else ""
    return f"{path} holds {', '.join(found) or 'nothing'}; {labels}x, y or x_train, y_train, x_test, y_test are needed"


def _shaped(x: np.ndarray, name: str, path: Path, input_shape: Sequence[int] | None) -> np.ndarray:
    if x.ndim < 1 or x.size == 0:
        raise DataError(f"{path}: array {name!r} is empty (shape {x.shape}); give at least one sample")
    if input_shape is None:
        return x
    if int(np.prod(input_shape)) != int(np.prod(x.shape[1:])):
        raise DataError(
            f"{path}: one input of {name!r} has shape {x.shape[1:]}, which cannot become {tuple(input_shape)}"
        )
    return x.reshape(len(x), *input_shape)


def _model(wanted: FileTask, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, str]:
    """The network with its weights, and where these are from."""
    named = str(wanted.model)
    if ":" in named:
        model = _called(import_object(named, wanted.folder), named, classes)
    else:
        model = initialised(lambda: build_for(named, shape, classes), 0)
    if wanted.weights is not None:
        path = wanted.folder / wanted.weights
        load_weights(model, read_state(path), str(path))
        return model, wanted.weights
    if ":" not in named:
        raise TaskError(f"task {wanted.name!r}: network {named!r} has no weights; name a .safetensors or .pt file")
    return model, f"as {named} returns them"


def _called(entry: Any, named: str, classes: int) -> nn.Module:
    if isinstance(entry, nn.Module):
        return entry
    if not callable(entry):
        raise TaskError(f"{named} is a {type(entry).__name__}; it must be a torch.nn.Module, or make one when called")
    accepted: Mapping[str, object] = inspect.signature(entry).parameters
    try:
        model = initialised(lambda: entry(num_classes=classes) if "num_classes" in accepted else entry(), 0)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TaskError(f"{named} cannot be called without arguments: {error}; give its arguments defaults") from error
    if not isinstance(model, nn.Module):
        raise TaskError(f"{named} returned a {type(model).__name__}; it must return a torch.nn.Module")
    return model
