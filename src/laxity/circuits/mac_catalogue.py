"""Multiply-accumulate circuits by name: ``mac_drum8_4``, ``mac_drum8_4_loa24_8``.

A name is ``mac``, an unsigned multiplier and, where sums are not exact, an adder as wide as the sum, joined by
underscores. The circuit is the logic of a processing element: see `laxity.circuits.pe`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from laxity.circuits import adder_catalogue, catalogue
from laxity.circuits.accumulate import accumulator_stage
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.netlist import Circuit
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.core.errors import CircuitError, RegistryError
from laxity.core.registry import did_you_mean

PREFIX = "mac_"
"""Beginning of all names."""

GUARD_BITS = 8
"""Bits of an exact sum beyond those of a product, sign among them: room for 128 largest products."""

_PARTS = re.compile(r"mac_(.+?)(?:_([a-z]+[0-9]+(?:_[0-9]+)*))?")


def known(name: str) -> bool:
    """Whether a name is one of a multiply-accumulate circuit, right or wrong."""
    return name.startswith(PREFIX)


def get(name: str) -> ProcessingElement:
    """Return the circuit called `name`, with what its registers are.

    Raises:
        RegistryError: the name has another form, or names an unknown multiplier or adder.
        CircuitError: a family cannot build it, the multiplier is signed, or the sum is narrower than a product.
    """
    match = _PARTS.fullmatch(name)
    if match is None:
        raise RegistryError(
            f"{name!r} is not the name of a multiply-accumulate circuit such as 'mac_drum8_4' or "
            f"'mac_drum8_4_loa24_8'{did_you_mean(name, names())}"
        )
    multiplier, adder = match.groups()
    if catalogue.is_signed(multiplier):
        raise CircuitError(f"{name!r} has a two's complement core; elements multiply magnitudes, so leave out the 's'")
    core = catalogue.circuit(multiplier)
    bits = core.port("p").width
    if adder is None:
        return _named(name, processing_element(core, bits + GUARD_BITS))
    chosen = adder_catalogue.get(adder)
    if chosen.bits <= bits:
        raise CircuitError(
            f"the sum of {name!r} has {chosen.bits} bits and a product with its sign {bits + 1}; name a wider adder, "
            f"for example {name.removesuffix(adder)}ripple{bits + GUARD_BITS}"
        )
    return _named(name, processing_element(core, chosen.bits, accumulator_stage(chosen)))


def _named(name: str, found: ProcessingElement) -> ProcessingElement:
    return replace(found, circuit=replace(found.circuit, name=name))


def circuit(name: str) -> Circuit:
    """Return the netlist called `name`: ports a, a_sign, b, b_sign, psum_in and psum_out.

    Raises:
        RegistryError, CircuitError: as `get`.
    """
    return get(name).circuit


def names(width: int = 8) -> list[str]:
    """One with exact sums for every unsigned multiplier of the catalogue that has this operand width."""
    return [f"{PREFIX}{name}" for name in catalogue.names(width)]


def describe(name: str, library: CellLibrary | None = None) -> dict[str, Any]:
    """Facts about one circuit for tables.

    Args:
        name: a name that `get` accepts.
        library: cell library; the built-in 45 nm table if not given.

    Returns:
        name, source, multiplier (its netlist's name), accumulator_bits, gates, flip_flops, area_um2 with flip-flops,
        of it multiplier_area_um2, delay_ns without flip-flops, leakage_nw, and netlist_key.

    Raises:
        RegistryError, CircuitError: as `get`.
    """
    found, cells = get(name), library or default_library()
    return {
        "name": name,
        "source": found.circuit.source,
        "multiplier": found.core.name,
        "accumulator_bits": found.accumulator_bits,
        "gates": len(found.circuit.gates),
        "flip_flops": found.flip_flops,
        "area_um2": found.area_um2(cells),
        "multiplier_area_um2": cells.area_um2(found.core),
        "delay_ns": found.delay_ns(cells),
        "leakage_nw": found.leakage_nw(cells),
        "netlist_key": found.circuit.key,
    }
