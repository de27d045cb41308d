"""Switching activity against brute force, a scalar event simulator and hand-made circuits."""

import heapq

import numpy as np
import pytest

from laxity.circuits import (
    Circuit,
    Gate,
    Port,
    circuit,
    default_library,
    evaluate,
    processing_element,
    switching_energy,
)
from laxity.circuits.activity import STEP_PS, segment_energies, toggle_counts
from laxity.circuits.timing import gate_delays_ps, logic_depth
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream

LIBRARY = default_library()


def random_streams(netlist, segments, length, label):
    rng = stream(7, "activity", label)
    return {port.name: rng.integers(0, 1 << port.width, (segments, length)) for port in netlist.inputs}


def observed(netlist):
    """The same gates with every net visible at an output port."""
    nets = [net for gate in netlist.gates for net in gate.outputs]
    return Circuit("observed", netlist.inputs, tuple(Port(f"net{n}", (n,)) for n in nets), netlist.gates, "test")


@pytest.mark.parametrize("name", ["array8", "drum8_4", "roba5s"])
def test_zero_delay_counts_equal_brute_force(name):
    netlist = circuit(name)
    streams = random_streams(netlist, 5, 33, name)
    counts = toggle_counts(netlist, streams, LIBRARY, "zero")
    for port, values in evaluate(observed(netlist), streams).items():
        assert counts[int(port[3:])] == np.count_nonzero(np.diff(values, axis=1)), port
    for port in netlist.inputs:
        for bit, net in enumerate(port.nets):
            assert counts[net] == np.count_nonzero(np.diff((streams[port.name] >> bit) & 1, axis=1))


CELL = {
    "INV": lambda a: (1 - a,),
    "AND2": lambda a, b: (a & b,),
    "OR2": lambda a, b: (a | b,),
    "NAND2": lambda a, b: (1 - (a & b),),
    "NAND3": lambda a, b, c: (1 - (a & b & c),),
    "NOR2": lambda a, b: (1 - (a | b),),
    "NOR3": lambda a, b, c: (1 - (a | b | c),),
    "XOR2": lambda a, b: (a ^ b,),
    "XNOR2": lambda a, b: (1 - (a ^ b),),
    "AOI21": lambda a, b, c: (1 - (a & b | c),),
    "AOI22": lambda a, b, c, d: (1 - (a & b | c & d),),
    "OAI21": lambda a, b, c: (1 - ((a | b) & c),),
    "MUX2": lambda s, x, y: (1 - (y if s else x),),
    "HA": lambda a, b: ((a + b) & 1, (a + b) >> 1),
    "FA": lambda a, b, c: ((a + b + c) & 1, (a + b + c) >> 1),
}


def event_simulation(netlist, old, new):
    """Toggles of each net in one transition: a textbook event queue with cancellation of pending events."""
    delays = [[max(1, round(d / STEP_PS)) for d in pins] for pins in gate_delays_ps(netlist, LIBRARY)]
    value = {0: 0, 1: 1}
    for port in netlist.inputs:
        value |= {net: (old[port.name] >> bit) & 1 for bit, net in enumerate(port.nets)}
    for gate in netlist.gates:
        value |= dict(zip(gate.outputs, CELL[gate.cell](*(value[n] for n in gate.inputs)), strict=True))
    toggles = dict.fromkeys(value, 0)
    queue, pending, number = [], {}, 0
    for port in netlist.inputs:
        for bit, net in enumerate(port.nets):
            heapq.heappush(queue, (0, number, net, (new[port.name] >> bit) & 1))
            pending[net] = number
            number += 1
    while queue:
        now, changed = queue[0][0], set()
        while queue and queue[0][0] == now:
            _, ticket, net, bit = heapq.heappop(queue)
            if pending.get(net) == ticket:
                del pending[net]
                if value[net] != bit:
                    value[net] = bit
                    toggles[net] += 1
                    changed.add(net)
        for gate, pins in zip(netlist.gates, delays, strict=True):
            if changed.isdisjoint(gate.inputs):
                continue
            for net, bit, delay in zip(
                gate.outputs, CELL[gate.cell](*(value[n] for n in gate.inputs)), pins, strict=True
            ):
                if net in pending and bit == value[net]:
                    del pending[net]
                elif net not in pending and bit != value[net]:
                    heapq.heappush(queue, (now + delay, number, net, bit))
                    pending[net] = number
                    number += 1
    return toggles


