"""Product tables as bare 16- or 32-bit words, as C programs and simulators write them."""

from __future__ import annotations

import numpy as np

from laxity.circuits.importers.importer import Content, Options, Reading, TableContent, importer
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.circuits.source import Source

_ORDERS = {"<": "little-endian", ">": "big-endian"}


@importer("raw", suffixes=(".bin", ".raw", ".dat", ".lut"))
def raw(source: Source, options: Options) -> Content:
    """Bare 16-bit words of either byte order, signed or not; 32-bit where widths and size say so."""
    word = _word_bytes(source, options)
    readings = []
    for order, words in _ORDERS.items():
        stored = np.frombuffer(source.data, f"{order}u{word}").astype(np.int64)
        readings.append(Reading(stored, 8 * word, f"{8 * word}-bit words are {words}"))
    return TableContent(tuple(readings))


def _word_bytes(source: Source, options: Options) -> int:
    """Bytes of a word, from the size of the file and the widths if both are given."""
    size = len(source.data)
    given = (options.a_bits or 0) + (options.b_bits or 0)
    if options.a_bits and options.b_bits:
        for word in (2, 4):
            if size == word << given:
                return word
        raise source.error(
            None,
            f"{size} bytes, but operands of {options.a_bits} and {options.b_bits} bits make {2 << given} bytes of "
            f"16-bit words (or {4 << given} of 32-bit words); correct --a-bits and --b-bits, or write the file again",
        )
    entries = size // 2
    if size % 2 or entries < 4 or entries & (entries - 1) or entries > 1 << MAX_TABLE_BITS:
        raise source.error(
            None, f"{size} bytes are no table of 16-bit words; 8 x 8 bits make 131072 bytes. Write the file again"
        )
    return 2
