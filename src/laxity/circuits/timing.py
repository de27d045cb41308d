"""Static timing: the latest arrival of a signal at any output."""

from __future__ import annotations

from laxity.circuits.cells import CellLibrary
from laxity.circuits.netlist import Circuit


def gate_delays_ps(circuit: Circuit, library: CellLibrary) -> list[tuple[float, ...]]:
    """Delay of each gate from any input to each of its outputs, delay_ps + resistance * load, in gate order."""
    loads = library.loads_ff(circuit)
    delays = []
    for gate in circuit.gates:
        cell = library.cells[gate.cell]
        pins = zip(cell.delay_ps, cell.resistance_ps_per_ff, gate.outputs, strict=True)
        delays.append(tuple(delay + resistance * loads[net] for delay, resistance, net in pins))
    return delays


def arrivals_ps(circuit: Circuit, library: CellLibrary) -> list[float]:
    """Latest arrival time of each net by net number; inputs and constants arrive at 0."""
    arrival = [0.0] * circuit.net_count()
    for gate, delays in zip(circuit.gates, gate_delays_ps(circuit, library), strict=True):
        start = max(arrival[net] for net in gate.inputs)
        for net, delay in zip(gate.outputs, delays, strict=True):
            arrival[net] = start + delay
    return arrival


def logic_depth(circuit: Circuit) -> int:
    """Largest number of gates on a path from an input to an output."""
    depth = [0] * circuit.net_count()
    for gate in circuit.gates:
        deepest = 1 + max(depth[net] for net in gate.inputs)
        for net in gate.outputs:
            depth[net] = deepest
    return max(depth[net] for port in circuit.outputs for net in port.nets)


def delay_ns(circuit: Circuit, library: CellLibrary) -> float:
    """Longest path from any input to any output, without flip-flop and wire delays."""
    arrival = arrivals_ps(circuit, library)
    return max(arrival[net] for port in circuit.outputs for net in port.nets) / 1000.0
