"""How the nets of a design lie in memory while it is simulated.

Rows come in the order in which they are computed: constants, inputs, flip-flops, words that memories read, and then
gates, level by level, all gates of one cell and level together. The carries of adders follow their sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from laxity.circuits.netlist import CELL_PINS, ONE, ZERO
from laxity.rtl.silicon.netlist import Netlist

Indices = npt.NDArray[np.int32]

CELLS = tuple(CELL_PINS)
"""Cells by their number in `Rows.groups`."""

_MOST_PINS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of nets.

    Attributes:
        of_net: row of each net, int32 (nets,); -1 for numbers that are no net.
        count: number of rows.
        inputs: first row of the inputs; then those of flip-flops, memories and gates follow.
        flip_flops: first row of what flip-flops hold.
        memories: first row of words that were read.
        gates: first row of gates.
        next: rows that flip-flops take, int32 (flip_flops,).
        groups: int32 (groups, 4): number of the cell, first gate in `pins`, gates, first row of their outputs.
        pins: rows of inputs of gates, int32 (gates, 4); pins that a cell has not are 0.
    """

    of_net: Indices
    count: int
    inputs: int
    flip_flops: int
    memories: int
    gates: int
    next: Indices
    groups: Indices
    pins: Indices

    def rows(self, nets: Sequence[int]) -> Indices:
        """Rows of several nets."""
        found: Indices = self.of_net[np.asarray(nets, np.int32)]
        return found


def make_rows(netlist: Netlist) -> Rows:
    """Order the nets of a design."""
    of_net = np.full(netlist.logic.net_count(), -1, np.int32)
    of_net[[ZERO, ONE]] = ZERO, ONE
    first: list[int] = []
    row = 2
    parts = (
        [net for port in netlist.inputs for net in port.nets],
        [f.q for f in netlist.flip_flops],
        [net for memory in netlist.memories for net in memory.data],
    )
    for nets in parts:
        first.append(row)
        of_net[np.asarray(nets, np.int64)] = np.arange(row, row + len(nets))
        row += len(nets)
    order = _by_level(netlist)
    groups, done = [], 0
    for (_, cell), members in order:
        groups.append((cell, done, len(members), row))
        done += len(members)
        for output in range(CELL_PINS[CELLS[cell]][1]):
            of_net[[netlist.gates[k].outputs[output] for k in members]] = np.arange(row, row + len(members))
            row += len(members)
    pins = np.zeros((len(netlist.gates), _MOST_PINS), np.int32)
    for place, index in enumerate(k for _, members in order for k in members):
        inputs = netlist.gates[index].inputs
        pins[place, : len(inputs)] = of_net[list(inputs)]
    taken = of_net[np.array([f.d for f in netlist.flip_flops], np.int64)]
    gates = row if not order else groups[0][3]
    table = np.array(groups, np.int32).reshape(-1, 4)
    return Rows(of_net, row, first[0], first[1], first[2], gates, taken, table, pins)


def _by_level(netlist: Netlist) -> list[tuple[tuple[int, int], list[int]]]:
    """Gates by level and number of the cell."""
    level = [0] * netlist.logic.net_count()
    found: dict[tuple[int, int], list[int]] = {}
    numbers = {cell: k for k, cell in enumerate(CELLS)}
    for index, gate in enumerate(netlist.gates):
        own = 1 + max(level[net] for net in gate.inputs)
        for net in gate.outputs:
            level[net] = own
        found.setdefault((own, numbers[gate.cell]), []).append(index)
    return sorted(found.items())
