"""`load_task`: one entry for tasks of the package, of a Python function, of a task file, and of a user's files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from laxity.task import builtin as _builtin  # noqa: F401
from laxity.task import digits as _digits  # noqa: F401
from laxity.task.base import TaskRequest, default_data_dir, tasks
from laxity.task.task import Task, check_task


def load_task(
    spec: str | Task | Callable[[], Any],
    *,
    data_dir: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    data: str | Path | None = None,
    download: bool = False,
    num_classes: int | None = None,
    input_shape: Sequence[int] | None = None,
) -> Task:
    """Load a checked task."""
    if isinstance(spec, Task):
        check_task(spec)
        return spec
    folder = Path(data_dir) if data_dir is not None else default_data_dir()
    task = tasks[str(spec)](TaskRequest(folder, model, Path(weights) if weights else None, download))
    check_task(task)
    return task
