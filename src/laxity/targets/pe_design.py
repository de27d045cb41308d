"""The processing element that a plan asks for: one core for each multiplier, one adder for each way to add.

Where a plan uses several multipliers, the element holds one instance of every core. AND gates at the operand inputs
keep the cores that are not selected quiet, OR gates merge the products; both count for area and leakage. Adders other
than the exact one that all cores share, with the sign logic before them, are held once each and isolated and merged in
the same way. The switching and delay of these gates, at most a few small ones per bit, are not charged. Multipliers
that are modes of one reconfigurable unit are one core: its gates count once, and every mode has its own switching. The
registers that hold the mode, and their lines, are not counted.

A core may be composed of several instances of a narrower one. It is used as it is generated, or mapped to the cell
table by Yosys and proved equal; adder and sign logic, full adders and single gates per bit, stay as they are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from laxity.circuits import accumulator_stage, adder_catalogue
from laxity.circuits.catalogue import circuit as catalogue_circuit
from laxity.circuits.catalogue import get, is_signed
from laxity.circuits.catalogue import unit as reconfigurable
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.netlist import Circuit
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.circuits.synthesis import Flow, map_circuit
from laxity.circuits.wide import ComposedMultiplier
from laxity.core.demand import Accumulation, Demand
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
        area_parts_um2: the area by part: ``multiplier``, ``adder``, ``selection``, ``registers``.
        unit_delay_ns: slowest combinational path of each unit.
    """

    elements: Mapping[str, ProcessingElement]
    flip_flops: int
    area_um2: float
    leakage_nw: float
    clock_energy_pj: float
    delay_ns: float
    area_parts_um2: Mapping[str, float]
    unit_delay_ns: Mapping[str, float]


def core_widths(multiplier: str) -> tuple[int, int]:
    """Widths of both operands of a core of the catalogue, in bits.

    Raises:
        RegistryError, CircuitError: the catalogue has no such circuit.
    """
    core = catalogue_circuit(multiplier)
    return core.port("a").width, core.port("b").width


def is_composed(demand: Demand) -> bool:
    """Whether products are composed of those of narrower integers, as `ComposedMultiplier` does."""
    return demand.arithmetic == f"integer products composed of {demand.multiplier}"


