"""An imported multiplier with what was assumed and checked, and how it is kept in a folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from laxity.circuits.importers.checks import Check
from laxity.circuits.importers.nearest import Nearest
from laxity.circuits.kept import broken, keep, key_of, read_kept
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit


@dataclass(frozen=True, slots=True)
class Imported:
    """A multiplier from a file.

    Attributes:
        multiplier: with its table, and its netlist where the file has one.
        origin: name of the file.
        format: name of the importer that read it.
        origin_sha256: SHA-256 of the file.
        assumptions: what was assumed about the content, in words.
        checks: what was looked at, with findings.
        nearest: the nearest circuit of the catalogue; None where it was not looked for.
    """

    multiplier: Multiplier
    origin: str
    format: str
    origin_sha256: str
    assumptions: tuple[str, ...]
    checks: tuple[Check, ...]
    nearest: Nearest | None = None

    @property
    def circuit(self) -> Circuit | None:
        """The netlist with ports a, b and p; None where only products are known."""
        return self.multiplier.circuit

    @property
    def key(self) -> str:
        """Content key of 16 hexadecimal digits: encoding, products and gates; the name does not enter."""
        return key_of(self.multiplier)

    def to_json(self) -> dict[str, Any]:
        """Facts for tables and JSON: name, widths, signs, metrics, assumptions, checks; without table and gates."""
        m = self.multiplier
        return {
            "name": m.name,
            "key": self.key,
            "origin": self.origin,
            "format": self.format,
            "origin_sha256": self.origin_sha256,
            "a_bits": m.a_bits,
            "b_bits": m.b_bits,
            "a_signed": m.a_signed,
            "b_signed": m.b_signed,
            "table_sha256": m.table_sha256,
            "gates": None if m.circuit is None else len(m.circuit.gates),
            "cells": None if m.circuit is None else m.circuit.cells(),
            "metrics": asdict(m.metrics()),
            "assumptions": list(self.assumptions),
            "checks": [asdict(check) for check in self.checks],
            "nearest": None if self.nearest is None else {**asdict(self.nearest), "identical": self.nearest.identical},
        }

    def save(self, folder: str | Path) -> Path:
        """Write ``KEY.json`` and ``KEY.npz`` into a folder, which is made if it is missing; returns the JSON file.

        Saving the same circuit again replaces its files.

        Raises:
            CircuitError: the folder cannot be written.
        """
        return keep(self.multiplier, folder, self.to_json())


def load_saved(folder: str | Path, name: str) -> Imported:
    """Read a circuit that `Imported.save` wrote, by its name or by the beginning of its key (8 digits or more).

    Raises:
        CircuitError: there is none or several, or products, gates and key do not fit each other.
    """
    multiplier, document = read_kept(folder, name)
    try:
        near = document["nearest"]
        return Imported(
            multiplier,
            str(document["origin"]),
            str(document["format"]),
            str(document["origin_sha256"]),
            tuple(map(str, document["assumptions"])),
            tuple(Check(str(c["name"]), bool(c["ok"]), str(c["text"])) for c in document["checks"]),
            None
            if near is None
            else Nearest(str(near["name"]), float(near["med"]), float(near["differ"]), bool(near["swapped"])),
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise broken(Path(folder) / f"{key_of(multiplier)}.json", error) from error
