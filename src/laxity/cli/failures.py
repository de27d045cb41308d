"""From exceptions and signals to messages and exit codes."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import typer

from laxity.cli.output import NoteHandler, note
from laxity.core.errors import LaxityError

INTERRUPTED = 130
"""Exit code after SIGINT or SIGTERM."""


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: errors become one message and an exit code, and signals end the worker processes too."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        with _logging(), _stoppable():
            try:
                command(*args, **kwargs)
            except (typer.Exit, typer.Abort, typer.BadParameter):
                raise
            except KeyboardInterrupt:
                note("interrupted")
                raise typer.Exit(INTERRUPTED) from None
            except LaxityError as error:
                _explain(f"error: {error}")
                raise typer.Exit(error.exit_code) from None
            except Exception as error:
                _explain(_unexpected(error))
                raise typer.Exit(1) from None

    return run


def _explain(message: str) -> None:
    """Show the traceback if it is asked for, then the message."""
    if os.environ.get("LAXITY_DEBUG", "") not in {"", "0"}:
        note(traceback.format_exc().rstrip())
    note(message)


def _unexpected(error: Exception) -> str:
    what = f"{type(error).__name__}: {error}".strip().rstrip(":")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"error: out of memory ({what}); use fewer --workers or a smaller network"
    if isinstance(error, OSError):
        return f"error: {what}; check the path, its permissions and the free space"
    return (
        f"error: unexpected {what}; this is a bug in laxity or in a plug-in, please report it with the command "
        "and what LAXITY_DEBUG=1 shows"
    )


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Show what laxity logs, for the time of a command."""
    log, handler = logging.getLogger("laxity"), NoteHandler()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGINT and SIGTERM kill the worker processes and raise KeyboardInterrupt; a second one ends at once.

    A signal that is ignored already, as in a background job of a shell, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    for worker in multiprocessing.active_children():
        worker.kill()
    raise KeyboardInterrupt


def terminal() -> bool:
    """Whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
