"""Static timing of a mapped design from register to register, without wires.

A path starts at the output of a flip-flop, its clock-to-output time after the edge, or with the word of a memory, its
access time after it; it ends at a flip-flop or at a memory, the set-up time of a flip-flop before the next edge. Inputs
arrive, and outputs are wanted, at the edge itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from laxity.circuits.cells import CellLibrary
from laxity.circuits.registers import REGISTERS_45NM, RegisterFigures
from laxity.circuits.sram import MemoryCost
from laxity.circuits.timing import gate_delays_ps
from laxity.rtl.silicon.netlist import Netlist


@dataclass(frozen=True, slots=True)
class TimingPath:
    """The longest path into something.

    Attributes:
        delay_ns: shortest clock period that it allows.
        names: register or memory where it starts, instances on the way with their numbers of cells, and where it ends.
    """

    delay_ns: float
    names: tuple[str, ...]


class Timing:
    """Arrival times of all nets of a design."""

    def __init__(
        self,
        netlist: Netlist,
        library: CellLibrary,
        memories: Sequence[MemoryCost],
        registers: RegisterFigures = REGISTERS_45NM,
    ) -> None:
        """Compute the times.

        Args:
            netlist: the design.
            library: delays of gates.
            memories: figures of each memory of the netlist, for its access time.
            registers: times of flip-flops.
        """
        self._gates = netlist.gates
        self._starts = _starts(netlist, memories, registers)
        self._ends = _ends(netlist, registers)
        self._driver: dict[int, int] = {}
        self._arrival = [0.0] * netlist.logic.net_count()
        for net, (time_ps, _) in self._starts.items():
            self._arrival[net] = time_ps
        for index, (gate, delays) in enumerate(zip(self._gates, gate_delays_ps(netlist.logic, library), strict=True)):
            latest = max(self._arrival[net] for net in gate.inputs)
            for net, delay in zip(gate.outputs, delays, strict=True):
                self._arrival[net], self._driver[net] = latest + delay, index

    def delays_ns(self) -> dict[str, float]:
        """Shortest clock period by the instance in which paths end; of memories and ports, by their name."""
        found: dict[str, float] = {}
        for end in self._ends:
            found[end.block] = max(found.get(end.block, 0.0), self._delay_ns(end))
        return found

    def critical_path(self) -> TimingPath:
        """The longest path; of a design in which nothing ends, an empty one."""
        if not self._ends:
            return TimingPath(0.0, ())
        end = max(self._ends, key=self._delay_ns)
        net, steps = end.net, []
        while net in self._driver:
            gate = self._gates[self._driver[net]]
            steps.append(gate.block or "top")
            net = max(gate.inputs, key=self._arrival.__getitem__)
        start = self._starts[net][1] if net in self._starts else "constant"
        runs = [(block, len(list(cells))) for block, cells in groupby(reversed(steps))]
        way = [f"{block} ({count} cell{'s' if count > 1 else ''})" for block, count in runs]
        return TimingPath(self._delay_ns(end), (start, *way, end.name))

    def _delay_ns(self, end: _End) -> float:
        return (self._arrival[end.net] + end.setup_ps) / 1000


class _End(NamedTuple):
    net: int
    name: str
    block: str
    setup_ps: float


def _starts(
    netlist: Netlist, memories: Sequence[MemoryCost], registers: RegisterFigures
) -> dict[int, tuple[float, str]]:
    """Time in ps at which each input of the gates comes, and what it comes from."""
    found = {net: (0.0, port.name) for port in netlist.inputs for net in port.nets}
    found |= {f.q: (1000 * registers.clock_to_output_ns, f.name) for f in netlist.flip_flops}
    for memory, cost in zip(netlist.memories, memories, strict=True):
        found |= dict.fromkeys(memory.data, (1000 * cost.access_ns, memory.name))
    return found


def _ends(netlist: Netlist, registers: RegisterFigures) -> list[_End]:
    """Where paths end, and the time that has to be left then."""
    setup_ps = 1000 * registers.setup_ns
    found = [_End(f.d, f.name, f.block, setup_ps) for f in netlist.flip_flops]
    found += [_End(net, memory.name, memory.name, setup_ps) for memory in netlist.memories for net in memory.pins]
    return found + [_End(net, port.name, port.name, 0.0) for port in netlist.outputs for net in port.nets]
