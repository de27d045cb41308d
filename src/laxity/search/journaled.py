"""A pool whose results and weights are kept in a folder, so that the same call again goes on where it was ended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from laxity.core.errors import RunError
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.run import Journal, make_executor
from laxity.search.pool import Pool, Progress


@contextmanager
def journaled(
    setup: Setup, seed: int, folder: Path | None, workers: int = 1, progress: Progress | None = None
) -> Iterator[Pool]:
    """A pool for one seed.

    Args:
        setup: task, target and device; its seed and folder are replaced.
        seed: root seed.
        folder: gets a folder per seed with ``evaluations.jsonl`` and ``checkpoints``; None keeps everything in memory.
        workers: processes.
        progress: called with (what, done, total, latest result).

    Raises:
        RunError: the folder cannot be written, or holds results of another task or target.
        LaxityError: the task or the target cannot be had.
    """
    if folder is None:
        own, journal = replace(setup, seed=seed, folder=None), Journal(None)
    else:
        place = folder / f"seed-{seed}"
        try:
            (place / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write {place}: {error.strerror}; choose another folder") from error
        own = replace(setup, seed=seed, folder=str(place / "checkpoints"))
        journal = Journal(place / "evaluations.jsonl")
        _check(journal, own, place)
    with make_executor(workers, Pool.initialise, (own,)) as executor:
        yield Pool(executor, journal, progress)


def _check(journal: Journal, setup: Setup, place: Path) -> None:
    """Refuse a folder of something else.

    Raises:
        RunError: it is one.
    """
    first = next(iter(journal), None)
    if first is None:
        return
    evaluator = Evaluator(setup)
    if (first.fingerprint, first.target) != (evaluator.task.fingerprint, evaluator.target.name):
        raise RunError(
            f"{place} holds results of task {first.task!r} on target {first.target!r}; name another folder for task "
            f"{evaluator.task.name!r} on {evaluator.target.name!r}"
        )


def unfinished(folder: Path) -> list[list[Mapping[str, float]]]:
    """Curves of the trainings under way in the folder of `journaled`, of those that have finished an epoch.

    A file that is gone or unreadable by the time it is looked at is left out.
    """
    found = []
    for file in sorted(folder.glob("seed-*/checkpoints/*.training.safetensors")):
        try:
            with safe_open(str(file), framework="pt") as opened:
                curve = json.loads((opened.metadata() or {}).get("laxity", "{}")).get("curve", [])
        except (OSError, SafetensorError, ValueError):
            continue
        if curve:
            found.append(curve)
    return found