@pytest.mark.parametrize("name", ["array4", "drum6_3", "mitchell4s", "roba4"])
def test_inertial_counts_equal_a_scalar_event_simulator(name):
    netlist = circuit(name)
    streams = random_streams(netlist, 2, 61, name)
    counts = toggle_counts(netlist, streams, LIBRARY, "inertial")
    expected = np.zeros_like(counts)
    for segment in range(2):
        for step in range(60):
            old = {port: int(values[segment, step]) for port, values in streams.items()}
            new = {port: int(values[segment, step + 1]) for port, values in streams.items()}
            for net, toggles in event_simulation(netlist, old, new).items():
                expected[net] += toggles
    np.testing.assert_array_equal(counts, expected)


def hazard(inverters):
    """y = a and not a, through a chain of inverters: a static hazard at every rising edge of a."""
    chain = tuple(Gate("INV", (2 + i,), (3 + i,)) for i in range(inverters))
    last = Gate("AND2", (2, 2 + inverters), (3 + inverters,))
    return Circuit("hazard", (Port("a", (2,)),), (Port("y", (3 + inverters,)),), (*chain, last), "test")


def test_short_pulses_vanish_and_long_pulses_count():
    edges = {"a": np.array([[0, 1, 0, 1, 0]])}
    short, long = hazard(1), hazard(3)
    assert gate_delays_ps(short, LIBRARY)[0][0] < gate_delays_ps(short, LIBRARY)[1][0]
    assert toggle_counts(short, edges, LIBRARY)[4] == 0
    assert toggle_counts(long, edges, LIBRARY)[6] == 4
    assert toggle_counts(long, edges, LIBRARY, "zero")[6] == 0


def test_constant_streams_cost_nothing():
    netlist = circuit("dadda8")
    streams = {"a": np.full((3, 9), 200), "b": np.full((3, 9), 77)}
    for delays in ("zero", "inertial"):
        assert switching_energy(netlist, streams, LIBRARY, delays).energy_pj == 0


def test_steps_between_segments_are_no_transitions():
    netlist = circuit("dadda4")
    values = np.repeat(np.arange(16)[:, None], 5, axis=1)
    assert switching_energy(netlist, {"a": values, "b": values}, LIBRARY).energy_pj == 0


def test_energy_of_one_toggle_by_hand():
    netlist = Circuit(
        "pair", (Port("a", (2,)),), (Port("y", (4,)),), (Gate("INV", (2,), (3,)), Gate("INV", (3,), (4,))), "t"
    )
    result = switching_energy(netlist, {"a": np.array([[0, 1, 0]])}, LIBRARY)
    inverter = LIBRARY.cells["INV"]
    charge = 0.5 * 1.1**2 * inverter.input_capacitance_ff
    assert result.transitions == 2
    assert result.internal_pj == pytest.approx(2e-3 * inverter.internal_energy_fj[0])
    assert result.net_pj == pytest.approx(2e-3 * charge)
    assert result.block_pj("inputs") == pytest.approx(1e-3 * charge)


