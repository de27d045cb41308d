"""Figures without a tool against closed forms, and with Yosys against the netlist and the study's measurements."""

import numpy as np
import pytest

from laxity.circuits import Circuit, CircuitBuilder, Gate, Port, circuit, default_library, evaluate, product_table
from laxity.circuits.adder_catalogue import circuit as adder
from laxity.circuits.synthesis import characterise, map_circuit
from laxity.core.errors import CircuitError, ToolError
from laxity.eda.store import Store

TABLE = default_library().cells


def one_gate():
    builder = CircuitBuilder("one", "a test")
    a, b = builder.input("a", 1), builder.input("b", 1)
    builder.output("p", [builder.and_(a[0], b[0])])
    return builder.build()


def inverters(count):
    gates = tuple(Gate("INV", (net,), (net + 1,)) for net in range(2, 2 + count))
    return Circuit("chain", (Port("a", (2,)),), (Port("p", (2 + count,)),), gates, "a test")


def test_one_gate_in_closed_form():
    found = characterise(one_gate())
    cell = TABLE["AND2"]
    assert found.area_um2 == cell.area_um2
    assert found.leakage_nw == cell.leakage_nw
    assert found.delay_ns == pytest.approx(cell.delay_ps[0] / 1000)
    inputs = 2 * 0.5 * 0.5 * 1.1**2 * cell.input_capacitance_ff
    expected = (inputs + 2 * 0.25 * 0.75 * cell.internal_energy_fj[0]) / 1000
    for delays in ("zero", "inertial"):
        assert found.energy_pj(delays) == pytest.approx(expected, rel=0.02)
    assert (found.flow, found.tool, found.proof) == ("netlist", "", "the netlist itself")


def test_a_chain_in_closed_form():
    count, cell = 9, TABLE["INV"]
    found = characterise(inverters(count))
    loaded = cell.delay_ps[0] + cell.resistance_ps_per_ff[0] * cell.input_capacitance_ff
    assert found.delay_ns == pytest.approx(((count - 1) * loaded + cell.delay_ps[0]) / 1000)
    net = 0.5 * 1.1**2 * cell.input_capacitance_ff
    assert found.energy_pj("zero") == pytest.approx(0.5 * count * (net + cell.internal_energy_fj[0]) / 1000, rel=0.02)


@pytest.mark.parametrize("n", [4, 8, 12])
def test_an_array_multiplier_in_closed_form(n):
    found = characterise(circuit(f"array{n}"), delays=("zero",))
    assert found.cells == {"AND2": n * n, "FA": n * (n - 2), "HA": n}
    area = n * n * TABLE["AND2"].area_um2 + n * (n - 2) * TABLE["FA"].area_um2 + n * TABLE["HA"].area_um2
    assert found.area_um2 == pytest.approx(area)


def test_operands_that_rest_cost_nothing_and_are_named():
    rest = {"a": np.full((1, 10), 7), "b": np.full((1, 10), 9)}
    found = characterise(circuit("dadda8"), operands={"rest": rest}, delays=("zero",))
    assert found.energy_pj("zero", "rest") == 0
    assert found.energy_pj("zero") > 0.5
    with pytest.raises(CircuitError, match="no energy of 'dadda8' for rest/inertial; known: uniform/zero, rest/zero"):
        found.energy_pj("inertial", "rest")
    with pytest.raises(CircuitError, match="'uniform' is built in"):
        characterise(circuit("dadda8"), operands={"uniform": rest})


def test_bad_requests(monkeypatch, tmp_path):
    with pytest.raises(CircuitError, match="unknown flow 'vivado'; use one of netlist, yosys"):
        characterise(circuit("dadda4"), flow="vivado")
    with pytest.raises(CircuitError, match="unknown delay model 'slow'"):
        characterise(circuit("dadda4"), delays=("slow",))
    monkeypatch.setenv("LAXITY_YOSYS", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="no program that can be started") as caught:
        characterise(circuit("dadda4"), flow="yosys")
    assert caught.value.exit_code == 4


def test_json_holds_the_origin_of_every_figure():
    document = characterise(one_gate(), delays=("zero",)).to_json()
    assert document["energies"][0].keys() == {"operands", "delays", "energy_pj", "transitions"}
    assert {"library", "library_source", "flow", "tool", "proof", "key"} <= document.keys()


STUDY = {
    "array8": (616, 1.89, 0.829, 1.622),
    "dadda8": (616, 1.23, 0.824, 0.915),
    "coltrunc8_4": (539, 1.21, 0.721, 0.816),
    "coltrunc8_6": (428, 1.04, 0.570, 0.637),
    "coltrunc8_8": (272, 0.87, 0.352, 0.397),
    "bam8_5_0": (491, 1.55, 0.658, 1.326),
    "bam8_6_2": (367, 1.24, 0.486, 0.842),
}
"""Area um2, delay ns, zero-delay and inertial pJ with the full Liberty file; the table reduces it to straight lines."""


