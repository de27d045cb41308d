"""From a Liberty file to the columns of a `CellLibrary`.

Every table is read at one slew and one load, and averaged over rise and fall and over the inputs of a cell; delay is a
straight line over the load. With a slew of 60 ps and a load of 2.5 inverter inputs this is how the built-in table was
made. Cells are recognised by their function, whatever they are called; of several with one function the smallest is
taken. What the file does not have is composed of what it has (`compose`).

Source: energy units follow from voltage_unit^2 x capacitive_load_unit, as the Liberty reference manual defines them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from laxity.circuits.cells import Cell, CellLibrary, FlipFlop
from laxity.circuits.liberty.compose import compose_missing
from laxity.circuits.liberty.function import MAX_INPUTS, FunctionError, permutations, truth_table
from laxity.circuits.liberty.syntax import Group
from laxity.circuits.liberty.tables import Line, Point, TableError, line_at, mean, number
from laxity.circuits.liberty.units import Units, read_units
from laxity.circuits.netlist import CELL_PINS
from laxity.circuits.simulate import CELL_FUNCTIONS, exhaustive_planes
from laxity.core.errors import CircuitError

SLEW_PS = 60.0
"""Input slew at which tables are read."""

LOAD_INVERTERS = 2.5
"""Load at which tables are read, in input capacitances of the smallest inverter."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A file that is being reduced: its units, its templates and where to read tables."""

    where: str
    units: Units
    templates: dict[str, Group]
    point: Point

    def error(self, line: int, problem: str) -> CircuitError:
        """An exception that names file and line."""
        return CircuitError(f"{self.where}, line {line}: {problem}; correct the Liberty file")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A cell of the file that has the function of one of ours; `outputs` are in our pin order."""

    group: Group
    area: float
    inputs: tuple[Group, ...]
    outputs: tuple[Group, ...]


def reduce_library(library: Group, where: str, slew_ps: float = SLEW_PS) -> CellLibrary:
    """Reduce a parsed Liberty file.

    Args:
        library: from `syntax.parse`.
        where: name of the file, for messages and as the source.
        slew_ps: input slew at which tables are read.

    Raises:
        CircuitError: units, a needed cell, the flip-flop or a figure is missing or malformed; with file and line.
    """
    units = read_units(library, where)
    templates = {g.name: g for g in library.groups if g.kind in ("lu_table_template", "power_lut_template")}
    source = _Source(where, units, templates, Point(slew_ps / units.time_ps, 0.0))
    chosen = _choose(library, source)
    if "INV" not in chosen:
        raise CircuitError(f"{where}: no cell is an inverter; a library needs at least INV, NAND2 and NOR2")
    pin_ff = _input_capacitance(chosen["INV"], source)
    load = LOAD_INVERTERS * pin_ff / units.capacitance_ff
    source = _Source(where, units, templates, Point(slew_ps / units.time_ps, load))
    cells = {name: _cell(candidate, source) for name, candidate in chosen.items()}
    text = f"{where}: tables read at {slew_ps:g} ps slew and {LOAD_INVERTERS:g} inverter inputs ({pin_ff:.3g} fF) load"
    return CellLibrary(
        name=library.name or "liberty",
        source=text,
        process_nm=0.0,
        voltage_v=units.voltage_v,
        temperature_c=units.temperature_c,
        cells=MappingProxyType(compose_missing(cells, units.voltage_v, where)),
        flip_flop=_flip_flop(library, source),
    )


def _choose(library: Group, source: _Source) -> dict[str, _Candidate]:
    """The smallest cell of each function by our names; equal ones by the shorter name, then by the alphabet."""
    wanted = _functions()
    found: dict[str, list[_Candidate]] = {}
    for group in library.all("cell"):
        if group.text("dont_use") == "true" or any(g.kind in ("ff", "latch", "statetable") for g in group.groups):
            continue
        for name, candidate in _matches(group, wanted, source):
            found.setdefault(name, []).append(candidate)
    return {name: min(found[name], key=_rank) for name in CELL_PINS if name in found}


def _rank(cell: _Candidate) -> tuple[float, int, str]:
    return cell.area, len(cell.group.name), cell.group.name


def _functions() -> dict[tuple[int, tuple[frozenset[int], ...]], str]:
    """Our cells by number of inputs and, for each output, the truth tables it has in any order of inputs."""
    known = {}
    for name, (inputs, _) in CELL_PINS.items():
        planes = exhaustive_planes(inputs)
        rows = 1 << inputs
        outputs = CELL_FUNCTIONS[name](*planes)
        tables = (int(words[0]) & ((1 << rows) - 1) for words in outputs)
        known[inputs, tuple(permutations(table, inputs) for table in tables)] = name
    return known


def _matches(
    group: Group, wanted: dict[tuple[int, tuple[frozenset[int], ...]], str], source: _Source
) -> list[tuple[str, _Candidate]]:
    """Which of ours a cell is: none or one."""
    pins = group.all("pin")
    inputs = tuple(p for p in pins if p.text("direction") == "input")
    outputs = [p for p in pins if p.text("direction") == "output"]
    if not 1 <= len(inputs) <= MAX_INPUTS or len(outputs) not in (1, 2) or len(inputs) + len(outputs) != len(pins):
        return []
    if any(p.find("three_state") for p in outputs) or not all(p.text("function") for p in outputs):
        return []
    names = [p.name for p in inputs]
    try:
        tables = [truth_table(p.text("function"), names) for p in outputs]
    except FunctionError as error:
        raise source.error(
            outputs[0].line, f"cell {group.name} has a function that cannot be read ({error})"
        ) from error
    for (count, families), name in wanted.items():
        if count != len(inputs) or len(families) != len(outputs):
            continue
        for order in ((0, 1), (1, 0)) if len(outputs) == 2 else ((0,),):
            if all(tables[place] in family for place, family in zip(order, families, strict=True)):
                area = _figure(group, "area", source)
                return [(name, _Candidate(group, area, inputs, tuple(outputs[place] for place in order)))]
    return []


def _figure(group: Group, name: str, source: _Source) -> float:
    """A number that a group must have."""
    attribute = group.find(name)
    if attribute is None:
        raise source.error(group.line, f"{group.kind} {group.name} has no {name}")
    try:
        value = number(attribute.values[0] if attribute.values else "")
    except ValueError as error:
        raise source.error(attribute.line, f"{name} of {group.kind} {group.name} is no number ({error})") from error
    if value < 0:
        raise source.error(attribute.line, f"{name} of {group.kind} {group.name} is negative")
    return value


def _input_capacitance(cell: _Candidate, source: _Source) -> float:
    """Mean over the input pins, in femtofarad."""
    total = sum(_figure(pin, "capacitance", source) for pin in cell.inputs)
    return total / len(cell.inputs) * source.units.capacitance_ff


def _cell(cell: _Candidate, source: _Source) -> Cell:
    lines = [_delay(cell.group, pin, source) for pin in cell.outputs]
    units = source.units
    slopes = tuple(line.slope * units.time_ps / units.capacitance_ff for line in lines)
    unloaded = (line.at_load - line.slope * source.point.load for line in lines)
    return Cell(
        library_cell=cell.group.name,
        area_um2=cell.area,
        input_capacitance_ff=_input_capacitance(cell, source),
        leakage_nw=_leakage(cell.group, source),
        delay_ps=tuple(max(0.0, delay * units.time_ps) for delay in unloaded),
        resistance_ps_per_ff=tuple(max(0.0, slope) for slope in slopes),
        internal_energy_fj=tuple(max(0.0, _energy(cell.group, pin, source) * units.energy_fj) for pin in cell.outputs),
    )


def _tables(cell: Group, pin: Group, kind: str, names: tuple[str, ...], source: _Source) -> list[Line]:
    try:
        return [
            line_at(table, source.templates, source.point)
            for group in pin.all(kind)
            for table in group.groups
            if table.kind in names
        ]
    except TableError as error:
        raise source.error(error.line, f"a table of {cell.name}/{pin.name} {error}") from error


def _delay(cell: Group, pin: Group, source: _Source) -> Line:
    """Mean over inputs and edges."""
    lines = _tables(cell, pin, "timing", ("cell_rise", "cell_fall"), source)

    def missing() -> TableError:
        return TableError(pin.line, f"{cell.name}/{pin.name} has no timing with cell_rise and cell_fall")

    try:
        return Line(mean([x.at_load for x in lines], missing), mean([x.slope for x in lines], missing))
    except TableError as error:
        raise source.error(error.line, str(error)) from error


def _energy(cell: Group, pin: Group, source: _Source) -> float:
    """Mean over inputs and edges; without tables 0, as the manual defines it."""
    lines = _tables(cell, pin, "internal_power", ("rise_power", "fall_power", "power"), source)
    return sum(line.at_load for line in lines) / len(lines) if lines else 0.0


def _leakage(cell: Group, source: _Source) -> float:
    """The stated leakage, else the mean over the states, in nanowatt."""
    if cell.find("cell_leakage_power"):
        return _figure(cell, "cell_leakage_power", source) * source.units.leakage_nw
    states = [_figure(group, "value", source) for group in cell.all("leakage_power")]
    if not states:
        raise source.error(cell.line, f"cell {cell.name} has no cell_leakage_power and no leakage_power")
    return sum(states) / len(states) * source.units.leakage_nw


def _flip_flop(library: Group, source: _Source) -> FlipFlop:
    """The smallest rising-edge flip-flop without set, reset and scan."""
    plain = [cell for cell in library.all("cell") if _plain_flip_flop(cell)]
    if not plain:
        raise CircuitError(
            f"{source.where}: no cell is a plain flip-flop with a rising clock edge; registers need one, so give a "
            f"library that has it"
        )
    cell = min(plain, key=lambda c: (_figure(c, "area", source), len(c.name), c.name))
    clock = next(pin for pin in cell.all("pin") if pin.name == _word(cell.all("ff")[0].text("clocked_on")))
    edges = ("rise_power", "fall_power", "power")
    lines = _tables(cell, clock, "internal_power", edges, source)
    groups = len(clock.all("internal_power"))
    both = sum(line.at_load for line in lines) / groups if lines else 0.0
    return FlipFlop(
        library_cell=cell.name,
        area_um2=_figure(cell, "area", source),
        leakage_nw=_leakage(cell, source),
        clock_pin_capacitance_ff=_figure(clock, "capacitance", source) * source.units.capacitance_ff,
        clock_energy_fj=max(0.0, both * source.units.energy_fj),
    )


def _plain_flip_flop(cell: Group) -> bool:
    stored = cell.all("ff")
    if len(stored) != 1 or cell.text("dont_use") == "true" or stored[0].find("clear") or stored[0].find("preset"):
        return False
    inputs = {pin.name for pin in cell.all("pin") if pin.text("direction") == "input"}
    return inputs == {_word(stored[0].text("clocked_on")), _word(stored[0].text("next_state"))}


def _word(function: str) -> str:
    return function.strip().strip("()").strip()
