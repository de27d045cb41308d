"""The processing element that a plan asks for: one core for each multiplier, one adder for each way to add.

Where a plan uses several multipliers, the element holds one instance of every core. AND gates at the operand inputs
keep the cores that are not selected quiet, OR gates merge the products; both count for area and leakage. Adders other
than the exact one that all cores share, with the sign logic before them, are held once each and isolated and merged in
the same way. The switching and delay of these gates, at most a few small ones per bit, are not charged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from laxity.circuits import accumulator_stage, adder_catalogue
from laxity.circuits.catalogue import circuit as catalogue_circuit
from laxity.circuits.catalogue import is_signed
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.netlist import Circuit
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.core.demand import Accumulation
from laxity.core.errors import TargetError

MULTIPLIER_BLOCK = "multiplier"
"""Block of the netlist that holds the core."""


@dataclass(frozen=True, slots=True, eq=False)
class PeDesign:
    """One processing element with all its cores and adders.

    Attributes:
        elements: for each unit's name, the netlist of an element with this core and adder alone.
        flip_flops: registers for activation, weight and sum, as wide as the widest core needs.
        area_um2: cells and flip-flops, without wiring.
        leakage_nw: leakage power.
        clock_energy_pj: energy of one clock cycle of all flip-flops, none gated.
        delay_ns: slowest combinational path of any unit.
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


@dataclass(frozen=True, slots=True)
class Unit:
    """One way in which an element multiplies and adds.

    Attributes:
        multiplier: catalogue name of an unsigned core.
        accumulation: how products are added, or None for exact sums.
        dropped: low product bits that are always 0 and do not enter such an accumulation.
    """

    multiplier: str
    accumulation: Accumulation | None = None
    dropped: int = 0

    @property
    def name(self) -> str:
        """The multiplier, and the adder where it is not the exact one."""
        if self.accumulation is None:
            return self.multiplier
        saturating = " saturating" if self.accumulation.overflow == "saturate" else ""
        return f"{self.multiplier} + {self.accumulation.adder}{saturating}" + f" at {self.dropped}" * bool(self.dropped)

    @property
    def adder_name(self) -> str:
        """What tells adders with their sign logic apart; empty for the exact one."""
        return self.name.removeprefix(self.multiplier)


@functools.lru_cache(maxsize=256)
def element(
    multiplier: str, accumulator_bits: int, accumulation: Accumulation | None = None, dropped: int = 0
) -> ProcessingElement:
    """The element around one core of the catalogue.

    Args:
        multiplier: catalogue name.
        accumulator_bits: width of the partial sum, where it is added exactly.
        accumulation: another way to add, of its adder's width.
        dropped: as in `Unit`.

    Raises:
        RegistryError, CircuitError: the catalogue has no such circuit.
        TargetError: the multiplier is signed; the element brings its own sign logic.
    """
    if is_signed(multiplier):
        raise TargetError(f"multiplier {multiplier!r} is signed; a processing element takes the unsigned core")
    core = catalogue_circuit(multiplier)
    if accumulation is None:
        return processing_element(core, accumulator_bits)
    adder = adder_catalogue.get(accumulation.adder)
    return processing_element(core, adder.bits, accumulator_stage(adder, accumulation.overflow), dropped)


@functools.lru_cache(maxsize=256)
def pe_design(units: tuple[str | Unit, ...], accumulator_bits: int) -> PeDesign:
    """Design the element for one or more multipliers and ways to add.

    Args:
        units: distinct; a catalogue name stands for the core with exact sums.
        accumulator_bits: width of exact partial sums and of the register; one for all sites of a plan.

    Raises:
        RegistryError, CircuitError, TargetError: as `element`.
    """
    library = default_library()
    wanted = [u if isinstance(u, Unit) else Unit(u) for u in units]
    elements = {u.name: element(u.multiplier, accumulator_bits, u.accumulation, u.dropped) for u in wanted}
    cores = _largest({(u.name, u.multiplier): elements[u.name] for u in wanted}, core=True)
    adders = _largest({(u.name, u.adder_name): elements[u.name] for u in wanted}, core=False)
    parts = [
        *(_count(e.circuit, core=True) for e in cores),
        *(_count(e.circuit, core=False) for e in adders),
        _isolation_cells(cores),
        _adder_isolation_cells(adders),
    ]
    operands = [max(e.core.port(name).width for e in cores) for name in ("a", "b")]
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


def _largest(elements: Mapping[tuple[str, str], ProcessingElement], *, core: bool) -> list[ProcessingElement]:
    """For every core, or every adder, the element in which it is largest: others may use fewer of its outputs."""
    found: dict[str, ProcessingElement] = {}
    for (_, part), pe in elements.items():
        known = found.get(part)
        if known is None or _size(pe, core) > _size(known, core):
            found[part] = pe
    return list(found.values())


def _size(pe: ProcessingElement, core: bool) -> tuple[int, float]:
    """Width of the product, then area, of the core or of what is around it."""
    return pe.core.port("p").width, _area_um2(_count(pe.circuit, core=core), default_library())


def _count(circuit: Circuit, *, core: bool) -> dict[str, int]:
    cells: dict[str, int] = {}
    for gate in circuit.gates:
        if (gate.block == MULTIPLIER_BLOCK) is core:
            cells[gate.cell] = cells.get(gate.cell, 0) + 1
    return cells


def _isolation_cells(elements: Sequence[ProcessingElement]) -> dict[str, int]:
    """Gates that a single core does not need: operand isolation of each core, and merging of the products."""
    if len(elements) == 1:
        return {}
    cores = [e.core for e in elements]
    products = sorted(core.port("p").width for core in cores)
    return {
        "AND2": sum(core.port("a").width + core.port("b").width for core in cores),
        "OR2": sum(products[:-1]),
    }


def _adder_isolation_cells(elements: Sequence[ProcessingElement]) -> dict[str, int]:
    """Gates that a single adder does not need: isolation of sum and product of each adder, and merging of the sums."""
    if len(elements) == 1:
        return {}
    widths = sorted(e.accumulator_bits for e in elements)
    products = [min(e.core.port("p").width - e.dropped, e.accumulator_bits) for e in elements]
    return {"AND2": sum(widths) + sum(products), "OR2": sum(widths[:-1])}


def _area_um2(cells: Mapping[str, int], library: CellLibrary) -> float:
    return math.fsum(count * library.cells[cell].area_um2 for cell, count in cells.items())


def _leakage_nw(cells: Mapping[str, int], library: CellLibrary) -> float:
    return math.fsum(count * library.cells[cell].leakage_nw for cell, count in cells.items())
