"""Multipliers of others: product tables, netlists and functions become `Multiplier` objects, checked and explained.

One importer per file format; importing this package registers them all. Files are parsed, never executed.
"""

from laxity.circuits.importers.blif import blif
from laxity.circuits.importers.checks import Check
from laxity.circuits.importers.function import from_function
from laxity.circuits.importers.imported import Imported, load_saved
from laxity.circuits.importers.importer import (
    IMPORTERS,
    Importer,
    NetlistContent,
    Options,
    Reading,
    TableContent,
    importer,
)
from laxity.circuits.importers.loading import load, load_adder, load_circuit
from laxity.circuits.importers.nearest import Nearest, nearest
from laxity.circuits.importers.npy import npy
from laxity.circuits.importers.npz import npz
from laxity.circuits.importers.raw import raw
from laxity.circuits.importers.text_table import csv
from laxity.circuits.importers.verilog import systemverilog, verilog
from laxity.circuits.kept import saved
from laxity.circuits.source import Source

BUILT_IN = (blif, csv, npy, npz, raw, systemverilog, verilog)
"""Importers that come with laxity."""

__all__ = [
    "BUILT_IN",
    "IMPORTERS",
    "Check",
    "Imported",
    "Importer",
    "Nearest",
    "NetlistContent",
    "Options",
    "Reading",
    "Source",
    "TableContent",
    "from_function",
    "importer",
    "load",
    "load_adder",
    "load_circuit",
    "load_saved",
    "nearest",
    "saved",
]
