"""Columns, levels, slowest path and dots of netlists, against brute force and against what the families promise."""

from __future__ import annotations

import numpy as np
import pytest

from laxity.circuits import catalogue
from laxity.circuits.cells import default_library
from laxity.circuits.comparison import dots, find_candidates, structure
from laxity.circuits.netlist import Circuit, Gate, Port
from laxity.circuits.timing import delay_ns, gate_delays_ps, logic_depth

NAMES = ["dadda8", "coltrunc8_6", "drum8_4", "mitchell8", "booth8", "loa16_4"]


def circuit_of(name: str) -> Circuit:
    return find_candidates([name])[0].circuit


def reachable(circuit: Circuit, start: int) -> set[int]:
    """Nets that a gate leads to."""
    nets = set(circuit.gates[start].outputs)
    for gate in circuit.gates[start + 1 :]:
        if nets & set(gate.inputs):
            nets |= set(gate.outputs)
    return nets


@pytest.mark.parametrize("name", NAMES)
def test_columns_are_the_lowest_bits_that_are_reached(name):
    circuit = circuit_of(name)
    found = structure(circuit).columns
    for index in range(0, len(circuit.gates), 7):
        nets = reachable(circuit, index)
        bits = [bit for port in circuit.outputs for bit, net in enumerate(port.nets) if net in nets]
        assert found[index] == min(bits, default=-1)


def test_partial_products_stand_in_their_columns():
    """In a Dadda tree, the AND gate of bits i and j cannot change a bit below i + j."""
    circuit = circuit_of("dadda8")
    a, b = (circuit.port(name).nets for name in "ab")
    columns = structure(circuit).columns
    seen = 0
    for gate, column in zip(circuit.gates, columns, strict=True):
        bits = [(a.index(x), b.index(y)) for x in gate.inputs for y in gate.inputs if x in a and y in b]
        if bits and gate.cell == "AND2":
            seen += 1
            assert column == sum(bits[0])
    assert seen == 64


@pytest.mark.parametrize("name", NAMES)
def test_slowest_path_is_connected_and_has_the_delay_of_the_circuit(name):
    circuit, library = circuit_of(name), default_library()
    found = structure(circuit)
    delays = gate_delays_ps(circuit, library)
    total = 0.0
    for before, after in zip((None, *found.path), found.path, strict=False):
        gate = circuit.gates[after]
        assert before is None or set(circuit.gates[before].outputs) & set(gate.inputs)
        total += max(delays[after]) / 1000
    assert found.arrivals_ns[-1] == pytest.approx(delay_ns(circuit, library))
    assert total >= found.arrivals_ns[-1] * (1 - 1e-9)
    assert list(found.arrivals_ns) == sorted(found.arrivals_ns)
    assert found.levels.max() == logic_depth(circuit)


def test_gates_that_change_nothing_have_no_column():
    ports = (Port("a", (2, 3)),), (Port("p", (4,)),)
    circuit = Circuit("unused", *ports, (Gate("AND2", (2, 3), (4,)), Gate("INV", (2,), (5,))), "made up")
    assert structure(circuit).columns.tolist() == [0, -1]
    assert structure(circuit).path == (0,)


def test_a_circuit_of_wires_has_no_path():
    circuit = Circuit("wires", (Port("a", (2,)),), (Port("p", (2,)),), (), "made up")
    found = structure(circuit)
    assert (found.path, found.columns.size) == ((), 0)


@pytest.mark.parametrize("name", ["dadda8", "coltrunc8_6", "drum8_4", "optrunc8_2", "dadda8s"])
def test_dots_are_products_of_powers_of_two(name):
    multiplier = catalogue.get(name)
    found = dots(find_candidates([name])[0].subject)
    for i in range(8):
        for j in range(8):
            product, exact = multiplier.table[1 << i, 1 << j], multiplier.exact_table()[1 << i, 1 << j]
            assert found.results[i, j] == product
            state = "kept" if product == exact else "dropped" if product == 0 else "changed"
            assert found.states[i][j] == state


def test_dropped_columns_and_bits_are_dropped_dots():
    truncated, shortened = (dots(find_candidates([n])[0].subject).states for n in ("coltrunc8_6", "optrunc8_2"))
    assert np.array_equal(np.array(truncated) == "dropped", np.add.outer(range(8), range(8)) < 6)
    assert np.array_equal(np.array(shortened) == "dropped", np.minimum.outer(range(8), range(8)) < 2)


def test_adders_have_no_dots():
    assert dots(find_candidates(["loa16_4"])[0].subject) is None
