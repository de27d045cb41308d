"""The processing element that a set of multipliers asks for: one core each around shared sign logic and accumulator.

Where a plan uses several multipliers, the element holds one instance of every core. AND gates at the operand inputs
keep the cores that are not selected quiet, OR gates merge the products; both count for area and leakage. Their
switching and delay, at most a few small gates per operand and product bit, are not charged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from laxity.circuits.catalogue import circuit as catalogue_circuit
from laxity.circuits.catalogue import parse
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.netlist import Circuit
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.core.errors import TargetError

MULTIPLIER_BLOCK = "multiplier"
"""Block of the netlist that holds the core."""


@dataclass(frozen=True, slots=True, eq=False)
class PeDesign:
    """One processing element with all its cores.

    Attributes:
        elements: for each multiplier name, the netlist of an element with this core alone.
        flip_flops: registers for activation, weight and sum, as wide as the widest core needs.
        area_um2: cells and flip-flops, without wiring.
        leakage_nw: leakage power.
        clock_energy_pj: energy of one clock cycle of all flip-flops, none gated.
        delay_ns: slowest combinational path of any core.
    """

    elements: Mapping[str, ProcessingElement]
    flip_flops: int
    area_um2: float
    leakage_nw: float
    clock_energy_pj: float
    delay_ns: float


def core_widths(multiplier: str) -> tuple[int, int]:
    """Widths of both operands of a core of the catalogue, in bits.

    Raises:
        RegistryError, CircuitError: the catalogue has no such circuit.
    """
    core = catalogue_circuit(multiplier)
    return core.port("a").width, core.port("b").width


@functools.lru_cache(maxsize=256)
def element(multiplier: str, accumulator_bits: int) -> ProcessingElement:
    """The element around one core of the catalogue.

    Raises:
        RegistryError, CircuitError: the catalogue has no such circuit.
        TargetError: the multiplier is signed; the element brings its own sign logic.
    """
    if parse(multiplier)[2]:
        raise TargetError(f"multiplier {multiplier!r} is signed; a processing element takes the unsigned core")
    return processing_element(catalogue_circuit(multiplier), accumulator_bits)


@functools.lru_cache(maxsize=256)
def pe_design(multipliers: tuple[str, ...], accumulator_bits: int) -> PeDesign:
    """Design the element for one or more multipliers.

    Args:
        multipliers: distinct catalogue names of unsigned cores.
        accumulator_bits: width of the partial sum; one for all sites of a plan.

    Raises:
        RegistryError, CircuitError, TargetError: as `element`.
    """
    library = default_library()
    elements = {name: element(name, accumulator_bits) for name in multipliers}
    widest = max(elements.values(), key=lambda e: e.core.port("p").width)
    parts = [_outside_core(widest), *(_core_cells(e) for e in elements.values()), _isolation_cells(elements)]
    operands = [max(e.core.port(name).width for e in elements.values()) for name in ("a", "b")]
    flip_flops = sum(operands) + 2 + accumulator_bits
    flip_flop = library.flip_flop
    return PeDesign(
        elements=MappingProxyType(elements),
        flip_flops=flip_flops,
        area_um2=math.fsum(_area_um2(cells, library) for cells in parts) + flip_flops * flip_flop.area_um2,
        leakage_nw=math.fsum(_leakage_nw(cells, library) for cells in parts) + flip_flops * flip_flop.leakage_nw,
        clock_energy_pj=flip_flops * library.clock_energy_fj() * 1e-3,
        delay_ns=max(e.delay_ns(library) for e in elements.values()),
    )


def _count(circuit: Circuit, *, core: bool) -> dict[str, int]:
    cells: dict[str, int] = {}
    for gate in circuit.gates:
        if (gate.block == MULTIPLIER_BLOCK) is core:
            cells[gate.cell] = cells.get(gate.cell, 0) + 1
    return cells


def _core_cells(pe: ProcessingElement) -> dict[str, int]:
    return _count(pe.circuit, core=True)


def _outside_core(pe: ProcessingElement) -> dict[str, int]:
    return _count(pe.circuit, core=False)


def _isolation_cells(elements: Mapping[str, ProcessingElement]) -> dict[str, int]:
    """Gates that a single core does not need: operand isolation of each core, and merging of the products."""
    if len(elements) == 1:
        return {}
    cores = [e.core for e in elements.values()]
    products = sorted(core.port("p").width for core in cores)
    return {
        "AND2": sum(core.port("a").width + core.port("b").width for core in cores),
        "OR2": sum(products[:-1]),
    }


def _area_um2(cells: Mapping[str, int], library: CellLibrary) -> float:
    return math.fsum(count * library.cells[cell].area_um2 for cell, count in cells.items())


def _leakage_nw(cells: Mapping[str, int], library: CellLibrary) -> float:
    return math.fsum(count * library.cells[cell].leakage_nw for cell, count in cells.items())
