"""Standard cells by the names of their libraries: function and pins."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LibraryCell:
    """A combinational cell.

    Attributes:
        function: key of `graph.FUNCTIONS`.
        inputs: input pins in the order of that function.
        outputs: output pins in the order of that function, (sum, carry) for adders.
    """

    function: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _cell(function: str, inputs: str, outputs: str) -> LibraryCell:
    return LibraryCell(function, tuple(inputs.split()), tuple(outputs.split()))


GSCL45 = {
    "INV": _cell("NOT", "A", "Y"),
    "BUF": _cell("BUF", "A", "Y"),
    "CLKBUF": _cell("BUF", "A", "Y"),
    "AND2": _cell("AND", "A B", "Y"),
    "OR2": _cell("OR", "A B", "Y"),
    "NAND2": _cell("NAND", "A B", "Y"),
    "NAND3": _cell("NAND", "A B C", "Y"),
    "NOR2": _cell("NOR", "A B", "Y"),
    "NOR3": _cell("NOR", "A B C", "Y"),
    "XOR2": _cell("XOR", "A B", "Y"),
    "XNOR2": _cell("XNOR", "A B", "Y"),
    "AOI21": _cell("AOI21", "A B C", "Y"),
    "AOI22": _cell("AOI22", "A B C D", "Y"),
    "OAI21": _cell("OAI21", "A B C", "Y"),
    "OAI22": _cell("OAI22", "A B C D", "Y"),
    "MUX2": _cell("NMUX", "S B A", "Y"),
    "HA": _cell("HA", "A B", "YS YC"),
    "FA": _cell("FA", "A B C", "YS YC"),
}
"""Cells of the Oklahoma State University library for FreePDK45, named like NAND2X1.

Source: functions and pins of gscl45nm.lib (FreePDK45, Apache-2.0). MUX2 is not(A if S else B) there.
"""

NANGATE45 = {
    "INV": _cell("NOT", "A", "ZN"),
    "BUF": _cell("BUF", "A", "Z"),
    "CLKBUF": _cell("BUF", "A", "Z"),
    "AND2": _cell("AND", "A1 A2", "ZN"),
    "AND3": _cell("AND", "A1 A2 A3", "ZN"),
    "AND4": _cell("AND", "A1 A2 A3 A4", "ZN"),
    "OR2": _cell("OR", "A1 A2", "ZN"),
    "OR3": _cell("OR", "A1 A2 A3", "ZN"),
    "OR4": _cell("OR", "A1 A2 A3 A4", "ZN"),
    "NAND2": _cell("NAND", "A1 A2", "ZN"),
    "NAND3": _cell("NAND", "A1 A2 A3", "ZN"),
    "NAND4": _cell("NAND", "A1 A2 A3 A4", "ZN"),
    "NOR2": _cell("NOR", "A1 A2", "ZN"),
    "NOR3": _cell("NOR", "A1 A2 A3", "ZN"),
    "NOR4": _cell("NOR", "A1 A2 A3 A4", "ZN"),
    "XOR2": _cell("XOR", "A B", "Z"),
    "XNOR2": _cell("XNOR", "A B", "ZN"),
    "AOI21": _cell("AOI21", "B1 B2 A", "ZN"),
    "OAI21": _cell("OAI21", "B1 B2 A", "ZN"),
    "AOI22": _cell("AOI22", "A1 A2 B1 B2", "ZN"),
    "OAI22": _cell("OAI22", "A1 A2 B1 B2", "ZN"),
    "MUX2": _cell("MUX", "S A B", "Z"),
    "HA": _cell("HA", "A B", "S CO"),
    "FA": _cell("FA", "A B CI", "S CO"),
}
"""Cells of the Nangate 45 nm open cell library, named like NAND2_X1.

Source: functions and pins of NangateOpenCellLibrary_typical.lib.
"""

SEQUENTIAL = re.compile(r"(?:PDKGEN)?(?:S?DFF|SDFF|LATCH|DL|TLAT|CLKGATE|TBUF|TINV|FILL|ANTENNA)[A-Z0-9_]*")
"""Names of cells with memory or three states, which no combinational circuit has."""

_LIBRARIES = (
    (re.compile(r"(?:PDKGEN)?([A-Z]+[0-9]*)X[0-9]+"), GSCL45),
    (re.compile(r"([A-Z]+[0-9]*)_X[0-9]+"), NANGATE45),
)


def library_cell(name: str) -> LibraryCell | None:
    """The cell that a library calls `name`, in any drive strength; None if it is unknown."""
    for pattern, cells in _LIBRARIES:
        match = pattern.fullmatch(name)
        if match is not None:
            return cells.get(match[1])
    return None
