"""Where evaluations run: in this process, or in a pool of processes that each load the task once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

from laxity.core.errors import ConfigError


class Serial(Executor):
    """Runs every submitted call at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `fn` and return a finished future; an exception is kept in it, as pools do."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def make_executor(workers: int, initialise: Callable[..., None], arguments: tuple[Any, ...]) -> Executor:
    """An executor with `workers` processes, each initialised once; one worker runs in this process.

    Args:
        workers: at least 1.
        initialise: called once per process before any work.
        arguments: of `initialise`; must be picklable for more than one worker.

    Raises:
        ConfigError: fewer than one worker.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}")
    if workers == 1:
        initialise(*arguments)
        return Serial()
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=initialise, initargs=arguments)
