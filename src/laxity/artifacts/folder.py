"""The run folder on disk."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from laxity.artifacts.config import RunConfig
from laxity.core.errors import RunError
from laxity.core.serial import write_atomic, write_json


class RunFolder:
    """Paths and files of one run.

    Nothing is written before `claim`, so that a run that cannot start leaves nothing behind.

    Args:
        path: the folder; created by `claim` if missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best"
        self.journal = path / "evaluations.jsonl"
        self.checkpoints = path / "checkpoints"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out of the folder while the block runs; the system frees it when a process dies.

        Raises:
            RunError: another process is at work here.
        """
        if sys.platform == "win32":
            yield
            return
        import fcntl

        with (self.path / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(
                    f"run folder {self.path} is in use by another laxity process; wait for it, or choose another --out"
                ) from error
            yield

    def claim(self, config: RunConfig, fingerprint: str) -> None:
        """Make the folder and write the configuration, or check that it holds a run of the very same one.

        A folder whose run has not finished a single evaluation is taken over.

        Args:
            config: resolved.
            fingerprint: of the task: the same name with other weights or data is another run.

        Raises:
            RunError: another run lives here, or files of another origin; or the folder cannot be made or written.
        """
        file = self.path / "config.toml"
        text = f"# task fingerprint {fingerprint}\n{config.toml()}"
        try:
            same = file.exists() and file.read_bytes() == text.encode()
            self._refuse_others(file, same)
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise RunError(f"cannot write run folder {self.path}: {error.strerror}; choose another --out") from error
        if not same:
            write_atomic(file, text)

    def _refuse_others(self, file: Path, same: bool) -> None:
        begun = self.best.exists() or (self.journal.exists() and self.journal.stat().st_size > 0)
        if begun and file.exists() and not same:
            raise RunError(
                f"run folder {self.path} belongs to a run with another configuration, model or data (see {file}); "
                "choose another --out, or delete the folder to start anew"
            )
        if file.exists() or not self.path.exists():
            return
        foreign = sorted(p.name for p in self.path.iterdir() if p != self.checkpoints and not p.name.startswith("."))
        if foreign:
            raise RunError(
                f"folder {self.path} is not empty and no run folder: it has {foreign[0]!r} but no config.toml; "
                "choose another --out"
            )

    def created(self) -> str:
        """When the run was first started, ISO 8601 in UTC; set on the first call."""
        stamp = self.path / "created"
        if not stamp.exists():
            write_atomic(stamp, datetime.now(UTC).isoformat(timespec="seconds"))
        return stamp.read_text(encoding="utf-8").strip()

    def log(self, line: str) -> None:
        """Append a line to log.txt.

        Raises:
            RunError: it cannot be written.
        """
        try:
            with (self.path / "log.txt").open("a", encoding="utf-8") as handle:
                handle.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")
        except OSError as error:
            raise RunError(f"cannot append to {self.path / 'log.txt'}: {error.strerror}; free space") from error

    def write(self, name: str, value: Any) -> None:
        """Write one JSON file of the folder atomically."""
        write_json(self.path / name, value)

    def clean(self, keep: str) -> None:
        """Remove the weights of plans that were tried and not chosen; those of plan key `keep` stay for a resume."""
        for file in self.checkpoints.glob("*.safetensors"):
            if file.stem != keep:
                file.unlink(missing_ok=True)


def result_folder(path: Path, what: str) -> Path:
    """Make a folder for results that belong to no run.

    Args:
        path: the folder.
        what: it will hold, for messages.

    Raises:
        RunError: it is the folder of a run, or cannot be written.
    """
    if (path / "config.toml").exists():
        raise RunError(f"{path} is the folder of a run; choose another one for {what}")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}; choose another folder") from error
    return path