@pytest.mark.parametrize("name", STUDY)
def test_the_studys_figures_with_yosys(yosys, name):
    found = characterise(circuit(name), flow="yosys")
    area, delay, zero, inertial = STUDY[name]
    assert found.area_um2 == pytest.approx(area, abs=0.6)
    assert found.delay_ns == pytest.approx(delay, rel=0.06)
    assert found.energy_pj("zero") == pytest.approx(zero, rel=0.04)
    assert found.energy_pj("inertial") == pytest.approx(inertial, rel=0.065)
    assert found.proof == "equal on all 65536 inputs"
    assert found.tool == yosys.identity


def test_mapping_never_makes_a_circuit_larger(yosys):
    """Compressors that their generator lays out in adders come out of mapping by a fifth larger."""
    original, library = circuit("venka8_8"), default_library()
    mapped = map_circuit(original, library)
    assert (mapped.kept, mapped.circuit) == ("given", original)
    assert mapped.area_um2 > 1.1 * library.area_um2(original)
    assert map_circuit(original, library) == mapped
    plain, found = characterise(original), characterise(original, flow="yosys")
    assert (found.measured, found.flow, found.proof) == ("given", "yosys", "equal on all 65536 inputs")
    assert (found.area_um2, found.energies) == (plain.area_um2, plain.energies)
    assert plain.measured == "given"


def test_the_mapped_netlist_is_kept_where_it_is_no_larger(yosys):
    mapped = map_circuit(circuit("drum8_4"), default_library())
    assert mapped.kept == "mapped"
    assert mapped.area_um2 == default_library().area_um2(mapped.circuit)
    assert characterise(circuit("drum8_4"), flow="yosys").measured == "mapped"


@pytest.mark.parametrize("name", ["udm8", "drum8_4", "drum8_6", "mitchell8", "drum8s_4"])
def test_mapping_keeps_the_function_and_about_the_area(yosys, name):
    original = circuit(name)
    mapped = map_circuit(original, default_library())
    assert mapped.circuit.name == name
    assert np.array_equal(product_table(mapped.circuit), product_table(original))
    before, after = (default_library().area_um2(c) for c in (original, mapped.circuit))
    assert 0.8 * before <= after <= 1.02 * before
    assert mapped.proof.exhaustive
    full = [gates.cells().get("FA", 0) for gates in (original, mapped.circuit)]
    assert full[1] >= 0.9 * full[0]


def test_wide_circuits_are_compared_on_random_vectors(yosys):
    original = adder("loa16_4")
    mapped = map_circuit(original, default_library())
    assert str(mapped.proof) == "equal on 1048576 random inputs"
    values = np.arange(0, 65536, 7)
    inputs = {"a": values, "b": values[::-1]}
    for port, expected in evaluate(original, inputs).items():
        assert np.array_equal(evaluate(mapped.circuit, inputs)[port], expected)


def test_constants_and_passed_inputs(yosys):
    gates = (Gate("AND2", (3, 3), (4,)), Gate("XOR2", (2, 2), (5,)))
    odd = Circuit("odd", (Port("a", (2, 3)),), (Port("p", (2, 0, 1, 4, 5)),), gates, "a test")
    mapped = map_circuit(odd, default_library())
    assert evaluate(mapped.circuit, {"a": np.arange(4)})["p"].tolist() == [4, 5, 12, 13]
    assert not mapped.circuit.gates


def test_what_is_kept_is_used_and_what_is_damaged_is_made_again(yosys, cache, monkeypatch):
    from laxity.circuits.synthesis import mapping

    calls = []
    real = mapping.yosys
    monkeypatch.setattr(mapping, "yosys", lambda *a, **k: calls.append(1) or real(*a, **k))
    original = circuit("mitchell4")
    first = characterise(original, flow="yosys")
    assert characterise(original, flow="yosys") == first
    assert len(calls) == 1
    (entry,) = (cache / "mapped").iterdir()
    for damage in (b"", b"{", entry.read_bytes()[:-40], entry.read_bytes().replace(b"NAND2", b"NOR2", 1)):
        entry.write_bytes(damage)
        calls.clear()
        assert characterise(original, flow="yosys") == first
        assert len(calls) == 1


def test_a_kept_netlist_of_another_function_is_not_believed(yosys, cache):
    original = circuit("mitchell4")
    first = map_circuit(original, default_library())
    (entry,) = (cache / "mapped").iterdir()
    store, key = Store(cache), entry.stem
    document = store.read("mapped", key)
    document["outputs"][0][0] = 1
    store.write("mapped", key, document)
    assert map_circuit(original, default_library()) == first
