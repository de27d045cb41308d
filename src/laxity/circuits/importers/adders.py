"""Half and full adders among the gates of a netlist: recognised by what they compute."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from laxity.circuits.importers.graph import Graph
from laxity.circuits.netlist import ONE, Circuit, Gate
from laxity.circuits.simulate import evaluate
from laxity.circuits.source import Source

_FUNCTION_OF = {
    "INV": "NOT",
    "BUF": "BUF",
    "AND2": "AND",
    "OR2": "OR",
    "NAND2": "NAND",
    "NAND3": "NAND",
    "NOR2": "NOR",
    "NOR3": "NOR",
    "XOR2": "XOR",
    "XNOR2": "XNOR",
    "MUX2": "NMUX",
}
Pair = tuple[int, int]


def adder_pins(circuit: Circuit) -> tuple[int, int] | None:
    """Which outputs of a circuit are the sum and the carry of its two or three single-bit inputs.

    Returns:
        Indices of the outputs (sum, carry); None if it is no half or full adder.
    """
    rows = np.array(list(itertools.product((0, 1), repeat=len(circuit.inputs))), dtype=np.int64)
    values = evaluate(circuit, {port.name: rows[:, i] for i, port in enumerate(circuit.inputs)})
    outputs = [values[port.name] for port in circuit.outputs]
    total = rows.sum(axis=1)
    for order in ((0, 1), (1, 0)):
        if np.array_equal(outputs[order[0]], total & 1) and np.array_equal(outputs[order[1]], total >> 1):
            return order
    return None


def with_adders(circuit: Circuit) -> Circuit:
    """The same function with half and full adders in place of the gates that make them.

    XOR and AND of the same two nets become a half adder; two half adders whose carries meet in an OR or XOR become a
    full adder, unless other gates read the nets between them.
    """
    pairs: dict[str, dict[Pair, int]] = {"XOR2": {}, "AND2": {}, "OR2": {}}
    for gate in circuit.gates:
        if gate.cell in pairs:
            pairs[gate.cell][_pair(*gate.inputs)] = gate.outputs[0]
    halves = {pair: (total, pairs["AND2"][pair]) for pair, total in pairs["XOR2"].items() if pair in pairs["AND2"]}
    used: set[int] = set()
    found = list(_full_adders(circuit, pairs, halves, used))
    found += [Gate("HA", pair, outputs) for pair, outputs in halves.items() if used.isdisjoint(outputs)]
    return _rebuilt(circuit, found) if found else circuit


def _full_adders(
    circuit: Circuit, pairs: dict[str, dict[Pair, int]], halves: dict[Pair, Pair], used: set[int]
) -> Iterator[Gate]:
    """Full adders that share no net; adds the nets that they make to `used`."""
    readers = Counter(net for gate in circuit.gates for net in gate.inputs)
    readers.update(net for port in circuit.outputs for net in port.nets)
    first_of = {outputs[1]: (pair, outputs[0]) for pair, outputs in halves.items()}
    for cell in ("OR2", "XOR2"):
        for (g, k), carry in pairs[cell].items():
            for first, second in ((g, k), (k, g)):
                if first not in first_of or second not in first_of:
                    continue
                (x, y), half = first_of[first]
                (p, q), total = first_of[second]
                inner = {half, first, second}
                if half not in (p, q) or readers[first] != 1 or readers[second] != 1 or readers[half] != 2:
                    continue
                if used & {*inner, total, carry}:
                    continue
                used |= {*inner, total, carry}
                yield Gate("FA", (x, y, q if half == p else p), (total, carry))
                break


def _pair(x: int, y: int) -> Pair:
    return (x, y) if x <= y else (y, x)


def _rebuilt(circuit: Circuit, adders: list[Gate]) -> Circuit:
    """The circuit with some nets driven by adders instead."""
    replaced = {net for gate in adders for net in gate.outputs}
    graph = Graph(Source(circuit.name, "", b""))
    for net in range(ONE + 1, circuit.net_count()):
        graph.signal(f"net {net}", 0)
    for port in circuit.inputs:
        graph.input(port.nets)
    for gate in [*adders, *(g for g in circuit.gates if replaced.isdisjoint(g.outputs))]:
        graph.drive(_FUNCTION_OF.get(gate.cell, gate.cell), gate.outputs, gate.inputs, 0)
    built = graph.circuit(
        circuit.name, [(p.name, p.nets) for p in circuit.inputs], [(p.name, p.nets) for p in circuit.outputs]
    )
    return Circuit(built.name, built.inputs, built.outputs, built.gates, circuit.source)


def adder_note(circuit: Circuit) -> tuple[str, ...]:
    """How many adders a circuit has, in words; nothing for a circuit without any."""
    cells = circuit.cells()
    full, half = cells.get("FA", 0), cells.get("HA", 0)
    return (f"{full} full and {half} half adders are recognised among the gates",) if full or half else ()