@dataclass(frozen=True, slots=True)
class Unit:
    """One way in which an element multiplies and adds.

    Attributes:
        multiplier: catalogue name of an unsigned core.
        accumulation: how products are added, or None for exact sums.
        dropped: low product bits that are always 0 and do not enter such an accumulation.
        pieces: into how many parts operands a and b are cut, each pair of which has a core of its own.
    """

    multiplier: str
    accumulation: Accumulation | None = None
    dropped: int = 0
    pieces: tuple[int, int] = (1, 1)

    @staticmethod
    def of(demand: Demand) -> Unit:
        """What an element needs for a site. Product bits below those of codes and their fractions are always 0.

        Raises:
            RegistryError, CircuitError: the catalogue has no such circuit.
        """
        widths = core_widths(demand.multiplier)
        pieces = (1, 1)
        if is_composed(demand):
            pieces = max(1, -(-demand.input_bits // widths[0])), max(1, -(-demand.weight_bits // widths[1]))
        if demand.accumulation is None:
            return Unit(demand.multiplier, pieces=pieces)
        used = demand.input_bits + demand.weight_bits + demand.fraction_bits
        given = widths[0] * pieces[0] + widths[1] * pieces[1]
        return Unit(demand.multiplier, demand.accumulation, max(0, given - used), pieces)

    @property
    def widths(self) -> tuple[int, int]:
        """Widths of both operands, all pieces together, in bits."""
        a_bits, b_bits = core_widths(self.multiplier)
        return a_bits * self.pieces[0], b_bits * self.pieces[1]

    @property
    def core_name(self) -> str:
        """The multiplier, with the number of its instances where there are several."""
        return self.multiplier if self.pieces == (1, 1) else f"{self.pieces[0]} x {self.pieces[1]} {self.multiplier}"

    @property
    def shared_core(self) -> str:
        """What tells cores apart: modes of one reconfigurable unit have the same gates."""
        return replace(self, multiplier=reconfigurable(self.multiplier)).core_name

    @property
    def name(self) -> str:
        """The core, and the adder where it is not the exact one."""
        return self.core_name + self.adder_name

    @property
    def adder_name(self) -> str:
        """What tells adders with their sign logic apart; empty for the exact one."""
        if self.accumulation is None:
            return ""
        saturating = " saturating" if self.accumulation.overflow == "saturate" else ""
        return f" + {self.accumulation.adder}{saturating}" + f" at {self.dropped}" * bool(self.dropped)


@functools.lru_cache(maxsize=256)
def core_circuit(multiplier: str, pieces: tuple[int, int] = (1, 1), flow: Flow = "netlist") -> Circuit:
    """The netlist of a core.

    Args:
        multiplier: catalogue name of an unsigned multiplier.
        pieces: as in `Unit`.
        flow: whether it is used as generated or mapped by Yosys.

    Raises:
        RegistryError, CircuitError: the catalogue has no such circuit, or its parts cannot be composed.
        TargetError: the multiplier is signed; the element brings its own sign logic.
        ToolError: Yosys is needed and missing.
    """
    if is_signed(multiplier):
        raise TargetError(f"multiplier {multiplier!r} is signed; a processing element takes the unsigned core")
    single = pieces == (1, 1)
    core = catalogue_circuit(multiplier) if single else ComposedMultiplier(get(multiplier)).circuit(*pieces)
    return core if flow == "netlist" else map_circuit(core, default_library()).circuit


@functools.lru_cache(maxsize=256)
def element(
    multiplier: str,
    accumulator_bits: int,
    accumulation: Accumulation | None = None,
    dropped: int = 0,
    pieces: tuple[int, int] = (1, 1),
    flow: Flow = "netlist",
) -> ProcessingElement:
    """The element around one core.

    Args:
        multiplier: catalogue name.
        accumulator_bits: width of the partial sum, where it is added exactly.
        accumulation: another way to add, of its adder's width.
        dropped: as in `Unit`.
        pieces: as in `Unit`.
        flow: as in `core_circuit`.

    Raises:
        RegistryError, CircuitError, TargetError, ToolError: as `core_circuit`.
    """
    core = core_circuit(multiplier, pieces, flow)
    if accumulation is None:
        return processing_element(core, accumulator_bits)
    adder = adder_catalogue.get(accumulation.adder)
    return processing_element(core, adder.bits, accumulator_stage(adder, accumulation.overflow), dropped)


def unit_element(unit: Unit, accumulator_bits: int, flow: Flow = "netlist") -> ProcessingElement:
    """The element of one unit.

    Raises:
        RegistryError, CircuitError, TargetError, ToolError: as `element`.
    """
    return element(unit.multiplier, accumulator_bits, unit.accumulation, unit.dropped, unit.pieces, flow)


@functools.lru_cache(maxsize=256)
def pe_design(units: tuple[str | Unit, ...], accumulator_bits: int, flow: Flow = "netlist") -> PeDesign:
    """Design the element for one or more multipliers and ways to add.

    Args:
        units: distinct; a catalogue name stands for the core with exact sums.
        accumulator_bits: width of exact partial sums and of the register; one for all sites of a plan.
        flow: as in `core_circuit`.

    Raises:
        RegistryError, CircuitError, TargetError, ToolError: as `element`.
    """
    library = default_library()
    wanted = [u if isinstance(u, Unit) else Unit(u) for u in units]
    elements = {u.name: unit_element(u, accumulator_bits, flow) for u in wanted}
    cores = _largest({(u.name, u.shared_core): elements[u.name] for u in wanted}, core=True)
    adders = _largest({(u.name, u.adder_name): elements[u.name] for u in wanted}, core=False)
    groups = {
        "multiplier": [_count(e.circuit, core=True) for e in cores],
        "adder": [_count(e.circuit, core=False) for e in adders],
        "selection": [_isolation_cells(cores), _adder_isolation_cells(adders)],
    }
    parts = [cells for group in groups.values() for cells in group]
    operands = [max(e.core.port(name).width for e in cores) for name in ("a", "b")]
    flip_flops = sum(operands) + 2 + accumulator_bits
    flip_flop = library.flip_flop
    areas = {name: math.fsum(_area_um2(cells, library) for cells in group) for name, group in groups.items()}
    delays = {name: e.delay_ns(library) for name, e in elements.items()}
    return PeDesign(
        elements=MappingProxyType(elements),
        flip_flops=flip_flops,
        area_um2=math.fsum(_area_um2(cells, library) for cells in parts) + flip_flops * flip_flop.area_um2,
        leakage_nw=math.fsum(_leakage_nw(cells, library) for cells in parts) + flip_flops * flip_flop.leakage_nw,
        clock_energy_pj=flip_flops * library.clock_energy_fj() * 1e-3,
        delay_ns=max(delays.values()),
        area_parts_um2=MappingProxyType(areas | {"registers": flip_flops * flip_flop.area_um2}),
        unit_delay_ns=MappingProxyType(delays),
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
