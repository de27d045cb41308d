"""Adders by name: ``ripple24``, ``loa16_4``, ``gear16_4_4``.

A name is the family, the operand width and the parameters joined by underscores. The same adder serves unsigned and
two's complement numbers. Some have a second name that is usual too: ``ama3_8_4`` for ``ama8_3_4``, ``rapcla16_4`` for
``aca16_4``.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from laxity.circuits import adders
from laxity.circuits.adder import Adder
from laxity.circuits.adder_family import ADDERS, AdderFamily
from laxity.circuits.assess import SAMPLING, Sampling
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.metrics import facts_of
from laxity.circuits.netlist import Circuit
from laxity.circuits.timing import delay_ns
from laxity.core.errors import RegistryError
from laxity.core.registry import did_you_mean

_NAME = re.compile(r"([a-z]+)([0-9]{1,3})((?:_[0-9]{1,3})*)")

_USUAL = (
    (re.compile(r"ama([1-5])_([6-9]|[1-9][0-9]{1,2})_([0-9]{1,3})"), r"ama\2_\1_\3"),
    (re.compile(r"rapcla([0-9]{1,3})_([0-9]{1,3})"), r"aca\1_\2"),
)
"""Second names: the type of a mirror adder as part of its family, from 6 bits, below which ``ama2_1_0`` could be read
both ways; the approximate mode of RAP-CLA."""

BUILT_IN = tuple(adders.__all__)
"""Families that come with laxity."""


def parse(name: str) -> tuple[AdderFamily, int, tuple[int, ...]]:
    """Split an adder name into (family, operand width, parameters).

    Raises:
        RegistryError: the name has another form or names an unknown family; proposes near names.
        CircuitError: the family cannot build this width or these parameters; names the allowed range.
    """
    match = _NAME.fullmatch(_own(name))
    if match is None:
        raise RegistryError(
            f"{name!r} is not an adder name such as 'loa16_4' or 'ripple24'{did_you_mean(name, names())}"
        )
    kind, digits, rest = match.groups()
    if kind not in ADDERS:
        raise RegistryError(f"unknown adder {name!r}{did_you_mean(name, names(int(digits)) or names())}")
    family = ADDERS[kind]
    width, parameters = int(digits), tuple(int(p) for p in rest.split("_")[1:])
    family.check(width, parameters)
    return family, width, parameters


def _own(name: str) -> str:
    """The first name of an adder that was called by its second one."""
    for pattern, own in _USUAL:
        name = pattern.sub(own, name) if pattern.fullmatch(name) else name
    return name


def known(name: str) -> bool:
    """Whether a name starts with an adder family, so that `get` may find it."""
    match = _NAME.fullmatch(_own(name))
    return match is not None and match[1] in ADDERS


@functools.lru_cache(maxsize=512)
def get(name: str) -> Adder:
    """Return the adder called `name`, of any width that its family can build; repeated calls return the same object.

    Raises:
        RegistryError, CircuitError: as `parse`.
    """
    family, width, parameters = parse(name)
    netlist = family.build(width, parameters)
    return Adder(netlist.name, netlist, family.name, family.exact)


def circuit(name: str) -> Circuit:
    """Return the netlist called `name`: ports a, b and s.

    Raises:
        RegistryError, CircuitError: as `parse`.
    """
    return get(name).circuit


def names(width: int = 16) -> list[str]:
    """Names of the default catalogue: every family that has this operand width, over its grid of parameters."""
    families = [ADDERS[kind] for kind in ADDERS.names()]
    return [f.circuit_name(width, p) for f in families if width in f.widths for p in f.grid(width)]


def describe(name: str, library: CellLibrary | None = None, sampling: Sampling = SAMPLING) -> dict[str, Any]:
    """Facts about one adder for tables and reports.

    Args:
        name: a name that `get` accepts.
        library: cell library for area and delay; the built-in 45 nm table if not given.
        sampling: when and how operand pairs are sampled.

    Returns:
        name, family, source, bits, gates, area_um2, delay_ns, the error metrics (fractions as fractions) as `facts_of`
        gives them, and netlist_key.

    Raises:
        RegistryError, CircuitError: as `get` and `Adder.errors`.
    """
    adder = get(name)
    cells = library or default_library()
    return {
        "name": adder.name,
        "family": adder.family,
        "source": adder.circuit.source,
        "bits": adder.bits,
        "gates": len(adder.circuit.gates),
        "area_um2": cells.area_um2(adder.circuit),
        "delay_ns": delay_ns(adder.circuit, cells),
        **facts_of(adder.errors(sampling=sampling)),
        "netlist_key": adder.key,
    }
