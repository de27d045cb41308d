"""The run folder on disk."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from laxity.artifacts.config import RunConfig
from laxity.core.errors import RunError
from laxity.core.serial import write_atomic, write_json


class RunFolder:
    """Paths and files of one run.

    Args:
        path: the folder; created if missing.

    Raises:
        RunError: the folder cannot be created or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best"
        self.journal = path / "evaluations.jsonl"
        self.checkpoints = path / "checkpoints"
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise RunError(f"cannot write run folder {path}: {error.strerror}; choose another --out") from error

    def claim(self, config: RunConfig, fingerprint: str) -> None:
        """Write the configuration, or check that the folder holds a run of the very same one.

        Args:
            config: resolved.
            fingerprint: of the task: the same name with other weights or data is another run.

        Raises:
            RunError: another run lives here.
        """
        file = self.path / "config.toml"
        text = f"# task fingerprint {fingerprint}\n{config.toml()}"
        if file.exists():
            if file.read_text(encoding="utf-8") != text:
                raise RunError(
                    f"run folder {self.path} belongs to a run with another configuration, model or data (see {file}); "
                    "choose another --out, or delete the folder to start anew"
                )
            return
        if self.journal.exists():
            raise RunError(f"run folder {self.path} has a journal but no config.toml; choose another --out")
        write_atomic(file, text)

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
