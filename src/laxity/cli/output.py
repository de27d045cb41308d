"""What goes to standard output (the result, and nothing else) and to standard error (everything else)."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from laxity.core.errors import RunError
from laxity.core.serial import to_json

_PIPED_WIDTH = 160


def emit_json(value: Any) -> None:
    """Print one JSON document."""
    write(json.dumps(to_json(value), indent=1, allow_nan=False) + "\n")


def emit_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, header: bool = True) -> None:
    """Print a table; columns whose cells are all numbers stand to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_header=header, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else _PIPED_WIDTH
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=terminal, markup=False, emoji=False, highlight=False)
    console.print(table)
    write("\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n") + "\n")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "yes" if value is True else "no" if value is False else str(value)


def write(text: str) -> None:
    """Write to standard output. A reader that has gone (``| head``) is no error.

    Raises:
        RunError: it cannot be written, for example because the disk is full.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _discard_stdout()
        if not isinstance(error, BrokenPipeError):
            raise RunError(
                f"cannot write the result to standard output: {error.strerror}; free space, or send it elsewhere"
            ) from error


def _discard_stdout() -> None:
    """Let what is left in the buffer go nowhere: the interpreter flushes it once more when it ends."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)


def note(text: str) -> None:
    """Write a line to standard error, which may be closed."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        logging.getLogger("laxity.cli").debug("standard error is closed: %s", text)


class NoteHandler(logging.Handler):
    """Shows log records of laxity (downloads, for example) as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message as a line."""
        note(record.getMessage())
