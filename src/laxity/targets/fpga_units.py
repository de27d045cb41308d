"""Look-up tables and relative switching of multiplier cores on Xilinx 7-series, by synthesis or from the netlist.

With Yosys the core is synthesised, proved equal and kept in the cache (`laxity.circuits.synthesis`). Without it, tables
are counted from the cells of the netlist by a fit::

    LUT = 1.56 x full adders + 0.62 x other cells of two and more inputs, half adders and inverters free

Fitted by least relative squares to 28 synthesised cores of 2 to 16 bits (Yosys 0.70, ``synth_xilinx -nodsp
-nowidelut``): mean deviation 11 %; 26 of them within -24 and +16 %, the exact 2-bit and 3-bit ones -38 and +71 %.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from laxity.circuits import catalogue
from laxity.circuits.activity import switching_energy
from laxity.circuits.cells import default_library
from laxity.circuits.netlist import Circuit
from laxity.circuits.synthesis import synthesise_fpga, uniform_streams
from laxity.core.errors import ToolError
from laxity.core.estimate import Basis, Estimate
from laxity.eda.tools import find
from laxity.targets.pe_design import Unit, core_circuit

LutSource = Literal["auto", "yosys", "netlist"]
"""``auto``: Yosys where it is installed, else the netlist."""

LUT_PER_FULL_ADDER, LUT_PER_GATE = 1.56, 0.62
"""Of the fit."""

FIT_LOW, FIT_HIGH = 0.75, 1.25
"""Bounds of the fit: tables that synthesis finds over those of the fit."""

INDEX_PER_LUT = 1.25
"""Mean energy index per table over the same 28 cores; they lie between 0.3 and 1.9."""

_FREE = ("HA", "INV", "BUF")


@dataclass(frozen=True, slots=True)
class CoreFigures:
    """A multiplier core on the device.

    Attributes:
        lut: look-up tables.
        energy_index: toggles times (1 + fan-out) on uniform operands; relative, no joules.
    """

    lut: Estimate
    energy_index: float


@functools.lru_cache(maxsize=256)
def core_figures(unit: Unit, source: LutSource) -> CoreFigures:
    """Figures of the core of a unit; its adder does not enter.

    Raises:
        RegistryError, CircuitError, TargetError: the core cannot be built.
        ToolError: Yosys is asked for and missing.
        ToolRunError: Yosys failed, or what it made is not equal to the core.
    """
    core = core_circuit(unit.multiplier, unit.pieces)
    if source == "netlist" or (source == "auto" and not _has_yosys()):
        return modelled(core, core_circuit(catalogue.unit(unit.multiplier), unit.pieces))
    found = synthesise_fpga(core, "xilinx7")
    words = f"look-up tables of {core.name} on Xilinx 7-series, {found.tool}, no place and route"
    return CoreFigures(
        Estimate.point(found.lut, "LUT", Basis.SYNTHESISED, words), next(iter(found.energy_index.values()))
    )


def modelled(core: Circuit, exact: Circuit | None = None) -> CoreFigures:
    """Figures from the cells of a netlist, by the fit of this module.

    Args:
        core: the netlist.
        exact: the most exact mode of its gates, where they have several; the fit is for that mode, and the index of
            another one is scaled by toggles times loads on uniform operands.
    """
    cells = core.cells()
    gates = sum(count for cell, count in cells.items() if cell not in (*_FREE, "FA"))
    lut = LUT_PER_FULL_ADDER * cells.get("FA", 0) + LUT_PER_GATE * gates
    words = f"look-up tables of {core.name} fitted from the cells of its netlist, not synthesised"
    estimate = Estimate(lut, FIT_LOW * lut, FIT_HIGH * lut, "LUT", Basis.MODELLED, words)
    index = INDEX_PER_LUT * lut
    if exact is not None and exact.key != core.key:
        index *= _settled_pj(core) / _settled_pj(exact)
    return CoreFigures(estimate, index)


def _settled_pj(circuit: Circuit) -> float:
    return switching_energy(circuit, uniform_streams(circuit), default_library(), "zero").energy_pj


@functools.cache
def _has_yosys() -> bool:
    try:
        find("yosys")
    except ToolError:
        return False
    return True
