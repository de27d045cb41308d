"""Programs in files: one npz archive with the arrays and a JSON document for everything else. Nothing is executed."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import types
import typing
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import PlanError, RunError
from laxity.core.parts import CodeArray
from laxity.core.program import STEPS, Program, Step
from laxity.core.serial import canonical, write_atomic

FORMAT = 1
"""Version of the layout; programs of other versions are refused."""

MOST_BYTES = 1 << 31
"""Greatest size of a program that is read."""

_DOCUMENT = "program.json"


def program_bytes(program: Program) -> bytes:
    """A program as an npz archive without compression; equal programs give equal bytes."""
    arrays: list[CodeArray] = []

    def keep(array: CodeArray) -> Any:
        arrays.append(array)
        return {"array": len(arrays) - 1}

    document = canonical({"format": FORMAT, **_encode(program, keep)}).encode()
    members = {f"array{i}": array.astype("<i4") for i, array in enumerate(arrays)}
    return _archive({**members, _DOCUMENT: np.frombuffer(document, np.uint8)})


def to_json(program: Program) -> dict[str, Any]:
    """A program as plain JSON values, arrays as nested lists."""
    found: dict[str, Any] = {"format": FORMAT, **_encode(program, lambda array: array.tolist())}
    return found


def program_key(program: Program) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a program's file; equal programs have equal keys."""
    return hashlib.sha256(program_bytes(program)).hexdigest()[:16]


def save_program(program: Program, path: Path) -> None:
    """Write a program, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    write_atomic(path, program_bytes(program))


def load_program(path: Path) -> Program:
    """Read a program and check everything about it.

    Raises:
        RunError: missing, unreadable, corrupt, of another version, or inconsistent.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read program {path}: {error.strerror}; write one with save_program") from error
    return program_from_bytes(raw, str(path))


def program_from_bytes(raw: bytes, name: str = "in memory") -> Program:
    """The program that `program_bytes` has turned into bytes.

    Raises:
        RunError: corrupt, of another version, or inconsistent; names `name`.
    """
    try:
        members = _members(raw)
        document = json.loads(members.pop(_DOCUMENT).tobytes().decode())
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise RunError(f"program {name} is not of format {FORMAT}; write it again with this version of laxity")
        arrays = [members[f"array{i}"] for i in range(len(members))]
        return _decode(Program, document, arrays)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError, OSError, EOFError) as error:
        raise RunError(f"program {name} is corrupt: {type(error).__name__}: {error}; write it again") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise RunError(f"program {name} is no npz archive: {error}; write it again") from error
    except PlanError as error:
        raise RunError(f"program {name} is inconsistent: {error}") from error


def _archive(members: dict[str, NDArray[Any]]) -> bytes:
    """An npz archive whose bytes depend on the contents only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue())
    return buffer.getvalue()


def _members(raw: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        plain = all(info.compress_type == zipfile.ZIP_STORED for info in infos)
        if (
            not plain
            or sum(info.file_size for info in infos) > min(len(raw), MOST_BYTES)
            or len(set(names)) < len(names)
        ):
            raise ValueError("members are compressed, too large, or have equal names")
    with np.load(io.BytesIO(raw), allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


def _encode(value: Any, keep: Callable[[CodeArray], Any]) -> Any:
    """JSON values of a dataclass; arrays as `keep` says, steps with their kind."""
    if isinstance(value, np.ndarray):
        return keep(value)
    if isinstance(value, tuple):
        return [_encode(v, keep) for v in value]
    if dataclasses.is_dataclass(value):
        found = {f.name: _encode(getattr(value, f.name), keep) for f in dataclasses.fields(value)}
        return {"kind": value.kind, **found} if isinstance(value, Step) else found
    return value


def _decode(hint: Any, value: Any, arrays: list[NDArray[Any]]) -> Any:
    """The value of a declared type that `_encode` has turned into JSON.

    Raises:
        TypeError, KeyError, IndexError, PlanError: the JSON says something else.
    """
    origin = typing.get_origin(hint)
    if origin is np.ndarray:
        array = arrays[int(value["array"])] if isinstance(value, dict) else None
        if array is None or array.dtype != np.dtype("<i4"):
            raise TypeError(f"{value!r} is no array of 32-bit integers")
        array.flags.writeable = False
        return array
    if origin is types.UnionType:
        inner = next(a for a in typing.get_args(hint) if a is not type(None))
        return None if value is None else _decode(inner, value, arrays)
    if origin is tuple:
        return _decode_tuple(hint, value, arrays)
    if dataclasses.is_dataclass(hint):
        return _decode_fields(hint, value, arrays)
    number = hint is float and type(value) is int
    if type(value) is not hint and not number:
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return float(value) if number else value


def _decode_tuple(hint: Any, value: Any, arrays: list[NDArray[Any]]) -> tuple[Any, ...]:
    inner = typing.get_args(hint)
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    if inner[-1] is Ellipsis:
        return tuple(_decode(inner[0], v, arrays) for v in value)
    if len(value) != len(inner):
        raise TypeError(f"{value!r} has not {len(inner)} entries")
    return tuple(_decode(i, v, arrays) for i, v in zip(inner, value, strict=True))


def _decode_fields(hint: Any, value: Any, arrays: list[NDArray[Any]]) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    given = dict(value)
    actual = STEPS[given.pop("kind")] if hint is Step else hint
    hints = typing.get_type_hints(actual)
    wanted = [f.name for f in dataclasses.fields(actual)]
    if sorted(given) != sorted(wanted):
        raise KeyError(f"{actual.__name__} has {sorted(wanted)}, not {sorted(given)}")
    return actual(**{name: _decode(hints[name], given[name], arrays) for name in wanted})
