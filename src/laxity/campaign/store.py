"""Where the outcomes of a campaign are kept, so that it goes on where it was ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from laxity.campaign.outcomes import Outcomes
from laxity.core.errors import DataError, RunError
from laxity.core.serial import to_json, write_json
from laxity.run import Lines

IDENTITY, ROWS = "identity.json", "outcomes.jsonl"


class Store:
    """Outcomes by part of the population, in memory and in a folder.

    Args:
        folder: made where it is missing; None keeps everything in memory.
        identity: of the bench; a folder of another one is refused.

    Raises:
        RunError: the folder cannot be written or read, or holds another campaign.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self._kept: dict[int, list[Outcomes]] = {}
        self._lines: Lines | None = None
        if folder is None:
            return
        own = to_json(dict(identity))
        kept = folder / IDENTITY
        if not kept.exists():
            write_json(kept, own)
        self._compare(kept, own)
        self._lines = Lines(folder / ROWS)
        for place, line in self._lines.found():
            try:
                data = json.loads(line)
                self._keep(int(data["part"]), Outcomes.from_json(data["rows"]))
            except (ValueError, KeyError, TypeError, DataError) as error:
                raise RunError(f"{place}: {error}; delete the line to compute it anew") from error

    @staticmethod
    def _compare(kept: Path, own: Mapping[str, Any]) -> None:
        try:
            found = json.loads(kept.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {kept}: {error}; name another folder") from error
        if found == own:
            return
        different = [k for k in own if not isinstance(found, dict) or found.get(k) != own[k]]
        raise RunError(
            f"{kept.parent} holds a campaign with another {', another '.join(different)}; name another folder, or "
            "delete this one"
        )

    def _keep(self, part: int, rows: Outcomes) -> None:
        self._kept.setdefault(part, []).append(rows)

    def add(self, part: int, rows: Outcomes) -> None:
        """Keep outcomes durably.

        Raises:
            RunError: they cannot be written; what was kept before is safe.
        """
        if self._lines is not None:
            line = json.dumps({"part": part, "rows": rows.to_json()}, separators=(",", ":"))
            self._lines.append(line.encode())
        self._keep(part, rows)

    def missing(self, part: int, count: int, chunk: int) -> list[tuple[int, int]]:
        """What is still to be tried of the first `count` faults of a part: pairs of first fault and number, at most
        `chunk` each.
        """
        have = np.zeros(count, np.bool_)
        for rows in self._kept.get(part, []):
            have[rows.index[rows.index < count]] = True
        wanted = np.flatnonzero(~have)
        found: list[tuple[int, int]] = []
        for run in np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1) if len(wanted) else []:
            for start in range(int(run[0]), int(run[-1]) + 1, chunk):
                found.append((start, min(chunk, int(run[-1]) + 1 - start)))
        return found

    def rows(self, part: int, count: int) -> Outcomes:
        """The first `count` faults of a part, which must all be there, in their order."""
        joined = Outcomes.joined(self._kept.get(part, []))
        _, first = np.unique(joined.index, return_index=True)
        return Outcomes(**{name: np.asarray(getattr(joined, name))[first] for name in joined.__slots__}).first(count)
