"""Area, timing and energy of small designs by hand, and of random ones against the plainest simulation."""

import math
import tomllib
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import default_library, get
from laxity.circuits.activity import INPUT_BLOCK, switching_energy
from laxity.circuits.netlist import Gate, Port
from laxity.circuits.registers import REGISTERS_45NM
from laxity.circuits.simulate import pack
from laxity.circuits.sram import default_sram
from laxity.rtl.silicon.area import memory_costs, part_of, parts_of
from laxity.rtl.silicon.energy import batch_energies_pj, by_row, glitch_ratio, toggle_energies_fj
from laxity.rtl.silicon.measure import CycleFigures
from laxity.rtl.silicon.netlist import FlipFlop, Memory, Netlist
from laxity.rtl.silicon.rows import make_rows
from laxity.rtl.silicon.testbench import Phase
from laxity.rtl.silicon.timing import Timing

LIBRARY = default_library()
INV_FF, FA_FF, NAND_FF = 1.55, 10.40, 2.07


def chain():
    """Register a, two inverters, register b; a full adder of both and of an input, whose outputs are ports."""
    gates = (
        Gate("INV", (3,), (5,), "engine.array.row[0].column[0].pe"),
        Gate("INV", (5,), (6,), "engine.array.row[0].column[0].pe"),
        Gate("FA", (3, 4, 2), (7, 8), "post.lane[0].requantise"),
    )
    registers = (FlipFlop(2, 3, "a", "engine.array"), FlipFlop(6, 4, "b", "engine.array.row[0].column[0].pe"))
    return Netlist("chain", (Port("x", (2,)),), (Port("s", (7, 8)),), registers, (), gates)


def test_area_and_leakage_by_hand():
    array, post = parts_of(chain(), LIBRARY, {})
    assert (array.name, array.cells, array.flip_flops) == ("array", 4, 2)
    assert array.area_um2 == pytest.approx(2 * 1.4079 + 2 * 7.9781)
    assert array.leakage_nw == pytest.approx(2 * 1.7 + 2 * 55.0)
    assert (post.name, post.cells, post.flip_flops) == ("post", 1, 0)
    assert post.area_um2 == pytest.approx(8.9167)


def test_timing_by_hand():
    timing = Timing(chain(), LIBRARY, ())
    first = 18.1 + 2.64 * INV_FF
    into_b = 0.11 + 1e-3 * (first + 18.1) + 0.09
    into_ports = 0.11 + 1e-3 * 76.4
    assert timing.delays_ns() == pytest.approx(
        {"engine.array": 0.09, "engine.array.row[0].column[0].pe": into_b, "s": into_ports}
    )
    path = timing.critical_path()
    assert path.delay_ns == pytest.approx(max(into_b, into_ports))
    assert path.names == ("a", "engine.array.row[0].column[0].pe (2 cells)", "b")
    array, _ = parts_of(chain(), LIBRARY, timing.delays_ns())
    assert array.delay_ns == pytest.approx(into_b)


def test_paths_through_memories():
    memory = Memory("m", 64, 8, (2,) * 6, tuple(range(10, 18)), (), None)
    gate = Gate("INV", (10,), (3,), "")
    netlist = Netlist("m", (Port("x", (2,)),), (), (FlipFlop(3, 4, "r", ""),), (memory,), (gate,))
    costs = memory_costs(netlist, LIBRARY)
    assert costs == (default_sram().cost(64, 8),)
    path = Timing(netlist, LIBRARY, costs).critical_path()
    assert path.delay_ns == pytest.approx(costs[0].access_ns + 1e-3 * 18.1 + 0.09)
    assert path.names == ("m", "top (1 cell)", "r")


def test_a_design_without_ends():
    path = Timing(Netlist("n", (Port("x", (2,)),), (), (), (), ()), LIBRARY, ()).critical_path()
    assert (path.delay_ns, path.names) == (0.0, ())


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("", "top"),
        ("engine", "engine"),
        ("engine.array.row[0].column[1].pe", "array"),
        ("engine.arrays", "engine"),
        ("engine.accumulators", "accumulators"),
        ("engine.inputs.accumulators", "accumulators"),
        ("vector_unit[3].lane", "vector"),
        ("post.lane[2].requantise", "post"),
        ("walker", "control"),
        ("controller", "control"),
        ("stream_out", "streams"),
    ],
)
def test_parts(block, part):
    assert part_of(block) == part


def test_registers_are_those_of_the_target():
    text = files("laxity.targets").joinpath("mac-array-45nm.toml").read_text(encoding="utf-8")
    stated = {name: entry["value"] for name, entry in tomllib.loads(text)["registers"].items()}
    assert stated["output_toggle"] == REGISTERS_45NM.output_toggle_fj
    assert stated["input_toggle"] == REGISTERS_45NM.input_toggle_fj
    assert stated["timing"] == pytest.approx(REGISTERS_45NM.clock_to_output_ns + REGISTERS_45NM.setup_ns)


def test_energy_of_a_change_by_hand():
    energies = toggle_energies_fj(chain(), LIBRARY)
    half = 0.5 * 1.1**2
    by_hand = {
        2: half * FA_FF + 6.9,
        3: half * (INV_FF + FA_FF) + 8.6,
        4: half * FA_FF + 8.6,
        5: half * INV_FF + 0.84,
        6: 0.84 + 6.9,
        7: 8.02,
        8: 7.53,
    }
    assert dict(enumerate(energies.tolist())) == pytest.approx({0: 0, 1: 0, **by_hand})


