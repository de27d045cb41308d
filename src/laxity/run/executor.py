"""Where evaluations run: in this process, or in a pool of processes that each load the task once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
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


class _Worker(SpawnProcess):
    """A process that is deaf to interrupts from the keyboard from its first instruction on.

    An interrupt goes to all processes of a terminal; only the parent is to act on it, and ends its workers.
    """

    def start(self) -> None:
        """Start with SIGINT blocked, which the child inherits."""
        if not hasattr(signal, "pthread_sigmask"):
            super().start()
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    """The spawn context with `_Worker` as its process."""

    Process = _Worker


def _initialise(initialise: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Prepare a worker that ends with its parent, even where the parent is killed and cannot say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    initialise(*arguments)


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _nothing() -> None:
    """Prepare nothing."""


def make_executor(
    workers: int, initialise: Callable[..., None] = _nothing, arguments: tuple[Any, ...] = ()
) -> Executor:
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
    return ProcessPoolExecutor(
        workers, mp_context=_Context(), initializer=_initialise, initargs=(initialise, arguments)
    )
