"""Buses from single-bit names: a[0], a[1], ... or a0, a1, ... belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence

_INDEXED = re.compile(r"(?P<bus>.*?[^0-9\[<(_.])[\[<(_.]{0,2}(?P<index>[0-9]{1,5})[\]>)]?")


def buses(names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Group names into buses.

    Args:
        names: of single bits, in the order of the file.

    Returns:
        Name of each bus and the positions in `names` of its bits by rising index, buses in the order of their first
        bit. Names whose indices do not count from 0 or 1 without a gap stay alone.
    """
    groups: dict[str, list[tuple[int, int]]] = {}
    for position, name in enumerate(names):
        match = _INDEXED.fullmatch(name)
        bus, index = (match["bus"], int(match["index"])) if match else (name, -1)
        groups.setdefault(bus, []).append((index, position))
    found: list[tuple[str, list[int]]] = []
    for bus, bits in groups.items():
        indices = sorted(index for index, _ in bits)
        if indices in (list(range(len(bits))), list(range(1, len(bits) + 1))) and len(bits) > 1:
            found.append((bus, [position for _, position in sorted(bits)]))
        else:
            found += [(names[position], [position]) for _, position in bits]
    taken = {bus for bus, places in found if len(places) > 1}
    unique = [(f"{bus}_" if len(places) == 1 and bus in taken else bus, places) for bus, places in found]
    return sorted(unique, key=lambda pair: min(pair[1]))
