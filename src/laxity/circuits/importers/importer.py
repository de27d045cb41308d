"""The extension point for file formats: an importer turns the bytes of a file into a netlist or a product table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from laxity.circuits.netlist import Circuit
from laxity.circuits.source import Source
from laxity.core.errors import CircuitError
from laxity.core.registry import Registry

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says about a file; None where laxity has to find out.

    Attributes:
        a_bits: width of operand a.
        b_bits: width of operand b.
        signed: operands and product are two's complement; False: unsigned.
        top: module or model to import, of several in the file.
        key: array to import, of several in an archive.
        with_yosys: let Yosys read the file even where laxity could.
    """

    a_bits: int | None = None
    b_bits: int | None = None
    signed: bool | None = None
    top: str | None = None
    key: str | None = None
    with_yosys: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of reading the numbers of a file.

    Attributes:
        values: products, one- or two-dimensional, indexed by operand codes (first index slowest).
        unsigned_bits: width of the stored words where they are unsigned and may hang on to two's complement; else None.
        note: what this reading assumes, in words; empty if nothing.
        signed_operands: the file lists operands as numbers, and some are negative; None where it does not list them.
    """

    values: IntArray
    unsigned_bits: int | None = None
    note: str = ""
    signed_operands: bool | None = None


@dataclass(frozen=True, slots=True)
class TableContent:
    """A product table as it is in the file.

    Attributes:
        readings: ways of reading it, the usual one first; the one nearest to exact products is taken.
        notes: what was assumed, in words.
        title: name of the table inside the file; empty if it has none.
    """

    readings: tuple[Reading, ...]
    notes: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class NetlistContent:
    """A netlist as it is in the file.

    Attributes:
        circuit: with the ports of the file; scalars such as a0, a1, ... are not joined yet.
        notes: what was assumed, in words.
        declared_signed: the file declares its operands signed; None where its format has no such word.
    """

    circuit: Circuit
    notes: tuple[str, ...] = ()
    declared_signed: bool | None = None


Content = TableContent | NetlistContent
Read = Callable[[Source, Options], Content]


@dataclass(frozen=True, slots=True)
class Importer:
    """Reads one file format.

    Attributes:
        name: what ``--format`` takes.
        suffixes: ends of file names in lower case, with the dot.
        read: parses; raises CircuitError for bad content and never executes any.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Read

    @property
    def meaning(self) -> str:
        """What the format is: the first line of the docstring of its reader."""
        return (self.read.__doc__ or "").strip().partition("\n")[0]


IMPORTERS: Registry[Importer] = Registry("circuit format", "laxity.importers")
"""All formats; other packages add theirs through the entry-point group ``laxity.importers``."""


def importer(name: str, *, suffixes: Sequence[str]) -> Callable[[Read], Importer]:
    """Return a decorator that turns a reading function into a registered `Importer`.

    Raises:
        CircuitError: a suffix is not a dot with lower-case letters or digits.
    """
    for suffix in suffixes:
        if not (suffix.startswith(".") and suffix[1:].isalnum() and suffix == suffix.lower()):
            raise CircuitError(f"suffix {suffix!r} of format {name!r} must be like '.npy'")

    def wrap(read: Read) -> Importer:
        return IMPORTERS.register(name)(Importer(name, tuple(suffixes), read))

    return wrap


def importer_of(source: Source, name: str | None) -> Importer:
    """The importer called `name`, or the one for the suffix of the file.

    Raises:
        RegistryError: there is no format of that name.
        CircuitError: no format has the suffix; lists the formats.
    """
    if name is not None:
        return IMPORTERS[name]
    for known in IMPORTERS.names():
        if source.suffix in IMPORTERS[known].suffixes:
            return IMPORTERS[known]
    formats = ", ".join(f"{n} ({' '.join(IMPORTERS[n].suffixes)})" for n in IMPORTERS.names())
    raise source.error(None, f"the suffix {source.suffix!r} says nothing about the format; name it: --format {formats}")
