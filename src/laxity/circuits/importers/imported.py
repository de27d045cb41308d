"""An imported multiplier with what was assumed and checked, and how it is kept in a folder."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from laxity.circuits.importers.checks import Check
from laxity.circuits.importers.importer import IntArray, Options, TableContent
from laxity.circuits.importers.nearest import Nearest
from laxity.circuits.importers.npz import npz as npz_importer
from laxity.circuits.importers.source import read_source, shown
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit, Gate, Port
from laxity.circuits.shelf import key_of
from laxity.circuits.simulate import product_table
from laxity.core.errors import CircuitError

FORMAT = "laxity imported circuit 1"
"""First entry of every description that is written."""


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
        target = Path(folder)
        document = {"kind": FORMAT, **self.to_json(), "netlist": _netlist(self.circuit)}
        archive = io.BytesIO()
        np.savez_compressed(archive, table=self.multiplier.table)
        try:
            target.mkdir(parents=True, exist_ok=True)
            _write(target / f"{self.key}.npz", archive.getvalue())
            _write(target / f"{self.key}.json", json.dumps(document, indent=1).encode())
        except OSError as error:
            raise CircuitError(f"cannot write to {shown(target)}: {error.strerror}; choose another folder") from error
        return target / f"{self.key}.json"


def save_multiplier(multiplier: Multiplier, folder: str | Path) -> Path:
    """Write a multiplier as `Imported.save` does, without a history; returns the JSON file.

    Raises:
        CircuitError: the folder cannot be written.
    """
    return Imported(multiplier, multiplier.name, multiplier.family, "", (), ()).save(folder)


def saved(folder: str | Path) -> dict[str, str]:
    """Names of the circuits in a folder by their keys; nothing for a folder without any.

    Raises:
        CircuitError: a description in it is broken.
    """
    return {path.stem: _document(path)["name"] for path in sorted(Path(folder).glob("[0-9a-f]*.json"))}


def load_saved(folder: str | Path, name: str) -> Imported:
    """Read a circuit that `Imported.save` wrote, by its name or by the beginning of its key (8 digits or more).

    Raises:
        CircuitError: there is none or several, or products, gates and key do not fit each other.
    """
    known = saved(folder)
    keys = [k for k, title in known.items() if title == name] or [
        k for k in known if len(name) >= 8 and k.startswith(name)
    ]
    if len(keys) != 1:
        listed = ", ".join(f"{title} ({key})" for key, title in known.items()) or "none"
        problem = "has no circuit" if not keys else "has several circuits"
        raise CircuitError(f"{shown(folder)} {problem} {shown(name)!r}; name one of: {listed}")
    path = Path(folder) / f"{keys[0]}.json"
    imported = _rebuilt(path, _document(path))
    if imported.key != keys[0]:
        raise CircuitError(f"{path.name} does not fit its products or gates; import the circuit again")
    return imported


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step, so that nobody reads half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_source(path).data)
    except (ValueError, RecursionError) as error:
        raise CircuitError(f"{shown(path.name)} is no JSON: {shown(error)}; import the circuit again") from error
    if not isinstance(document, dict) or document.get("kind") != FORMAT:
        raise CircuitError(f"{shown(path.name)} is no {FORMAT}; keep other files out of the folder")
    if not isinstance(document.get("name"), str):
        raise CircuitError(f"{shown(path.name)} lacks a name; import the circuit again")
    return document


def _rebuilt(path: Path, document: Mapping[str, Any]) -> Imported:
    content = npz_importer.read(read_source(path.with_suffix(".npz")), Options(key="table"))
    if not isinstance(content, TableContent):
        raise CircuitError(f"{path.stem}.npz holds no table; import the circuit again")
    table = content.readings[0].values
    try:
        circuit = _circuit(document["netlist"], str(document["name"]))
        a_signed, b_signed = bool(document["a_signed"]), bool(document["b_signed"])
        a_bits, b_bits = int(document["a_bits"]), int(document["b_bits"])
        near = document["nearest"]
        multiplier = Multiplier(str(document["name"]), a_bits, b_bits, a_signed, b_signed, table, circuit, "imported")
        _agree(circuit, table, path)
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
        raise CircuitError(f"{path.name} lacks or garbles {shown(error)}; import the circuit again") from error


def _agree(circuit: Circuit | None, table: IntArray, path: Path) -> None:
    """Check that the gates compute the products, modulo the width of the output."""
    if circuit is None:
        return
    mask = (1 << circuit.port("p").width) - 1
    if not np.array_equal(product_table(circuit), table & mask):
        raise CircuitError(f"the gates of {path.name} compute other products than its table; import the circuit again")


def _netlist(circuit: Circuit | None) -> dict[str, Any] | None:
    if circuit is None:
        return None
    return {
        "name": circuit.name,
        "source": circuit.source,
        "inputs": [[p.name, list(p.nets)] for p in circuit.inputs],
        "outputs": [[p.name, list(p.nets)] for p in circuit.outputs],
        "gates": [[g.cell, list(g.inputs), list(g.outputs), g.block] for g in circuit.gates],
    }


def _circuit(netlist: Mapping[str, Any] | None, name: str) -> Circuit | None:
    if netlist is None:
        return None
    sides = [
        tuple(Port(str(port), tuple(map(int, nets))) for port, nets in netlist[side]) for side in ("inputs", "outputs")
    ]
    gates = tuple(
        Gate(str(cell), tuple(map(int, ins)), tuple(map(int, outs)), str(block))
        for cell, ins, outs, block in netlist["gates"]
    )
    return Circuit(str(netlist["name"]), sides[0], sides[1], gates, str(netlist["source"]))
