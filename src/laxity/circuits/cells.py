"""Cell libraries: area, delay, energy and leakage of each cell, read from a TOML table."""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from laxity.circuits.netlist import CELL_PINS, Circuit
from laxity.core.errors import CircuitError


@dataclass(frozen=True, slots=True)
class Cell:
    """Figures of one cell; sequences have one entry per output pin.

    Attributes:
        library_cell: name in the library that the figures come from.
        area_um2: layout area.
        input_capacitance_ff: mean capacitance of an input pin.
        leakage_nw: leakage power, mean over states.
        delay_ps: delay without load.
        resistance_ps_per_ff: delay added per femtofarad of load.
        internal_energy_fj: energy per output toggle without the energy of the load.
    """

    library_cell: str
    area_um2: float
    input_capacitance_ff: float
    leakage_nw: float
    delay_ps: tuple[float, ...]
    resistance_ps_per_ff: tuple[float, ...]
    internal_energy_fj: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FlipFlop:
    """Figures of the flip-flop.

    Attributes:
        library_cell: name in the library that the figures come from.
        area_um2: layout area.
        leakage_nw: leakage power, mean over states.
        clock_pin_capacitance_ff: capacitance of the clock pin.
        clock_energy_fj: internal energy per clock cycle (both edges) while the output stays.
    """

    library_cell: str
    area_um2: float
    leakage_nw: float
    clock_pin_capacitance_ff: float
    clock_energy_fj: float


@dataclass(frozen=True, slots=True)
class CellLibrary:
    """All cells of one process corner.

    Attributes:
        name: short name.
        source: where the figures come from, with attribution.
        process_nm: feature size.
        voltage_v: supply voltage.
        temperature_c: temperature.
        cells: figures by the cell names of `netlist.CELL_PINS`; complete.
        flip_flop: the flip-flop.
    """

    name: str
    source: str
    process_nm: float
    voltage_v: float
    temperature_c: float
    cells: Mapping[str, Cell]
    flip_flop: FlipFlop

    def area_um2(self, circuit: Circuit) -> float:
        """Sum of the cell areas, without wiring."""
        return math.fsum(count * self.cells[cell].area_um2 for cell, count in circuit.cells().items())

    def leakage_nw(self, circuit: Circuit) -> float:
        """Sum of the cell leakage powers."""
        return math.fsum(count * self.cells[cell].leakage_nw for cell, count in circuit.cells().items())

    def loads_ff(self, circuit: Circuit) -> list[float]:
        """Load of each net by net number: the input pins it drives; output ports add nothing."""
        loads = [0.0] * circuit.net_count()
        for gate in circuit.gates:
            pin = self.cells[gate.cell].input_capacitance_ff
            for net in gate.inputs:
                loads[net] += pin
        return loads

    def clock_energy_fj(self) -> float:
        """Energy of one flip-flop per clock cycle: internal, plus C V^2 of its clock pin."""
        pin = self.flip_flop.clock_pin_capacitance_ff * self.voltage_v**2
        return self.flip_flop.clock_energy_fj + pin


def load_library(path: Path) -> CellLibrary:
    """Read a cell library from a TOML file laid out as ``cells_45nm.toml``.

    Raises:
        CircuitError: the file cannot be read, a cell or key is missing or unknown, or a figure is not a number >= 0.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CircuitError(f"cannot read cell library {path}: {error.strerror}; check the path") from error
    return parse_library(text, str(path))


@functools.cache
def default_library() -> CellLibrary:
    """The built-in 45 nm cell table."""
    text = files("laxity.circuits").joinpath("cells_45nm.toml").read_text(encoding="utf-8")
    return parse_library(text, "cells_45nm.toml")


def parse_library(text: str, where: str) -> CellLibrary:
    """Parse and validate the TOML text of a cell library; `where` names it in messages.

    Raises:
        CircuitError: as `load_library`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CircuitError(f"cell library {where} is not valid TOML: {error}") from error
    _check_keys(document, set(CellLibrary.__dataclass_fields__), where)
    _check_keys(document["cells"], set(CELL_PINS), f"{where} [cells]")
    _check_keys(document["flip_flop"], set(FlipFlop.__dataclass_fields__), f"{where} [flip_flop]")
    cells = {cell: _cell(cell, document["cells"][cell], where) for cell in CELL_PINS}
    flip_flop = {
        key: str(value) if key == "library_cell" else _number(value, f"{where} [flip_flop] {key}")
        for key, value in document["flip_flop"].items()
    }
    return CellLibrary(
        name=str(document["name"]),
        source=str(document["source"]),
        process_nm=_number(document["process_nm"], f"{where} process_nm"),
        voltage_v=_number(document["voltage_v"], f"{where} voltage_v"),
        temperature_c=float(document["temperature_c"]),
        cells=MappingProxyType(cells),
        flip_flop=FlipFlop(**flip_flop),  # type: ignore[arg-type]
    )


def _cell(name: str, row: Any, where: str) -> Cell:
    place = f"{where} [cells.{name}]"
    _check_keys(row, set(Cell.__dataclass_fields__), place)
    outputs = CELL_PINS[name][1]
    per_output: dict[str, tuple[float, ...]] = {}
    for key in ("delay_ps", "resistance_ps_per_ff", "internal_energy_fj"):
        values = row[key]
        if not isinstance(values, list) or len(values) != outputs:
            raise CircuitError(f"{place} {key} is {values!r}; give a list with {outputs} number(s), one per output")
        per_output[key] = tuple(_number(value, f"{place} {key}") for value in values)
    scalars = {key: _number(row[key], f"{place} {key}") for key in ("area_um2", "input_capacitance_ff", "leakage_nw")}
    return Cell(library_cell=str(row["library_cell"]), **scalars, **per_output)  # type: ignore[arg-type]


def _check_keys(table: Any, wanted: set[str], place: str) -> None:
    if not isinstance(table, dict):
        raise CircuitError(f"{place} is not a table")
    missing, unknown = sorted(wanted - set(table)), sorted(set(table) - wanted)
    if missing:
        raise CircuitError(f"{place} lacks {', '.join(missing)}; every cell and figure is needed")
    if unknown:
        raise CircuitError(f"{place} has unknown {', '.join(unknown)}; known: {', '.join(sorted(wanted))}")


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise CircuitError(f"{place} is {value!r}; give a finite number >= 0")
    return float(value)
