"""Multipliers that users brought, by names that plans can hold: ``imported_`` and the content key.

A name stands for encoding, products and gates, never for a file: the same name is the same circuit everywhere.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from laxity.circuits.multiplier import Multiplier
from laxity.core.errors import CircuitError

PREFIX = "imported_"

VARIABLE = "LAXITY_CIRCUITS"
"""Environment variable with folders of imported circuits, separated as in PATH."""

_SHELF: dict[str, Multiplier] = {}
_read: set[Path] = set()


def key_of(multiplier: Multiplier) -> str:
    """Content key of 16 hexadecimal digits: encoding, products and gates; the name does not enter."""
    m = multiplier
    parts = (m.a_bits, m.b_bits, m.a_signed, m.b_signed, m.table_sha256, m.circuit.key if m.circuit else "")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def put(multiplier: Multiplier) -> str:
    """Make a multiplier known in this process; returns the name by which plans and the catalogue call it."""
    name = PREFIX + key_of(multiplier)
    _SHELF.setdefault(name, multiplier)
    return name


def use_folder(folder: str | Path) -> list[str]:
    """Make all circuits of a folder known that `Imported.save` wrote; returns their names.

    Raises:
        CircuitError: the folder is missing, or a circuit in it is broken.
    """
    from laxity.circuits.importers import load_saved, saved  # importers look for near circuits in the catalogue

    path = Path(folder)
    if not path.is_dir():
        raise CircuitError(f"there is no folder of circuits at {path}; import some with: laxity circuits import --out")
    return [put(load_saved(path, key).multiplier) for key in saved(path)]


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
                _read.add(folder)
                use_folder(folder)
    if name not in _SHELF:
        raise CircuitError(
            f"circuit {name!r} is not known here; give its folder by laxity.circuits.use_folder, by circuits in "
            f"config.toml, or in {VARIABLE}"
        )
    return _SHELF[name]


def names() -> list[str]:
    """Names of all circuits that are known, in order."""
    return sorted(_SHELF)
