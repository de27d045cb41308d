"""How a netlist is built, as far as it can be drawn for any netlist: columns, levels, the slowest path, single bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.error_sums import IntArray
from laxity.circuits.netlist import Circuit
from laxity.circuits.subject import Subject
from laxity.circuits.timing import arrivals_ps

Dot = Literal["kept", "dropped", "changed"]


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """Where the gates of a netlist stand, in gate order.

    Attributes:
        columns: int64 (gates,), lowest bit of an output that a gate can influence; -1 for gates that influence none. In
            an array or tree of partial products this is the column of the sum.
        levels: int64 (gates,), gates on the longest path from an input up to this one.
        path: gates of the slowest path, first to last; empty where outputs are inputs or constants.
        arrivals_ns: for each gate of the path, when its output on the path settles.
    """

    columns: IntArray
    levels: IntArray
    path: tuple[int, ...]
    arrivals_ns: tuple[float, ...]


def structure(circuit: Circuit, library: CellLibrary | None = None) -> Structure:
    """Columns, levels and slowest path of a netlist.

    Args:
        circuit: the netlist.
        library: cells for the timing; the built-in 45 nm table if not given.
    """
    path, arrivals_ns = _slowest(circuit, library or default_library())
    return Structure(_columns(circuit), _levels(circuit), path, arrivals_ns)


def _columns(circuit: Circuit) -> IntArray:
    beyond = 1 + max(port.width for port in circuit.outputs)
    reached = [beyond] * circuit.net_count()
    for port in circuit.outputs:
        for bit, net in enumerate(port.nets):
            reached[net] = min(reached[net], bit)
    found = np.full(len(circuit.gates), -1, dtype=np.int64)
    for index in range(len(circuit.gates) - 1, -1, -1):
        gate = circuit.gates[index]
        lowest = min(reached[net] for net in gate.outputs)
        if lowest < beyond:
            found[index] = lowest
        for net in gate.inputs:
            reached[net] = min(reached[net], lowest)
    return found


def _levels(circuit: Circuit) -> IntArray:
    depth = [0] * circuit.net_count()
    found = np.zeros(len(circuit.gates), dtype=np.int64)
    for index, gate in enumerate(circuit.gates):
        found[index] = 1 + max(depth[net] for net in gate.inputs)
        for net in gate.outputs:
            depth[net] = int(found[index])
    return found


def _slowest(circuit: Circuit, library: CellLibrary) -> tuple[tuple[int, ...], tuple[float, ...]]:
    arrival = arrivals_ps(circuit, library)
    driver = {net: index for index, gate in enumerate(circuit.gates) for net in gate.outputs}
    net = max((net for port in circuit.outputs for net in port.nets), key=arrival.__getitem__)
    path, times = [], []
    while net in driver:
        path.append(driver[net])
        times.append(arrival[net] / 1000.0)
        net = max(circuit.gates[driver[net]].inputs, key=arrival.__getitem__)
    return tuple(reversed(path)), tuple(reversed(times))


@dataclass(frozen=True, slots=True, eq=False)
class Dots:
    """What a multiplier makes of operands with a single bit each: its dot diagram, whatever it is built of.

    Attributes:
        states: (a_bits, b_bits), ``kept`` where the product of bit i of a and bit j of b is right, ``dropped`` where it
            is 0 instead, else ``changed``.
        results, exact: int64 (a_bits, b_bits), the products.
    """

    states: tuple[tuple[Dot, ...], ...]
    results: IntArray
    exact: IntArray


def dots(subject: Subject) -> Dots | None:
    """The dot diagram of a multiplier; None for adders."""
    if subject.operation != "multiply":
        return None
    a = np.repeat(np.int64(1) << np.arange(subject.a_bits, dtype=np.int64), subject.b_bits)
    b = np.tile(np.int64(1) << np.arange(subject.b_bits, dtype=np.int64), subject.a_bits)
    shape = subject.a_bits, subject.b_bits
    results, exact = subject.results(a, b).reshape(shape), subject.exact(a, b).reshape(shape)
    states = tuple(
        tuple(_state(int(r), int(e)) for r, e in zip(*rows, strict=True)) for rows in zip(results, exact, strict=True)
    )
    return Dots(states, results, exact)


def _state(result: int, exact: int) -> Dot:
    if result == exact:
        return "kept"
    return "dropped" if result == 0 else "changed"
