"""The store of a run: one line per evaluation, appended, replayed on resume."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from laxity.core.errors import RunError
from laxity.core.records import Evaluation


class Journal:
    """Append-only file of evaluations.

    A line is complete once its newline is written; what a killed process left of a line is cut off on opening.

    Args:
        path: the file; created when the first line is written. None keeps the journal in memory only.

    Raises:
        RunError: the file cannot be read, or a complete line is malformed; names file and line.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lines: dict[tuple[str, str], Evaluation] = {}
        if path is not None and path.exists():
            self._replay(path)

    def _replay(self, path: Path) -> None:
        try:
            raw = path.read_bytes()
            whole = raw[: raw.rfind(b"\n") + 1]
            if len(whole) != len(raw):
                with path.open("r+b") as handle:
                    handle.truncate(len(whole))
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror}; check its permissions") from error
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                evaluation = Evaluation.from_json(json.loads(line))
            except (ValueError, RunError) as error:
                raise RunError(f"{path}, line {number}: {error}; delete the line to compute it anew") from error
            self._lines[evaluation.plan_key, evaluation.stage] = evaluation

    def get(self, plan_key: str, stage: str) -> Evaluation | None:
        """The recorded evaluation of a plan at a stage, or None."""
        return self._lines.get((plan_key, stage))

    def append(self, evaluation: Evaluation) -> None:
        """Record an evaluation durably.

        Raises:
            RunError: the line cannot be written (disk full, no permission); earlier lines are safe.
        """
        if (evaluation.plan_key, evaluation.stage) in self._lines:
            return
        if self.path is not None:
            line = json.dumps(evaluation.to_json(), separators=(",", ":"), allow_nan=False) + "\n"
            self._write(self.path, line.encode())
        self._lines[evaluation.plan_key, evaluation.stage] = evaluation

    @staticmethod
    def _write(path: Path, line: bytes) -> None:
        """Append without a buffer, so that nothing of a line that failed half-way can be written later."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(path, flags, 0o644)
            try:
                size = os.fstat(handle).st_size
                try:
                    left = line
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
                f"cannot append to {path}: {error.strerror}; free space and run the same command again to resume"
            ) from error

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self._lines.values())
