"""A file to which whole lines are appended, and that survives every interruption."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from laxity.core.errors import RunError


class Lines:
    """Append-only file of lines.

    A line is complete once its newline is written; what a killed process left of a line is cut off on opening.

    Args:
        path: the file; created when the first line is written.

    Raises:
        RunError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: list[bytes] = []
        if not path.exists():
            return
        try:
            raw = path.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]
            if len(whole) != len(raw):
                with path.open("r+b") as handle:
                    handle.truncate(len(whole))
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror}; check its permissions") from error
        self._found = whole.splitlines()

    def found(self) -> Iterator[tuple[str, bytes]]:
        """The lines that were there on opening, each with its place for messages."""
        for number, line in enumerate(self._found, 1):
            yield f"{self.path}, line {number}", line

    def append(self, line: bytes) -> None:
        """Write a line without newlines durably; without a buffer, so that nothing of a line that failed half-way can
        be written later.

        Raises:
            RunError: the line cannot be written (disk full, no permission); earlier lines are safe.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(self.path, flags, 0o644)
            try:
                size = os.fstat(handle).st_size
                try:
                    left = line + b"\n"
                    while left:
                        left = left[os.write(handle, left) :]
                    os.fsync(handle)
                except BaseException:
                    os.ftruncate(handle, size)
                    raise
            finally:
                os.close(handle)
        except OSError as error:
            raise RunError(
                f"cannot append to {self.path}: {error.strerror}; free space and run the same command again to resume"
            ) from error
