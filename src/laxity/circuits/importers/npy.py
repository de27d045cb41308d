"""NumPy arrays: the header is parsed here, so that nothing is unpickled and nothing is allocated on a header's word."""

from __future__ import annotations

import math
import re

import numpy as np

from laxity.circuits.importers.importer import Content, IntArray, Options, Reading, TableContent, importer
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.circuits.source import Source
from laxity.core.errors import CircuitError

MAX_PRODUCT = 2**40
"""Largest magnitude of a product in a table; 20-bit products need 2**20."""

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<descr>[<>|=][A-Za-z][0-9]{1,3})',\s*'fortran_order':\s*(?P<fortran>True|False),\s*"
    r"'shape':\s*\((?P<shape>[0-9, ]{0,60})\),?\s*\}\s*"
)


@importer("npy", suffixes=(".npy",))
def npy(source: Source, options: Options) -> Content:
    """NumPy array file with a product table, indexed [code of a, code of b] or flat.

    Source: format of NEP 1, "A simple file format for NumPy arrays", versions 1.0 to 3.0.
    """
    return TableContent((array_reading(source, source.data, "array"),))


def array_reading(source: Source, data: bytes, what: str) -> Reading:
    """Read the bytes of an .npy file.

    Args:
        source: the file, for messages.
        data: the array file, which may be part of an archive.
        what: the array, for messages.

    Raises:
        CircuitError: a broken header, other than integer numbers, or missing or additional bytes.
    """
    dtype, shape, fortran, start = _header(source, data, what)
    entries = math.prod(shape)
    if dtype.kind not in "iu":
        raise source.error(
            None, f"{what} has type {dtype}; products are integers, so store int32 or int64 (astype after rounding)"
        )
    if not 1 <= entries <= 1 << MAX_TABLE_BITS:
        raise source.error(
            None, f"{what} of shape {shape} has {entries} entries; tables have 4 to 2**{MAX_TABLE_BITS}, as 256 x 256"
        )
    expected, given = entries * dtype.itemsize, len(data) - start
    if given != expected:
        raise source.error(
            None, f"{what} of shape {shape} and type {dtype} needs {expected} bytes, {given} are there; write it again"
        )
    values = np.frombuffer(data, dtype, entries, start).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "u" and dtype.itemsize == 8:  # words of negative products would not fit int64
        values, dtype = values.astype(np.int64), np.dtype(np.int64)
    return Reading(products(source, values, what), 8 * dtype.itemsize if dtype.kind == "u" else None)


def products(source: Source, values: np.ndarray, what: str) -> IntArray:
    """Numbers of any integer type as int64.

    Raises:
        CircuitError: one is beyond `MAX_PRODUCT`.
    """
    low, high = int(values.min()), int(values.max())
    if low < -MAX_PRODUCT or high > MAX_PRODUCT:
        bad = low if low < -MAX_PRODUCT else high
        raise source.error(
            None, f"{what} holds {bad}, which is no product of narrow operands; check byte order and type"
        )
    return np.ascontiguousarray(values, dtype=np.int64)


def _header(source: Source, data: bytes, what: str) -> tuple[np.dtype, tuple[int, ...], bool, int]:
    broken = source.error(None, f"{what} has no valid NumPy header; write it with numpy.save")
    if len(data) < 12 or data[:6] != _MAGIC or data[6] not in (1, 2, 3):
        raise broken
    size = 2 if data[6] == 1 else 4
    start = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    match = _HEADER.fullmatch(data[8 + size : min(start, 1000)].decode("latin-1"))
    if match is None or start > min(len(data), 1000):
        if b"'descr': '|O'" in data[:1000] or b"'descr': [" in data[:1000]:
            raise source.error(None, f"{what} holds objects or records; store a plain integer array")
        raise broken
    try:
        dtype = np.dtype(match["descr"])
    except TypeError:
        raise broken from None
    shape = tuple(int(part) for part in match["shape"].replace(" ", "").split(",") if part)
    return dtype, shape, match["fortran"] == "True", start


def pick(source: Source, names: list[str], key: str | None, what: str, option: str) -> str:
    """The one of several names that is meant.

    Raises:
        CircuitError: `key` is none of them, or not given where there are several.
    """
    some = ", ".join(repr(n) for n in names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if key is not None:
        if key in names:
            return key
        raise CircuitError(f"{source.label} has no {what} {key!r}; it has {some or 'none'}")
    if len(names) != 1:
        raise CircuitError(f"{source.label} has {len(names)} {what}s: {some or 'none'}; name one with {option}")
    return names[0]