@pytest.mark.parametrize(("name", "zero_pj", "inertial_pj"), [("array8", 0.829, 1.622), ("dadda8", 0.824, 0.915)])
def test_exact_multipliers_near_the_liberty_based_analysis(name, zero_pj, inertial_pj):
    """The same netlists analysed with the full Liberty tables of gscl45nm gave these energies at uniform operands."""
    netlist = circuit(name)
    streams = random_streams(netlist, 64, 129, "uniform")
    zero = switching_energy(netlist, streams, LIBRARY, "zero").energy_pj
    inertial = switching_energy(netlist, streams, LIBRARY).energy_pj
    assert zero == pytest.approx(zero_pj, rel=0.04)
    assert inertial == pytest.approx(inertial_pj, rel=0.08)
    assert inertial >= zero


def test_many_transitions_give_the_sum_of_their_parts():
    netlist = circuit("coltrunc8_6")
    streams = random_streams(netlist, 150, 65, "chunks")
    whole = toggle_counts(netlist, streams, LIBRARY)
    parts = [toggle_counts(netlist, {k: v[i : i + 50] for k, v in streams.items()}, LIBRARY) for i in (0, 50, 100)]
    np.testing.assert_array_equal(whole, sum(parts))


def test_blocks_of_a_processing_element_add_up():
    element = processing_element(circuit("dadda8"), 24)
    streams = random_streams(element.circuit, 8, 65, "pe")
    result = switching_energy(element.circuit, streams, LIBRARY)
    assert [part.block for part in result.blocks] == ["accumulator", "inputs", "multiplier", "sign"]
    assert sum(part.energy_pj for part in result.blocks) == pytest.approx(result.energy_pj)
    assert all(part.energy_pj > 0 for part in result.blocks)


@pytest.mark.parametrize(
    ("streams", "delays", "message"),
    [
        ({"a": np.zeros((1, 4), int)}, "zero", "takes ports"),
        ({"a": np.zeros((1, 4), int), "b": np.zeros((1, 5), int)}, "zero", "different shapes"),
        ({"a": np.zeros((1, 1), int), "b": np.zeros((1, 1), int)}, "zero", "at least two steps"),
        ({"a": np.full((1, 4), 256), "b": np.zeros((1, 4), int)}, "zero", r"takes 0\.\.255"),
        ({"a": np.zeros((1, 4)), "b": np.zeros((1, 4), int)}, "zero", "integers"),
        ({"a": np.zeros((1, 4), int), "b": np.zeros((1, 4), int)}, "unit", "delay model"),
    ],
)
def test_bad_streams_are_refused(streams, delays, message):
    with pytest.raises(CircuitError, match=message):
        switching_energy(circuit("dadda8"), streams, LIBRARY, delays)


@pytest.mark.parametrize("delays", ["zero", "inertial"])
def test_energy_of_each_segment(delays):
    """Told apart by word of 64 transitions, the energies are those of the segments one by one."""
    netlist = circuit("drum6_3")
    rng = stream(6, "segments")
    streams = {name: rng.integers(0, 64, (5, 129)) // [[1], [1], [64], [4], [2]] for name in ("a", "b")}
    found = segment_energies(netlist, streams, default_library(), delays)
    for segment in range(5):
        alone = {name: values[segment : segment + 1] for name, values in streams.items()}
        wanted = switching_energy(netlist, alone, default_library(), delays).energy_pj
        assert found[segment] == pytest.approx(wanted, rel=1e-12)
    assert found[2] == 0
    assert found.mean() == pytest.approx(switching_energy(netlist, streams, default_library(), delays).energy_pj)


def test_segments_must_fill_words():
    with pytest.raises(CircuitError, match="multiple of 64"):
        segment_energies(circuit("drum6_3"), {p: np.zeros((2, 64), int) for p in "ab"}, default_library())


def test_logic_depth_counts_gates_on_the_longest_path():
    assert logic_depth(circuit("optrunc2_1")) == 1
    from laxity.circuits import adder_catalogue

    depths = [logic_depth(adder_catalogue.circuit(f"ripple{bits}")) for bits in (4, 8, 9)]
    assert depths[2] - depths[1] == 1
    assert depths[1] - depths[0] == 4
