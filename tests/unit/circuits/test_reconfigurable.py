"""Modes of reconfigurable multipliers: the same gates with other levels on their mode lines."""

import itertools
import re

import numpy as np
import pytest

from laxity.circuits import MULTIPLIERS, catalogue, circuit, default_library, evaluate, get
from laxity.circuits.activity import switching_energy, toggle_counts
from laxity.circuits.builder import CircuitBuilder
from laxity.circuits.importers import load
from laxity.circuits.kept import keep, read_kept
from laxity.circuits.netlist import Circuit, Gate, Port, Tie
from laxity.circuits.synthesis import map_circuit, synthesise_fpga
from laxity.circuits.synthesis.operands import uniform_streams
from laxity.circuits.timing import delay_ns
from laxity.circuits.verilog import to_verilog
from laxity.circuits.wide import ComposedMultiplier
from laxity.core.errors import CircuitError, ToolError
from laxity.eda.store import Store
from laxity.eda.tools import find
from laxity.testing import check_multiplier

GATED = [f"gated8_{ka}_{kb}" for ka, kb in itertools.product(range(5), repeat=2)]
COLUMNS = [f"gatedcol8_{k}" for k in range(9)]


@pytest.fixture
def yosys():
    try:
        return find("yosys")
    except ToolError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", GATED)
