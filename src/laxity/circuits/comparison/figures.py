"""What a circuit costs: area, delay, leakage, and switching energy under a distribution of operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.distribution import UNIFORM, Operands
from laxity.circuits.netlist import Circuit
from laxity.circuits.synthesis import characterise
from laxity.circuits.synthesis.operands import UNIFORM as UNIFORM_NAME
from laxity.circuits.synthesis.operands import UNIFORM_TRANSITIONS, Streams
from laxity.circuits.timing import logic_depth
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream
from laxity.eda.store import Store

COSTS: Mapping[str, str] = MappingProxyType(
    {"area": "area_um2", "delay": "delay_ns", "power": "power_mw", "energy": "energy_pj", "pe-energy": "pe_energy_pj"}
)
"""Costs that circuits can be compared by, and the fields of `Figures` that hold them."""

CLOCK_MHZ = 1000.0
"""Operations per microsecond for power, unless asked for otherwise."""

_DRAWN = "drawn"


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one netlist on a cell library, without wires and layout.

    Attributes:
        area_um2: sum of the cells.
        delay_ns: longest path, with pin loads.
        leakage_nw: sum of the cells.
        energy_pj: switching energy per operation, glitches included; operands are drawn anew for each.
        energy_zero_pj: without glitches.
        power_mw: switching and leakage at one operation per clock cycle.
        pe_energy_pj: energy of a whole processing element per operation; None where it was not asked for.
        cells: number of instances by cell.
        depth: gates on the longest path.
    """

    area_um2: float
    delay_ns: float
    leakage_nw: float
    energy_pj: float
    energy_zero_pj: float
    power_mw: float
    pe_energy_pj: float | None
    cells: Mapping[str, int]
    depth: int


def measure(
    circuit: Circuit,
    operands: Operands = UNIFORM,
    *,
    clock_mhz: float = CLOCK_MHZ,
    pe_energy_pj: float | None = None,
    library: CellLibrary | None = None,
    store: Store | None = None,
) -> Figures:
    """Measure a netlist with input ports a and b as it is, without any tool.

    Args:
        circuit: the netlist.
        operands: distribution of the operands by code.
        clock_mhz: operations per microsecond, for the power.
        pe_energy_pj: energy of the processing element, if it is known.
        library: cell figures; the built-in 45 nm table if not given.
        store: where energies are kept; the default one if None.

    Raises:
        CircuitError: the clock is no positive number, or the distribution does not fit the operands.
    """
    if not (np.isfinite(clock_mhz) and clock_mhz > 0):
        raise CircuitError(f"clock of {clock_mhz} MHz; give a positive number")
    sources = {} if operands.uniform else {_DRAWN: _streams(circuit, operands)}
    name = UNIFORM_NAME if operands.uniform else _DRAWN
    cells = library or default_library()
    found = characterise(circuit, library=cells, operands=sources, store=store)
    energy_pj = found.energy_pj("inertial", name)
    return Figures(
        area_um2=found.area_um2,
        delay_ns=found.delay_ns,
        leakage_nw=found.leakage_nw,
        energy_pj=energy_pj,
        energy_zero_pj=found.energy_pj("zero", name),
        power_mw=energy_pj * clock_mhz * 1e-3 + found.leakage_nw * 1e-6,
        pe_energy_pj=pe_energy_pj,
        cells=found.cells,
        depth=logic_depth(circuit),
    )


def _streams(circuit: Circuit, operands: Operands) -> Streams:
    """Operands drawn anew in every step, int64 (1, steps)."""
    widths = [circuit.port(name).width for name in "ab"]
    operands.check(1 << widths[0], 1 << widths[1])
    drawn = operands.draw(stream(0, "operand streams", *widths), UNIFORM_TRANSITIONS + 1, *widths)
    return {name: codes[None] for name, codes in zip("ab", drawn, strict=True)}
