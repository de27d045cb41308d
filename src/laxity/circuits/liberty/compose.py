"""Cells that a library lacks, composed of cells that it has.

The figures of a composed cell follow from its parts: areas and leakages add up; an input's capacitance is that of the
pins it drives; delays run along the slowest path with the internal loads; and the energy is that of the parts and the
internal nets over all transitions between two input vectors, per toggle of the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from laxity.circuits.cells import Cell
from laxity.circuits.netlist import CELL_PINS, Gate
from laxity.circuits.simulate import exhaustive_planes as planes_of
from laxity.circuits.simulate import run_gates, unpack
from laxity.core.errors import CircuitError

_Recipe = tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
"""Parts as (cell, inputs, outputs); nets a, b, c, d are inputs, and y, or s and k (sum and carry), are outputs."""

RECIPES: Mapping[str, _Recipe] = MappingProxyType(
    {
        "BUF": (("INV", ("a",), ("n",)), ("INV", ("n",), ("y",))),
        "AND2": (("NAND2", ("a", "b"), ("n",)), ("INV", ("n",), ("y",))),
        "OR2": (("NOR2", ("a", "b"), ("n",)), ("INV", ("n",), ("y",))),
        "NAND3": (("AND2", ("a", "b"), ("n",)), ("NAND2", ("n", "c"), ("y",))),
        "NOR3": (("OR2", ("a", "b"), ("n",)), ("NOR2", ("n", "c"), ("y",))),
        "AOI21": (("AND2", ("a", "b"), ("n",)), ("NOR2", ("n", "c"), ("y",))),
        "AOI22": (("AND2", ("a", "b"), ("n",)), ("AND2", ("c", "d"), ("m",)), ("NOR2", ("n", "m"), ("y",))),
        "OAI21": (("OR2", ("a", "b"), ("n",)), ("NAND2", ("n", "c"), ("y",))),
        "XNOR2": (("NAND2", ("a", "b"), ("n",)), ("OR2", ("a", "b"), ("m",)), ("NAND2", ("n", "m"), ("y",))),
        "XOR2": (("NOR2", ("a", "b"), ("n",)), ("AOI21", ("a", "b", "n"), ("y",))),
        "MUX2": (("INV", ("a",), ("n",)), ("AOI22", ("n", "b", "a", "c"), ("y",))),
        "HA": (("XOR2", ("a", "b"), ("s",)), ("AND2", ("a", "b"), ("k",))),
        "FA": (
            ("XOR2", ("a", "b"), ("h",)),
            ("XOR2", ("h", "c"), ("s",)),
            ("NAND2", ("a", "b"), ("n",)),
            ("NAND2", ("h", "c"), ("m",)),
            ("NAND2", ("n", "m"), ("k",)),
        ),
    }
)
"""One composition for each cell but INV, NAND2 and NOR2, of cells earlier in it or of those three."""

_NEEDED = ("INV", "NAND2", "NOR2")


def compose_missing(cells: Mapping[str, Cell], voltage_v: float, where: str) -> dict[str, Cell]:
    """All cells of `CELL_PINS`: those given, and the others composed of them.

    Args:
        cells: figures by our names.
        voltage_v: supply voltage, for the energy of internal nets.
        where: name of the library, for messages.

    Raises:
        CircuitError: INV, NAND2 or NOR2 is missing.
    """
    missing = [name for name in _NEEDED if name not in cells]
    if missing:
        raise CircuitError(
            f"{where}: no cell has the function of {', '.join(missing)}; a library needs at least {', '.join(_NEEDED)}"
        )
    complete = dict(cells)
    for name, recipe in RECIPES.items():
        if name not in complete:
            complete[name] = _composed(name, recipe, complete, voltage_v)
    return {name: complete[name] for name in CELL_PINS}


def _composed(name: str, recipe: _Recipe, cells: Mapping[str, Cell], voltage_v: float) -> Cell:
    inputs, outputs = "abcd"[: CELL_PINS[name][0]], ("s", "k") if CELL_PINS[name][1] == 2 else ("y",)
    parts = [cells[cell] for cell, _, _ in recipe]
    loads = _loads(recipe, cells)
    arrival = dict.fromkeys(inputs, 0.0)
    for (_, pins, (out, *_)), part in zip(recipe, parts, strict=True):
        own = part.resistance_ps_per_ff[0] * loads.get(out, 0.0)
        arrival[out] = max(arrival[pin] for pin in pins) + part.delay_ps[0] + own
    driver = {outs[0]: part for (_, _, outs), part in zip(recipe, parts, strict=True)}
    return Cell(
        library_cell=" + ".join(part.library_cell for part in parts),
        area_um2=sum(part.area_um2 for part in parts),
        input_capacitance_ff=sum(loads[pin] for pin in inputs) / len(inputs),
        leakage_nw=sum(part.leakage_nw for part in parts),
        delay_ps=tuple(arrival[out] for out in outputs),
        resistance_ps_per_ff=tuple(driver[out].resistance_ps_per_ff[0] for out in outputs),
        internal_energy_fj=_energies(inputs, outputs, recipe, cells, voltage_v),
    )


def _loads(recipe: _Recipe, cells: Mapping[str, Cell]) -> dict[str, float]:
    """Capacitance of the pins on each net inside, in femtofarad."""
    loads: dict[str, float] = {}
    for cell, pins, _ in recipe:
        for pin in pins:
            loads[pin] = loads.get(pin, 0.0) + cells[cell].input_capacitance_ff
    return loads


def _energies(
    inputs: str, outputs: tuple[str, ...], recipe: _Recipe, cells: Mapping[str, Cell], voltage_v: float
) -> tuple[float, ...]:
    """Energy per toggle of each output; a part counts for the first output that depends on it."""
    toggles, loads = _toggles(inputs, recipe), _loads(recipe, cells)
    spent = dict.fromkeys(outputs, 0.0)
    left = {outs[0]: cell for cell, _, outs in recipe}
    for output in outputs:
        for net in _cone(output, recipe):
            cell = left.pop(net, None)
            if cell is not None:
                wire = 0.5 * voltage_v**2 * loads.get(net, 0.0)
                spent[output] += toggles[net] * (cells[cell].internal_energy_fj[0] + wire)
    return tuple(spent[output] / toggles[output] for output in outputs)


def _cone(output: str, recipe: _Recipe) -> list[str]:
    """The nets inside on which an output depends, itself included."""
    sources = {outs[0]: pins for _, pins, outs in recipe}
    found: list[str] = []
    open_nets = [output]
    while open_nets:
        net = open_nets.pop()
        if net in sources and net not in found:
            found.append(net)
            open_nets.extend(sources[net])
    return found


def _toggles(inputs: str, recipe: _Recipe) -> dict[str, float]:
    """Share of all pairs of input vectors between which each net changes: 2 p (1 - p)."""
    planes = planes_of(len(inputs))
    numbers = {net: place for place, net in enumerate(inputs)}
    for _, _, outs in recipe:
        numbers[outs[0]] = len(numbers)
    nets = [planes[0]] * len(numbers)
    nets[: len(inputs)] = list(planes)
    gates = [Gate(cell, tuple(numbers[pin] for pin in pins), (numbers[outs[0]],)) for cell, pins, outs in recipe]
    run_gates(gates, nets)
    ones = {net: float(np.mean(unpack([nets[place]], 1 << len(inputs)))) for net, place in numbers.items()}
    return {net: 2 * share * (1 - share) for net, share in ones.items()}