@given(seed=st.integers(0, 2**20))
@settings(max_examples=10, deadline=None)
def test_energy_against_the_plainest_simulation(designs, seed):
    netlist = designs.random_netlist(seed)
    held = {f.q: 0 for f in netlist.flip_flops} | {net: 0 for m in netlist.memories for net in m.data}
    plain = designs.Plain(netlist, held, [[0] * m.words for m in netlist.memories])
    random = np.random.default_rng(seed)
    for _ in range(20):
        plain.settle({net: int(random.integers(2)) for port in netlist.inputs for net in port.nets})
        plain.clock()
    total, cells = 0.0, LIBRARY.cells
    for net, count in plain.toggles.items():
        for gate in netlist.gates:
            total += count * 0.605 * cells[gate.cell].input_capacitance_ff * gate.inputs.count(net)
            if net in gate.outputs:
                total += count * cells[gate.cell].internal_energy_fj[gate.outputs.index(net)]
        total += count * sum(8.6 * (f.q == net) + 6.9 * (f.d == net) for f in netlist.flip_flops)
    rows = make_rows(netlist)
    toggles = np.zeros(rows.count, int)
    for net, count in plain.toggles.items():
        toggles[rows.of_net[net]] = count
    spent = (by_row(toggle_energies_fj(netlist, LIBRARY), rows) * toggles).sum()
    assert spent == pytest.approx(total)


def test_an_idle_design_takes_clock_and_leakage_only():
    netlist = chain()
    rows, costs = make_rows(netlist), (default_sram().cost(64, 8),)
    figures = CycleFigures(
        by_row(toggle_energies_fj(netlist, LIBRARY), rows), rows.gates, 0.052, 0.003, costs, images=4
    )
    glitches = glitch_ratio(np.zeros(3), np.zeros(3))
    idle = Phase("idle", "pool", 10, np.zeros(rows.count, int), np.zeros(1, int), np.zeros(1, int))
    step = figures.step(idle, glitches)
    assert (step.logic_pj, step.logic_glitch_pj, step.memory_pj) == (0, 0, 0)
    assert step.energy_pj == pytest.approx(10 * 0.052 + 10 * 0.003)
    toggles = np.zeros(rows.count, int)
    toggles[rows.of_net[[3, 5]]] = 8, 4
    busy = Phase("busy", "pool", 10, toggles, np.array([12]), np.array([4]))
    step = figures.step(busy, glitch_ratio(np.array([1.0, 2.0]), np.array([1.5, 3.0])))
    held, gates = 2e-3 * (0.605 * (INV_FF + FA_FF) + 8.6), 1e-3 * (0.605 * INV_FF + 0.84)
    assert step.logic_pj == pytest.approx(held + gates)
    assert step.logic_glitch_pj == pytest.approx(held + 1.5 * gates)
    assert step.logic_glitch_low_pj == pytest.approx(step.logic_glitch_high_pj)
    assert step.memory_pj == pytest.approx(3 * costs[0].read_pj + costs[0].write_pj)


@pytest.mark.parametrize("delays", ["zero", "inertial"])
def test_transitions_like_those_of_a_circuit(delays):
    circuit, count = get("dadda8").circuit, 192
    ports = {port.name: port for port in circuit.inputs}
    registers = tuple(FlipFlop(0, net, f"r{net}", "") for port in circuit.inputs for net in port.nets)
    netlist = Netlist("n", (), circuit.outputs, registers, (), circuit.gates)
    random = np.random.default_rng(2)
    pairs = {name: random.integers(0, 256, (count, 2)) for name in ports}
    before, after = (np.concatenate([pack(pairs[name][:, k], 8) for name in ports]) for k in (0, 1))
    energies = toggle_energies_fj(netlist, LIBRARY)
    batches = batch_energies_pj(netlist, LIBRARY, energies, before, after, delays)
    assert batches.shape == (3,)
    found = switching_energy(circuit, pairs, LIBRARY, delays)
    assert batches.sum() / count == pytest.approx(found.energy_pj - found.block_pj(INPUT_BLOCK))
    first = switching_energy(circuit, {name: v[:64] for name, v in pairs.items()}, LIBRARY, delays)
    assert batches[0] / 64 == pytest.approx(first.energy_pj - first.block_pj(INPUT_BLOCK))


def test_ratio_of_proportional_energies_is_certain():
    settled = np.array([3.0, 1.0, 2.0, 5.0])
    found = glitch_ratio(settled, 1.3 * settled)
    assert (found.ratio, found.low, found.high) == pytest.approx((1.3, 1.3, 1.3))


def test_the_interval_holds_the_ratio_as_often_as_it_says():
    random, hits, runs = np.random.default_rng(0), 0, 2000
    for _ in range(runs):
        settled = random.uniform(5, 15, 8)
        found = glitch_ratio(settled, 1.4 * settled + random.normal(0, 1, 8))
        hits += found.low <= 1.4 <= found.high
    assert 0.93 < hits / runs < 0.97


def test_one_batch_tells_no_interval():
    found = glitch_ratio(np.array([2.0]), np.array([3.0]))
    assert (found.ratio, found.high) == (1.5, math.inf)


def test_cells_of_a_mapped_accelerator_add_up(mapped):
    parts = parts_of(mapped.netlist, LIBRARY, {})
    cells = Counter(gate.cell for gate in mapped.netlist.gates)
    area = sum(LIBRARY.cells[cell].area_um2 * n for cell, n in cells.items()) + 7.9781 * len(mapped.netlist.flip_flops)
    assert sum(part.area_um2 for part in parts) == pytest.approx(area)
    assert sum(part.cells for part in parts) == len(mapped.netlist.gates) + len(mapped.netlist.flip_flops)
    assert {part.name for part in parts} >= {"array", "accumulators", "post", "vector", "control", "streams", "top"}
