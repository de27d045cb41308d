"""Multipliers that users brought, by names that plans can hold: ``imported_`` and the content key.

A name stands for encoding, products and gates, never for a file: the same name is the same circuit everywhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from laxity.circuits.kept import key_of, read_kept, saved
from laxity.circuits.multiplier import Multiplier
from laxity.core.errors import CircuitError

PREFIX = "imported_"

VARIABLE = "LAXITY_CIRCUITS"
"""Environment variable with folders of imported circuits, separated as in PATH."""

_SHELF: dict[str, Multiplier] = {}
_read: set[Path] = set()


def put(multiplier: Multiplier) -> str:
    """Make a multiplier known in this process; returns the name by which plans and the catalogue call it."""
    name = PREFIX + key_of(multiplier)
    _SHELF.setdefault(name, multiplier)
    return name


def use_folder(folder: str | Path) -> list[str]:
    """Make all circuits of a folder known that were kept in it; returns their names.

    Raises:
        CircuitError: the folder is missing, or a circuit in it is broken.
    """
    path = Path(folder)
    if not path.is_dir():
        raise CircuitError(f"there is no folder of circuits at {path}; import some with: laxity circuits import --out")
    return [put(read_kept(path, key)[0]) for key in saved(path)]


def find(name: str) -> Multiplier | None:
    """The multiplier of that name, or None for a name that is not one of imported circuits.

    Raises:
        CircuitError: the name is one of an imported circuit, which is not known here.
    """
    if not name.startswith(PREFIX):
        return None
    if name not in _SHELF:
        for folder in map(Path, filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))):
            if folder not in _read:
                use_folder(folder)
                _read.add(folder)
    if name not in _SHELF:
        raise CircuitError(
            f"circuit {name!r} is not known here; give its folder by laxity.circuits.use_folder, by circuits in "
            f"config.toml, or in {VARIABLE}"
        )
    return _SHELF[name]


def names() -> list[str]:
    """Names of all circuits that are known, in order."""
    return sorted(_SHELF)