def test_gated_operands_lose_their_low_bits(name):
    ka, kb = (int(k) for k in name.split("_")[1:])
    a, b = np.indices((256, 256))
    assert np.array_equal(get(name).table, (a // 2**ka * 2**ka) * (b // 2**kb * 2**kb))


@pytest.mark.parametrize("k", range(9))
def test_gated_columns_are_truncated_columns(k):
    assert np.array_equal(get(f"gatedcol8_{k}").table, get(f"coltrunc8_{k}").table)
    assert get(f"gatedcol8_{k}") == get(f"coltrunc8_{k}")


@pytest.mark.parametrize("name", ["gated8_0_0", "gatedcol8_0", "gated8s_0_0", "gatedcol8s_0"])
def test_the_first_mode_is_exact(name):
    found = get(name)
    assert np.array_equal(found.table, found.exact_table())
    metrics = found.metrics()
    assert (metrics.ep, metrics.med, metrics.wce) == (0, 0, 0)


def test_error_metrics_of_a_mode():
    """Means over uniform operands: of the product, less (E[a] - 1.5)(E[b] - 1.5)."""
    assert get("gated8_2_2").metrics().med == pytest.approx(127.5**2 - 126**2, rel=1e-12)


@pytest.mark.parametrize("names", [GATED, COLUMNS])
def test_modes_are_the_same_gates(names):
    circuits = [circuit(name) for name in names]
    assert len({c.untied().key for c in circuits}) == 1
    assert len({c.key for c in circuits}) == len(names)
    library = default_library()
    assert len({(library.area_um2(c), library.leakage_nw(c), delay_ns(c, library)) for c in circuits}) == 1
    assert {catalogue.unit(name) for name in names} == {names[0]}
    assert catalogue.unit("drum8_4") == "drum8_4"


def test_the_exact_gates_are_all_there():
    """AND gates for 8 operand bits; one for each of the 36 partial products of the low columns, besides Dadda's."""
    extra = {
        name: {cell: n - circuit("dadda8").cells().get(cell, 0) for cell, n in circuit(name).cells().items()}
        for name in ("gated8_4_4", "gatedcol8_8")
    }
    assert {cell: n for cell, n in extra["gated8_4_4"].items() if n} == {"AND2": 8}
    assert {cell: n for cell, n in extra["gatedcol8_8"].items() if n} == {"AND2": 36}


@pytest.mark.parametrize("name", ["gated8_4_4", "gated8_0_3", "gatedcol8_6"])
@pytest.mark.parametrize("delays", ["inertial", "zero"])
def test_what_is_gated_does_not_toggle(name, delays):
    """Outputs of closed gates and the lines rest; the product toggles at least as often as its settled values."""
    netlist, library = circuit(name), default_library()
    streams = uniform_streams(netlist, 640)
    counts = toggle_counts(netlist, streams, library, delays)
    tied = dict(netlist.tied_nets())
    closed = [g for g in netlist.gates if any(tied.get(net) is False for net in g.inputs)]
    assert closed
    assert all(counts[net] == 0 for g in closed for net in g.outputs)
    assert all(counts[net] == 0 for net in tied)
    settled = evaluate(netlist, streams)["p"]
    flips = np.bitwise_count(settled[:, 1:] ^ settled[:, :-1]).sum()
    assert counts[list(netlist.port("p").nets)].sum() >= flips


def test_energy_falls_with_every_bit_that_is_gated():
    library = default_library()

    def energy(name):
        return switching_energy(circuit(name), uniform_streams(circuit(name), 2048), library).energy_pj

    for names in ([f"gated8_{k}_{k}" for k in range(5)], COLUMNS[1:]):
        energies = [energy(name) for name in names]
        assert energies == sorted(energies, reverse=True)
        assert energies[-1] < 0.75 * energies[0]


def test_units_are_found_by_name_and_not_listed():
    """Alone, a mode costs more than a circuit that cannot do anything else."""
    assert not [n for w in (4, 8) for n in catalogue.names(w) if n.startswith("gated")]
    facts = catalogue.describe("gated8_2_2")
    assert (facts["family"], facts["ep"] > 0) == ("gated", True)
    assert facts["area_um2"] == catalogue.describe("gated8_0_0")["area_um2"] > catalogue.describe("dadda8")["area_um2"]


@pytest.mark.parametrize("name", ["gated8_5_0", "gated8_0_5", "gatedcol8_9", "gated8_1"])
def test_modes_that_do_not_exist_are_refused(name):
    with pytest.raises(CircuitError, match=r"out of range; use 0\.\.|takes ka, kb"):
        circuit(name)


def test_verilog_states_the_mode(tmp_path):
    """Read back it is the same function; the mode is a wire, so that another one is one number away."""
    path = tmp_path / "unit.v"
    path.write_text(to_verilog(circuit("gated6_2_1")))
    assert "wire [5:0] mode = 6'b110100;" in path.read_text()
    assert np.array_equal(load(path, compare=False).multiplier.table, get("gated6_2_1").table)
    other = re.sub("6'b[01]+", "6'b111111", path.read_text())
    path.write_text(other)
    assert np.array_equal(load(path, compare=False).multiplier.table, get("dadda6").table)


def test_ties_survive_being_kept(tmp_path):
    keep(get("gated4_1_2"), tmp_path)
    found, _ = read_kept(tmp_path, "gated4_1_2")
    assert found.circuit == get("gated4_1_2").circuit


def test_modes_can_be_composed_and_stay_whole():
    a, b = np.random.default_rng(0).integers(0, 256, (2, 500))
    whole = ComposedMultiplier(get("gated4_0_0")).circuit(2, 2)
    for ka, kb in ((0, 0), (1, 2)):
        composed = ComposedMultiplier(get(f"gated4_{ka}_{kb}")).circuit(2, 2)
        assert composed.untied().key == whole.untied().key
        wanted = sum(
            get(f"gated4_{ka}_{kb}").table[a >> 4 * i & 15, b >> 4 * j & 15] << 4 * (i + j)
            for i in (0, 1)
            for j in (0, 1)
        )
        assert np.array_equal(evaluate(composed, {"a": a, "b": b})["p"], wanted)


def test_instances_share_a_tied_bus_of_equal_name_and_value_only():
    builder = CircuitBuilder("both", "a test")
    a, b = builder.input("a", 4), builder.input("b", 4)
    ports = {"a": a, "b": b}
    first, again, other = (
        builder.instantiate(circuit(name), ports)["p"] for name in ("gated4_1_1", "gated4_1_1", "gated4_2_0")
    )
    builder.output("p", [*first, *again, *other])
    both = builder.build()
    assert sorted(both.tie_values().items()) == [("mode", 0b1010), ("mode_", 0b1100)]
    assert first == again
    x, y = (operand.ravel() for operand in np.indices((16, 16)))
    p = evaluate(both, {"a": x, "b": y})["p"]
    assert np.array_equal(p & 255, get("gated4_1_1").table.ravel())
    assert np.array_equal(p >> 16, get("gated4_2_0").table.ravel())


def test_ties_are_checked():
    unit = circuit("gated4_0_0").untied()
    assert [port.name for port in unit.inputs] == ["a", "b", "mode"]
    assert unit.tied("again", {"mode": 15}).key == circuit("gated4_0_0").key
    with pytest.raises(CircuitError, match=r"'mode' of 'x' is tied to 16; use 0\.\.15"):
        unit.tied("x", {"mode": 16})
    with pytest.raises(CircuitError, match="has no input 'c'; its inputs are a, b, mode"):
        unit.tied("x", {"c": 0})
    gates = (Gate("AND2", (2, 3), (4,)),)
    with pytest.raises(CircuitError, match="drives net 2 again"):
        Circuit("x", (Port("a", (2, 3)),), (Port("p", (4,)),), gates, "", (Tie(Port("m", (2,)), 0),))


def test_every_unit_promises_an_exact_first_mode():
    units = [f for f in map(MULTIPLIERS.__getitem__, MULTIPLIERS.names()) if f.unit]
    assert {f.name for f in units} >= {"gated", "gatedcol"}
    for family in units:
        exact = get(family.circuit_name(4, [p.low(4) for p in family.parameters]))
        assert np.array_equal(exact.table, exact.exact_table())


@pytest.mark.usefixtures("yosys")
def test_mapping_keeps_all_gates_of_the_unit(tmp_path):
    library, store = default_library(), Store(tmp_path)
    mapped = {n: map_circuit(circuit(n), library, store=store) for n in ("gated4_0_0", "gated4_1_2", "gated4_2_2")}
    assert len({m.circuit.untied().key for m in mapped.values()}) == 1
    for name, found in mapped.items():
        assert found.circuit.name == name
        a, b = (x.ravel() for x in np.indices((16, 16)))
        assert np.array_equal(evaluate(found.circuit, {"a": a, "b": b})["p"], get(name).table.ravel())
    assert library.area_um2(mapped["gated4_2_2"].circuit) > library.area_um2(circuit("optrunc4_2"))


@pytest.mark.usefixtures("yosys")
def test_tables_of_an_fpga_are_those_of_the_unit(tmp_path):
    store = Store(tmp_path)
    found = [synthesise_fpga(circuit(n), "xilinx7", store=store) for n in ("gated4_0_0", "gated4_1_1", "gated4_2_2")]
    assert len({f.lut for f in found}) == 1
    indices = [f.energy_index["uniform"] for f in found]
    assert indices == sorted(indices, reverse=True)
    assert indices[-1] < 0.7 * indices[0]


@pytest.mark.parametrize("name", ["gated8_2_3", "gatedcol8_5", "gated4s_1_0", "gatedcol4s_3", "gated2_1_1"])
def test_modes_pass_the_checks_of_multipliers(name):
    check_multiplier(name)
