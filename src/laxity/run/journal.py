"""The store of a run: one line per evaluation, appended, replayed on resume."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from laxity.core.errors import RunError
from laxity.core.records import Evaluation
from laxity.run.lines import Lines


class Journal:
    """Append-only file of evaluations.

    Args:
        path: the file, as of `Lines`. None keeps the journal in memory only.

    Raises:
        RunError: the file cannot be read, or a complete line is malformed; names file and line.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file = None if path is None else Lines(path)
        self._lines: dict[tuple[str, str], Evaluation] = {}
        for place, line in () if self._file is None else self._file.found():
            try:
                evaluation = Evaluation.from_json(json.loads(line))
            except (ValueError, RunError) as error:
                raise RunError(f"{place}: {error}; delete the line to compute it anew") from error
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
        if self._file is not None:
            self._file.append(json.dumps(evaluation.to_json(), separators=(",", ":"), allow_nan=False).encode())
        self._lines[evaluation.plan_key, evaluation.stage] = evaluation

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Evaluation]:
        return iter(self._lines.values())
