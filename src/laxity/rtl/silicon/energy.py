"""Energy of a mapped design from its switching.

Every change of a net charges the input pins that it drives, 1/2 C V^2, and costs what its driver takes inside: the
internal energy of a cell's output, or of a flip-flop's. A change at the data pin of a flip-flop costs its internal
energy too. Clocks are not gated: every flip-flop takes the energy of its clock in every cycle. Pins of memories are in
the energy of their accesses.

What is between flip-flops changes more than once per cycle: glitches. Flip-flops and memories do not. So settled
values give the energy of nets that they drive exactly, and that of gates from below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from laxity.circuits.activity import Delays, plane_toggles
from laxity.circuits.cells import CellLibrary
from laxity.circuits.registers import REGISTERS_45NM, RegisterFigures
from laxity.circuits.simulate import Words
from laxity.rtl.silicon.netlist import Netlist
from laxity.rtl.silicon.rows import Rows

Energies = npt.NDArray[np.float64]

_LEVEL = 0.975


@dataclass(frozen=True, slots=True)
class Glitches:
    """How much more gates take with glitches than settled values say.

    Attributes:
        ratio: of both energies.
        low, high: 95 % interval.
    """

    ratio: float
    low: float
    high: float


def toggle_energies_fj(netlist: Netlist, library: CellLibrary, registers: RegisterFigures = REGISTERS_45NM) -> Energies:
    """Energy of one change of each net, by net number."""
    energies = 0.5 * library.voltage_v**2 * np.array(library.loads_ff(netlist.logic))
    for gate in netlist.gates:
        for net, internal in zip(gate.outputs, library.cells[gate.cell].internal_energy_fj, strict=True):
            energies[net] += internal
    for flip_flop in netlist.flip_flops:
        energies[flip_flop.q] += registers.output_toggle_fj
        energies[flip_flop.d] += registers.input_toggle_fj
    return energies


def by_row(energies_fj: Energies, rows: Rows) -> Energies:
    """Energies by net number in the order of the rows of a simulation."""
    nets = np.flatnonzero(rows.of_net >= 0)
    found = np.zeros(rows.count)
    found[rows.of_net[nets]] = energies_fj[nets]
    return found


def glitch_ratio(settled_pj: Energies, inertial_pj: Energies) -> Glitches:
    """Ratio of two energies from the same transitions, with an interval.

    Args:
        settled_pj: of batches of transitions, (batches,).
        inertial_pj: of the same batches.

    Source:
        Ratio estimator and its variance: W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, sections 2.11 and
        6.4, with batches as units and Student's t for few of them.
    """
    count, total = len(settled_pj), float(settled_pj.sum())
    if total == 0.0:
        return Glitches(1.0, 1.0, 1.0)
    ratio = float(inertial_pj.sum()) / total
    if count < 2:
        return Glitches(ratio, 1.0, float("inf"))
    rest = inertial_pj - ratio * settled_pj
    spread = float(np.sqrt((rest**2).sum() / (count - 1) / count)) / (total / count)
    half = float(student.ppf(_LEVEL, count - 1)) * spread
    return Glitches(ratio, ratio - half, ratio + half)


def batch_energies_pj(
    netlist: Netlist, library: CellLibrary, energies_fj: Energies, before: Words, after: Words, delays: Delays
) -> Energies:
    """Energy of all gates in each batch of 64 transitions, float64 (batches,).

    Args:
        netlist: the design.
        library: delays of gates.
        energies_fj: of `toggle_energies_fj`.
        before: what inputs, flip-flops and memories hold, bit planes (nets, batches), in the order of the ports of
            `Netlist.logic`.
        after: the same after the change.
        delays: delay model.
    """
    found = np.zeros(before.shape[1])
    old, new = (dict(_by_port(netlist, planes)) for planes in (before, after))
    given = {net for port in netlist.logic.inputs for net in port.nets}
    for net, toggles in plane_toggles(netlist.logic, old, new, library, delays):
        if net not in given:
            found += energies_fj[net] * toggles.sum(0, dtype=np.int64)
    return found * 1e-3


def _by_port(netlist: Netlist, planes: Words) -> Iterator[tuple[str, Words]]:
    first = 0
    for port in netlist.logic.inputs:
        yield port.name, planes[first : first + port.width]
        first += port.width
