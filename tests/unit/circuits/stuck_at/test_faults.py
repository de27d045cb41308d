"""Lists of faults, their equivalences, and faulty circuits."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from laxity.circuits import Circuit, CircuitBuilder, Gate, Multiplier, Port, adder_catalogue, catalogue, evaluate
from laxity.circuits.cells import default_library
from laxity.circuits.stuck_at import collapse, expand_adders, fault_list, faulty_circuit, stuck_at
from laxity.circuits.stuck_at.collapse import HARMLESS
from laxity.circuits.verilog import to_verilog
from laxity.core.errors import CircuitError
from laxity.rtl.vectors import write_rtl

from .samples import naive_table, random_circuits

SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def tiny() -> Circuit:
    """p0 = a0 and b0, p1 = p0 xor a1, p2 = a1."""
    gates = (Gate("AND2", (2, 4), (5,)), Gate("XOR2", (5, 3), (6,)))
    return Circuit("tiny", (Port("a", (2, 3)), Port("b", (4,))), (Port("p", (5, 6, 3)),), gates, "test")


def test_lines_of_a_circuit() -> None:
    assert [f.label for f in fault_list(tiny())] == [
        f"{line} stuck-at-{value}" for line in ("a[0]", "a[1]", "b[0]", "n5", "n6") for value in (0, 1)
    ]
    names = [f.name for f in fault_list(tiny(), pins=True)[::2]]
    assert names == [*("a[0]", "a[1]", "b[0]", "n5"), *("n5->n6.0", "a[1]->n6.1", "n6", "n5->p[0]", "a[1]->p[2]")]


def test_names_are_those_of_the_verilog() -> None:
    circuit = expand_adders(catalogue.circuit("drum8s_4"))
    text = to_verilog(circuit)
    for fault in fault_list(circuit, pins=True):
        line = fault.name.split("->")[0]
        if not line.startswith(("a[", "b[", "1'b")):
            assert f" {line} = " in text


def test_classes_of_a_tiny_circuit() -> None:
    faults = fault_list(tiny(), pins=True)
    classes = collapse(tiny(), faults)
    together: dict[int, set[str]] = {}
    for fault, first in zip(faults, classes, strict=True):
        together.setdefault(first, set()).add(fault.label)
    assert sorted(len(members) for members in together.values()) == [1] * 15 + [3]
    assert {"a[0] stuck-at-0", "b[0] stuck-at-0", "n5 stuck-at-0"} in together.values()


def test_count_of_classes_of_a_chain() -> None:
    builder = CircuitBuilder("chain", "test")
    a, b = builder.input("a", 1), builder.input("b", 1)
    net = builder.nand(a[0], b[0])
    for _ in range(5):
        net = builder.buf(net)
    builder.output("p", [net])
    circuit = builder.build()
    classes = collapse(circuit, fault_list(circuit))
    assert len(classes) == 2 * 8
    assert len(set(classes)) == 4  # a/1, b/1, either at 0 with the output at 1, the output at 0


@SETTINGS
@given(circuit=random_circuits())
def test_equivalent_faults_have_equal_tables(circuit: Circuit) -> None:
    faults = fault_list(circuit, pins=True)
    tables = [naive_table(circuit, fault) for fault in faults]
    golden = naive_table(circuit, None)
    for place, first in enumerate(collapse(circuit, faults)):
        wanted = golden if first == HARMLESS else tables[first]
        assert np.array_equal(tables[place], wanted), faults[place].label


@pytest.mark.parametrize("name", ["dadda8", "bam8_6_2", "mitchell8", "gated8_2_2"])
def test_collapsing_changes_no_figure(name: str) -> None:
    collapsed, whole = stuck_at(name, pins=True), stuck_at(name, pins=True, collapsing=False)
    assert len(set(collapsed.classes.tolist())) < len(collapsed)
    for part in ("shown", "changed", "signatures"):
        assert np.array_equal(getattr(collapsed, part), getattr(whole, part))
    for part in collapsed.errors.__dataclass_fields__:
        assert np.array_equal(getattr(collapsed.errors, part), getattr(whole.errors, part))


@SETTINGS
@given(circuit=random_circuits())
def test_the_faulty_circuit_is_the_fault(circuit: Circuit) -> None:
    codes = np.indices([1 << circuit.port(name).width for name in "ab"]).reshape(2, -1)
    for fault in fault_list(circuit, pins=True):
        faulty = faulty_circuit(circuit, fault)
        assert np.array_equal(evaluate(faulty, {"a": codes[0], "b": codes[1]})["p"], naive_table(circuit, fault))
        assert faulty.cells() == circuit.cells()


@pytest.mark.parametrize("name", ["dadda6", "drum6s_3"])
def test_multipliers_with_faults(name: str) -> None:
    study = stuck_at(name, pins=True)
    for place in range(0, len(study), 37):
        faulty = study.multiplier(place)
        assert faulty.circuit is not None
        assert faulty == Multiplier.from_circuit(faulty.circuit, signed=name == "drum6s_3")
        metrics = faulty.metrics()
        errors = study.errors
        assert metrics.med == pytest.approx(errors.med[place], rel=1e-12)
        assert (metrics.ep, metrics.wce) == (errors.ep[place], errors.wce[place])
        assert metrics.bias == pytest.approx(errors.bias[place], rel=1e-12, abs=1e-12)
        assert default_library().area_um2(faulty.circuit) == default_library().area_um2(study.device.circuit)


@pytest.mark.parametrize("name", ["dadda8", "drum8_4", "perf8_2_2", "roba8"])
def test_distinct_tables_and_undetectable_faults(name: str) -> None:
    study = stuck_at(name)
    golden = catalogue.get(name).table.ravel()
    tables = [study.results(place) for place in range(len(study))]
    wanted: dict[bytes, list[int]] = {}
    for place, table in enumerate(tables):
        wanted.setdefault(table.tobytes(), []).append(place)
    undetectable = wanted.pop(golden.tobytes(), [])
    assert study.tables() == list(wanted.values())
    assert np.flatnonzero(~study.detected).tolist() == undetectable
    assert study.summary()["undetectable"] == len(undetectable)
    assert study.summary()["distinct"] == len(wanted)


def test_several_faults_at_once() -> None:
    circuit = expand_adders(catalogue.circuit("dadda4"))
    faults = {f.label: f for f in fault_list(circuit)}
    both = faulty_circuit(circuit, faults["a[0] stuck-at-0"], faults["b[3] stuck-at-1"])
    a, b = np.indices((16, 16)).reshape(2, -1)
    assert np.array_equal(evaluate(both, {"a": a, "b": b})["p"], (a & 14) * (b | 8))
    assert both.name == "dadda4_a_0_sa0_b_3_sa1"


def test_expanded_adders_compute_the_same() -> None:
    for circuit in (catalogue.circuit("dadda6"), adder_catalogue.circuit("ripple6")):
        expanded = expand_adders(circuit)
        codes = np.indices((64, 64)).reshape(2, -1)
        values = {"a": codes[0], "b": codes[1]}
        first, second = evaluate(circuit, values), evaluate(expanded, values)
        assert all(np.array_equal(first[name], second[name]) for name in first)
        cells, parts = circuit.cells(), expanded.cells()
        assert sum(parts.values()) == sum(cells.values()) + 4 * cells["FA"] + cells.get("HA", 0)


def test_errors_of_faulty_circuits() -> None:
    circuit, other = catalogue.circuit("dadda4"), catalogue.circuit("dadda2")
    with pytest.raises(CircuitError, match="no fault is given"):
        faulty_circuit(circuit)
    last = fault_list(circuit, pins=True)
    for fault in (last[-1], next(f for f in last if f.gate > len(other.gates))):
        with pytest.raises(CircuitError, match="is no fault of 'dadda2'"):
            faulty_circuit(other, fault)
    with pytest.raises(CircuitError, match="has no table of products"):
        stuck_at("ripple4").multiplier(0)
    with pytest.raises(CircuitError, match="is no adder"):
        stuck_at("dadda4").adder(0)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog; install the system package iverilog")
@pytest.mark.parametrize("label", ["n17 stuck-at-1", "a[2] stuck-at-0", "worst"])
def test_simulated_verilog_of_faulty_circuits(label: str, tmp_path: Path) -> None:
    study = stuck_at("drum6s_3", pins=True)
    places = {fault.label: place for place, fault in enumerate(study.faults)}
    faulty = study.multiplier(study.worst(1)[0] if label == "worst" else places[label])
    write_rtl(faulty, tmp_path)
    name = faulty.circuit.name if faulty.circuit else ""
    command = ["iverilog", "-g2005", "-o", "bench", f"tb_{name}.v", f"{name}.v"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"PASS {name}: 4096 vectors")


def test_facts() -> None:
    study = stuck_at("dadda4")
    facts = study.to_json()
    assert (facts["faults"], facts["gates"]) == (len(study), len(study.device.circuit.gates))
    assert facts["faults"] == 2 * (facts["gates"] + 8)
    assert [row["fault"] for row in facts["rows"]] == [fault.label for fault in study.faults]
    worst = facts["rows"][study.worst(1)[0]]
    assert worst["med"] == max(row["med"] for row in facts["rows"])
    assert facts["fault_med_mean"] == pytest.approx(np.mean([row["fault_med"] for row in facts["rows"]]))
    lowest = next(row for row in facts["rows"] if row["fault"] == "a[0] stuck-at-0")
    assert (lowest["shown"], lowest["wce"], lowest["bias"]) == (120, 15, -3.75)
    assert lowest["equivalent_to"] is None
