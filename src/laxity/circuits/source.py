"""Files to import: read once, bounded, with a name that is safe to show."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from laxity.core.errors import CircuitError

MAX_FILE_BYTES = 64 << 20
"""Largest file that is read."""

_SHOWN_LETTERS = 120


@dataclass(frozen=True, slots=True)
class Source:
    """Content of a file and what messages call it.

    Attributes:
        label: name of the file without folders, printable and short.
        suffix: end of the name in lower case, with the dot; empty if there is none.
        data: the bytes.
    """

    label: str
    suffix: str
    data: bytes

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def stem(self) -> str:
        """The name as an identifier: without suffix, other characters than letters, digits and _ replaced."""
        return identifier(self.label.removesuffix(self.suffix) if self.suffix else self.label)

    def text(self) -> str:
        """The content as text; bytes that are not UTF-8 become U+FFFD, which no format takes outside comments.

        Raises:
            CircuitError: the file is empty or binary.
        """
        if not self.data.strip():
            raise self.error(None, "is empty; give a complete file")
        if b"\0" in self.data:
            line = self.data[: self.data.index(b"\0")].count(b"\n") + 1
            raise self.error(line, "binary data in what should be text; check the file, or name its --format")
        return self.data.decode("utf-8", errors="replace").removeprefix("\ufeff")

    def error(self, line: int | None, message: str) -> CircuitError:
        """An error that names the file, and the line if it is known."""
        return CircuitError(f"{self.label}:{line}: {message}" if line else f"{self.label}: {message}")


def shown(text: object) -> str:
    """Text of others, such as a file name, for a message: control characters escaped, long text cut."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in str(text))
    return safe if len(safe) <= _SHOWN_LETTERS else safe[: _SHOWN_LETTERS - 3] + "..."


def identifier(name: str) -> str:
    """A legal identifier near `name`, at most 64 characters long."""
    text = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:64]
    return text if text and not text[0].isdigit() else f"c_{text}".rstrip("_")


def read_source(path: str | Path) -> Source:
    """Read a regular file of at most `MAX_FILE_BYTES`.

    Raises:
        CircuitError: it does not exist, is a folder or a device, cannot be read, or is too large.
    """
    name = shown(Path(path).name or path)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CircuitError(f"cannot read {shown(path)}: {reason}; check the path") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CircuitError(f"cannot read {shown(path)}: it is no regular file; give a file")
    with os.fdopen(handle, "rb") as file:
        try:
            data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise CircuitError(f"cannot read {shown(path)}: {error.strerror}; check the disk") from error
    if len(data) > MAX_FILE_BYTES:
        raise CircuitError(f"{name} has more than {MAX_FILE_BYTES >> 20} MiB; circuits and tables are smaller")
    return Source(name, Path(name).suffix.lower(), data)
