"""NumPy archives: one array of several, unpacked in memory up to the size of a table."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib

from laxity.circuits.importers.importer import Content, Options, TableContent, importer
from laxity.circuits.importers.npy import array_reading, pick
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.circuits.source import Source, shown

MAX_ARRAY_BYTES = (8 << MAX_TABLE_BITS) + 1024
"""Largest array that is unpacked: the largest table as int64, with its header."""

_MAX_MEMBERS = 10_000
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    OverflowError,
    LookupError,
)
"""What the zip reader raises for broken, encrypted or unknown archives."""


@importer("npz", suffixes=(".npz",))
def npz(source: Source, options: Options) -> Content:
    """NumPy archive with one or more product tables; --key names the array."""
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            members = [i for i in archive.infolist()[:_MAX_MEMBERS] if i.filename.endswith(".npy")]
            by_name = {shown(i.filename.removesuffix(".npy")): i for i in members}
            name = pick(source, list(by_name), options.key, "array", "--key")
            with archive.open(by_name[name]) as member:
                data = member.read(MAX_ARRAY_BYTES + 1)
    except _BROKEN as error:
        raise source.error(None, f"is no readable NumPy archive ({shown(error)}); write it with numpy.savez") from error
    if len(data) > MAX_ARRAY_BYTES:
        raise source.error(None, f"array {name!r} has more than {MAX_ARRAY_BYTES} bytes; tables are smaller")
    notes = (f"array {name!r} of {len(by_name)}",) if len(by_name) > 1 else ()
    return TableContent((array_reading(source, data, f"array {name!r}"),), notes, name)
