"""The folder of a study of recovery on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from laxity.artifacts.folder import RunFolder
from laxity.core.errors import RunError
from laxity.core.serial import canonical, write_json

SUBJECT = "subject.json"
COMPARISON, LADDER, RANKING = "comparison.json", "ladder.json", "ranking.json"


def is_recovery(path: Path) -> bool:
    """Whether a folder was made by a study of recovery."""
    return (path / SUBJECT).is_file()


class RecoveryFolder(RunFolder):
    """Paths and files of one study: what it is about, one result file per question, a folder per seed.

    Args:
        path: the folder; created by `adopt` if missing.
    """

    def adopt(self, subject: dict[str, Any]) -> None:
        """Make the folder for a task on a target, or check that it is the folder of the very same one.

        Args:
            subject: what all results of the folder have in common.

        Raises:
            RunError: another task or target lives here, or files of another origin; or the folder cannot be written.
        """
        file = self.path / SUBJECT
        try:
            if file.exists():
                if _read(file) != canonical(subject):
                    raise RunError(
                        f"folder {self.path} belongs to another task, data or target (see {file}); choose another --out"
                    )
                return
            foreign = sorted(p.name for p in self.path.iterdir()) if self.path.exists() else []
            if foreign:
                raise RunError(
                    f"folder {self.path} is not empty and no folder of laxity recover: it has {foreign[0]!r} but no "
                    f"{SUBJECT}; choose another --out"
                )
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write folder {self.path}: {error.strerror}; choose another --out") from error
        write_json(file, subject)


def _read(file: Path) -> str:
    """What a folder is about, in canonical form; empty where the file is no JSON."""
    try:
        return canonical(json.loads(file.read_text(encoding="utf-8")))
    except ValueError:
        return ""
