"""Objects named in text: ``module:name`` and ``path/file.py:name``. Importing runs the user's own code."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from laxity.core.errors import TaskError
from laxity.core.registry import did_you_mean


def import_object(target: str, folder: Path | None = None) -> Any:
    """Import what ``module:name`` or ``path/file.py:name`` names.

    Args:
        target: the name; modules are looked for in `folder` first.
        folder: base of relative paths, by default the working directory.

    Raises:
        TaskError: the form is wrong, the file or module is missing or fails, or it has no such name.
    """
    left, colon, name = target.rpartition(":")
    if not colon or not left or not name:
        raise TaskError(f"{target!r} names no object; write module:name or path/file.py:name")
    base = folder or Path.cwd()
    module = _from_file(base / left) if left.endswith(".py") else _from_path(left, base)
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise TaskError(f"{left} has no {name!r}{did_you_mean(name, public)}")
    return getattr(module, name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TaskError(f"no Python file at {path}; correct the path")
    name = f"laxity_user_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TaskError(f"cannot read {path} as a Python module; rename it to a plain .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _search_path(path.parent), _failures(str(path)):
        spec.loader.exec_module(module)
    return module


def _from_path(name: str, folder: Path) -> ModuleType:
    with _search_path(folder), _failures(f"module {name!r}"):
        return importlib.import_module(name)


@contextmanager
def _search_path(folder: Path) -> Iterator[None]:
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


@contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = "correct the name, install the module, or run in the folder it lies in"
        raise TaskError(f"importing {what} failed with ModuleNotFoundError: {error}; {remedy}") from error
    except Exception as error:
        kind = type(error).__name__
        raise TaskError(f"importing {what} failed with {kind}: {error}; run it with python to see where") from error
