"""Circuits of users in a folder: ``KEY.json`` and ``KEY.npz``, the key being that of encoding, products and gates."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit, Gate, Port, Tie
from laxity.circuits.simulate import MAX_TABLE_BITS, product_table
from laxity.circuits.source import read_source, shown
from laxity.core.errors import CircuitError

FORMAT = "laxity imported circuit 1"
"""First entry of every description that is written."""

_NO_HISTORY: dict[str, Any] = {
    "origin": "",
    "format": "",
    "origin_sha256": "",
    "assumptions": [],
    "checks": [],
    "nearest": None,
}
_MOST_BYTES = (8 << MAX_TABLE_BITS) + (1 << 16)


def key_of(multiplier: Multiplier) -> str:
    """Content key of 16 hexadecimal digits: encoding, products and gates; the name does not enter."""
    m = multiplier
    parts = (m.a_bits, m.b_bits, m.a_signed, m.b_signed, m.table_sha256, m.circuit.key if m.circuit else "")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def keep(multiplier: Multiplier, folder: str | Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Write a multiplier into a folder, which is made if it is missing; returns the JSON file.

    Keeping the same circuit again replaces its files.

    Args:
        multiplier: with its netlist where there is one.
        folder: where.
        facts: its history, as `Imported.to_json` gives it; none if it was not imported here.

    Raises:
        CircuitError: the folder cannot be written.
    """
    m, target, key = multiplier, Path(folder), key_of(multiplier)
    encoding = {"a_bits": m.a_bits, "b_bits": m.b_bits, "a_signed": m.a_signed, "b_signed": m.b_signed}
    document = {"kind": FORMAT, "name": m.name, **encoding, **(facts or _NO_HISTORY), "netlist": _netlist(m.circuit)}
    archive = io.BytesIO()
    np.savez_compressed(archive, table=m.table)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write(target / f"{key}.npz", archive.getvalue())
        _write(target / f"{key}.json", json.dumps(document, indent=1).encode())
    except OSError as error:
        raise CircuitError(f"cannot write to {shown(target)}: {error.strerror}; choose another folder") from error
    return target / f"{key}.json"


def saved(folder: str | Path) -> dict[str, str]:
    """Names of the circuits in a folder by their keys; nothing for a folder without any.

    Raises:
        CircuitError: a description in it is broken.
    """
    return {path.stem: _document(path)["name"] for path in sorted(Path(folder).glob("[0-9a-f]*.json"))}


def read_kept(folder: str | Path, name: str) -> tuple[Multiplier, Mapping[str, Any]]:
    """Read a circuit and its description, by its name or by the beginning of its key (8 digits or more).

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
    document = _document(path)
    multiplier = _rebuilt(path, document)
    if key_of(multiplier) != keys[0]:
        raise CircuitError(f"{path.name} does not fit its products or gates; import the circuit again")
    return multiplier, document


def broken(path: Path, error: Exception) -> CircuitError:
    """The error for a description that lacks or garbles something."""
    return CircuitError(f"{path.name} lacks or garbles {shown(error)}; import the circuit again")


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


def _rebuilt(path: Path, document: Mapping[str, Any]) -> Multiplier:
    table = _table(path.with_suffix(".npz"))
    try:
        name = str(document["name"])
        circuit = _circuit(document["netlist"])
        a_bits, b_bits = int(document["a_bits"]), int(document["b_bits"])
        a_signed, b_signed = bool(document["a_signed"]), bool(document["b_signed"])
        multiplier = Multiplier(name, a_bits, b_bits, a_signed, b_signed, table, circuit, "imported")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise broken(path, error) from error
    _agree(circuit, multiplier.table, path)
    return multiplier


def _table(path: Path) -> npt.NDArray[np.int64]:
    data = read_source(path).data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise CircuitError(f"{shown(path.name)} unpacks to more than any table; import the circuit again")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return np.asarray(arrays["table"])
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise CircuitError(f"{shown(path.name)} holds no table: {shown(error)}; import the circuit again") from error


def _agree(circuit: Circuit | None, table: npt.NDArray[np.int64], path: Path) -> None:
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
        "ties": [[tie.port.name, list(tie.port.nets), tie.value] for tie in circuit.ties],
    }


def _circuit(netlist: Mapping[str, Any] | None) -> Circuit | None:
    if netlist is None:
        return None
    sides = [
        tuple(Port(str(port), tuple(map(int, nets))) for port, nets in netlist[side]) for side in ("inputs", "outputs")
    ]
    gates = tuple(
        Gate(str(cell), tuple(map(int, ins)), tuple(map(int, outs)), str(block))
        for cell, ins, outs, block in netlist["gates"]
    )
    ties = tuple(
        Tie(Port(str(port), tuple(map(int, nets))), int(value)) for port, nets, value in netlist.get("ties", ())
    )
    return Circuit(str(netlist["name"]), sides[0], sides[1], gates, str(netlist["source"]), ties)
