"""Results that took a tool, kept in a folder by a hash of all they depend on.

The folder is ``LAXITY_CACHE``, else ``laxity`` in the user's cache folder; ``LAXITY_CACHE=off`` keeps nothing. Entries
are JSON with a checksum, written under another name first; what cannot be read counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger("laxity.eda")


def cache_folder() -> Path | None:
    """Where results are kept; None if nothing is to be kept."""
    named = os.environ.get("LAXITY_CACHE", "")
    if named.lower() == "off":
        return None
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "laxity"
    except RuntimeError:  # no home folder
        return None


def digest(*parts: object) -> str:
    """SHA-256 of some values that JSON can hold, as 32 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results.

    Attributes:
        folder: made when something is written; None keeps nothing.
    """

    folder: Path | None

    def read(self, kind: str, key: str) -> Any:
        """The result under a key; None if it is absent, damaged or of another key."""
        if self.folder is None:
            return None
        try:
            entry = json.loads(self._path(kind, key).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(entry, dict) or entry.get("key") != key or "value" not in entry:
            return None
        return entry["value"] if entry.get("check") == digest(key, entry["value"]) else None

    def write(self, kind: str, key: str, value: Any) -> None:
        """Keep a result; a folder that cannot be written is told in the log and is no error."""
        if self.folder is None:
            return
        path = self._path(kind, key)
        content = json.dumps({"key": key, "check": digest(key, value), "value": value}, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(content)
                Path(name).replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(name).unlink()
                raise
        except OSError as error:
            _log.warning("results are not kept in %s (%s); set LAXITY_CACHE to a writable folder", self.folder, error)

    def _path(self, kind: str, key: str) -> Path:
        if self.folder is None:
            raise ValueError("nothing is kept")
        return self.folder / kind / f"{key}.json"


def default_store() -> Store:
    """The store of this user."""
    return Store(cache_folder())
