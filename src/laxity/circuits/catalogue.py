"""Multipliers by name: ``dadda8``, ``drum8_4``, ``bam8_6_2``, signed ``drum8s_4``.

A name is the family, the operand width, an ``s`` for signed operands, and the parameters joined by underscores; last
parameters that have their default may be left out.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from laxity.circuits import families, shelf
from laxity.circuits.assess import SAMPLING, Sampling, assess
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.family import MULTIPLIERS, Family
from laxity.circuits.metrics import ErrorMetrics, facts_of
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.circuits.subject import netlist_subject
from laxity.circuits.timing import delay_ns
from laxity.core.errors import CircuitError, RegistryError
from laxity.core.registry import did_you_mean

_NAME = re.compile(r"([a-z]+)([0-9]{1,3})(s?)((?:_[0-9]{1,3})*)")

BUILT_IN = tuple(families.__all__)
"""Families that come with laxity."""


def parse(name: str) -> tuple[Family, int, bool, tuple[int, ...]]:
    """Split a circuit name into (family, operand width, signed, parameters).

    Raises:
        RegistryError: the name has another form or names an unknown family; proposes near names.
        CircuitError: the family cannot build this width or these parameters; names the allowed range.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        hint = did_you_mean(name, names() + names(signed=True))
        raise RegistryError(f"{name!r} is not a multiplier name such as 'drum8_4' or 'dadda8s'{hint}")
    kind, digits, sign, rest = match.groups()
    if kind not in MULTIPLIERS:
        known = names() + names(signed=True)
        raise RegistryError(f"unknown multiplier {name!r}{did_you_mean(name, known)}")
    family = MULTIPLIERS[kind]
    width = int(digits)
    return family, width, bool(sign), family.check(width, [int(p) for p in rest.split("_")[1:]])


@functools.lru_cache(maxsize=512)
def circuit(name: str) -> Circuit:
    """Return the netlist called `name`, of any width that its family can build, or one that was imported.

    Raises:
        RegistryError, CircuitError: as `parse`.
    """
    brought = shelf.find(name)
    if brought is not None:
        return require_circuit(brought)
    family, width, signed, parameters = parse(name)
    return family.build(width, parameters, signed=signed)


@functools.lru_cache(maxsize=512)
def get(name: str) -> Multiplier:
    """Return the multiplier called `name` with its product table; repeated calls return the same object.

    Raises:
        RegistryError, CircuitError: as `parse`; CircuitError too where the operands are too wide for a table.
    """
    brought = shelf.find(name)
    if brought is not None:
        return brought
    family, _, signed, _ = parse(name)
    return Multiplier.from_circuit(circuit(name), signed=signed, family=family.name)


def widest(name: str) -> int:
    """Bits of the wider operand of the multiplier called `name`.

    Raises:
        RegistryError, CircuitError: as `get`.
    """
    brought = shelf.find(name)
    return parse(name)[1] if brought is None else max(brought.a_bits, brought.b_bits)


def unit(name: str) -> str:
    """Name of the most exact mode of the reconfigurable unit that the multiplier called `name` is a mode of.

    Names with the same unit are the same gates. It is `name` itself for multipliers with gates of their own.

    Raises:
        RegistryError, CircuitError: as `get`.
    """
    if shelf.find(name) is not None:
        return name
    family, width, signed, _ = parse(name)
    if family.unit is None:
        return name
    return family.circuit_name(width, [p.low(width) for p in family.parameters], signed=signed)


def is_signed(name: str) -> bool:
    """Whether the operands of the multiplier called `name` are two's complement.

    Raises:
        RegistryError, CircuitError: as `get`.
    """
    brought = shelf.find(name)
    return parse(name)[2] if brought is None else brought.a_signed or brought.b_signed


def names(width: int = 8, *, signed: bool = False) -> list[str]:
    """Names of the default catalogue: every family that has this width, over its grid of parameters.

    Args:
        width: operand width in bits.
        signed: names of the signed versions instead of the unsigned ones.
    """
    found = []
    for kind in MULTIPLIERS.names():
        family = MULTIPLIERS[kind]
        if width in family.widths:
            found += [family.circuit_name(width, parameters, signed=signed) for parameters in family.grid(width)]
    return found


def describe(name: str, library: CellLibrary | None = None, sampling: Sampling = SAMPLING) -> dict[str, Any]:
    """Facts about one multiplier for tables and reports.

    Args:
        name: a name that `circuit` accepts.
        library: cell library for area and delay; the built-in 45 nm table if not given.
        sampling: when and how operand pairs are sampled; never where there is a table.

    Returns:
        name, family, source, a_bits, b_bits, signed, gates, area_um2, delay_ns, the error metrics (fractions as
        fractions) as `facts_of` gives them, netlist_key, and table_sha256, empty where the operands are too wide for a
        table.

    Raises:
        RegistryError, CircuitError: as `circuit` and `assess`.
    """
    brought, cells = shelf.find(name), library or default_library()
    if brought is not None:
        return _facts(brought.family, brought.circuit, brought, brought.metrics(), cells)
    family, width, signed, _ = parse(name)
    netlist = circuit(name)
    multiplier = get(name) if 2 * width <= MAX_TABLE_BITS else None
    found = multiplier.metrics() if multiplier else assess(netlist_subject(netlist, signed=signed), sampling=sampling)
    whole = multiplier or _Encoding(netlist.name, width, width, signed, "")
    return _facts(family.name, netlist, whole, found, cells)


class _Encoding(NamedTuple):
    """What `Multiplier` says about operands too wide for a table."""

    name: str
    a_bits: int
    b_bits: int
    signed: bool
    table_sha256: str


def _facts(
    family: str, netlist: Circuit | None, encoding: Multiplier | _Encoding, found: ErrorMetrics, cells: CellLibrary
) -> dict[str, Any]:
    """Facts in the order of tables; empty texts where only a table is known."""
    return {
        "name": encoding.name,
        "family": family,
        "source": netlist.source if netlist else "",
        "a_bits": encoding.a_bits,
        "b_bits": encoding.b_bits,
        "signed": encoding.signed,
        "gates": len(netlist.gates) if netlist else "",
        "area_um2": cells.area_um2(netlist) if netlist else "",
        "delay_ns": delay_ns(netlist, cells) if netlist else "",
        **facts_of(found),
        "netlist_key": netlist.key if netlist else "",
        "table_sha256": encoding.table_sha256,
    }


def require_circuit(multiplier: Multiplier) -> Circuit:
    """Return the netlist of a multiplier.

    Raises:
        CircuitError: only a table is known.
    """
    if multiplier.circuit is None:
        raise CircuitError(
            f"{multiplier.name!r} is known by its table only; choose a circuit of the catalogue for hardware figures"
        )
    return multiplier.circuit
