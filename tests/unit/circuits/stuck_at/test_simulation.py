"""Every fault of small circuits against arithmetic of 0 and 1, gate by gate; both simulations against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from laxity.circuits import (
    Circuit,
    CircuitBuilder,
    Gate,
    Multiplier,
    Operands,
    Port,
    adder_catalogue,
    catalogue,
)
from laxity.circuits.stuck_at import StuckAtStudy, stuck_at
from laxity.circuits.stuck_at.native_engine import NativeEngine, compiled
from laxity.circuits.stuck_at.numpy_engine import NumpyEngine
from laxity.core.errors import CircuitError

from .samples import naive_table, random_circuits

ENGINES = ["numpy", pytest.param("native", marks=pytest.mark.skipif(compiled() is None, reason="not compiled"))]
COUNTED = ("counts", "changed", "signatures")


def check(study: StuckAtStudy) -> None:
    """Results and all integers of a study against naive evaluation."""
    device, circuit = study.device, study.device.circuit
    golden = read(study, naive_table(circuit, None))
    exact = study.program.stimuli.exact
    for place, fault in enumerate(study.faults):
        results = read(study, naive_table(circuit, fault))
        np.testing.assert_array_equal(study.results(place), results, err_msg=fault.label)
        d, e, errors = results - golden, results - exact, study.errors
        bits = np.bitwise_or.reduce((results ^ golden) & ((1 << device.bits) - 1))
        assert study.shown[place] == np.count_nonzero(d)
        assert study.changed[place] == bits
        found = [getattr(errors, name)[place] for name in errors.__dataclass_fields__]
        wanted = [(d != 0).mean(), abs(d).mean(), abs(d).max(), d.mean()]
        wanted += [(e != 0).mean(), abs(e).mean(), abs(e).max(), e.mean()]
        assert found == pytest.approx(wanted, rel=1e-12, abs=0)
        assert study.med_added[place] == pytest.approx(abs(e).mean() - abs(golden - exact).mean(), abs=1e-9)


def read(study: StuckAtStudy, codes: np.ndarray) -> np.ndarray:
    """Codes as values."""
    return codes - (codes >> (study.device.bits - 1) << study.device.bits) if study.device.signed else codes


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["dadda4", "udm4", "drum4s_3", "loa4_2", "gated4_1_1"])
def test_all_faults_of_small_circuits(name: str, engine: str) -> None:
    study = stuck_at(name, pins=True, engine=engine)  # type: ignore[arg-type]
    assert study.engine.name == engine
    check(study)


@pytest.mark.parametrize("engine", ENGINES)
def test_adders_as_cells(engine: str) -> None:
    study = stuck_at("dadda3s", pins=True, whole_adders=True, collapsing=False, engine=engine)  # type: ignore[arg-type]
    assert {"FA", "HA"} <= {gate.cell for gate in study.device.circuit.gates}
    check(study)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(circuit=random_circuits())
def test_random_circuits(engine: str, circuit: Circuit) -> None:
    check(stuck_at(circuit, pins=True, engine=engine))  # type: ignore[arg-type]
    whole = stuck_at(circuit, pins=True, whole_adders=True, engine=engine)  # type: ignore[arg-type]
    check(whole)


def test_a_composition() -> None:
    builder = CircuitBuilder("both", "two multipliers and an adder")
    a, b = builder.input("a", 4), builder.input("b", 2)
    part = catalogue.circuit("array2")
    low, high = (builder.instantiate(part, {"a": a[k : k + 2], "b": b})["p"] for k in (0, 2))
    total, _ = builder.add(low, [0, 0, *high])
    builder.output("p", total)
    circuit = builder.build()
    assert np.array_equal(Multiplier.from_circuit(circuit, signed=False).table, np.outer(range(16), range(4)))
    check(stuck_at(circuit, pins=True))


def test_mixed_signs() -> None:
    circuit = catalogue.circuit("dadda4")
    table = Multiplier.from_circuit(circuit, signed=False).table
    table = np.where(table >> 7, table - 256, table)
    check(stuck_at(Multiplier("mixed", 4, 4, True, False, table, circuit)))


@pytest.mark.skipif(compiled() is None, reason="not compiled")
@pytest.mark.parametrize("name", ["dadda8", "drum8s_4", "loa16_4", "ripple12", "mitchell9"])
def test_both_simulations_count_the_same(name: str) -> None:
    module = compiled()
    assert module is not None
    study = stuck_at(name, pins=True, collapsing=False, engine="native")
    faults = study.faults[::13]
    wanted = NumpyEngine(study.program)
    counts = wanted.run(faults)
    for isa in module.instruction_sets():
        engine = NativeEngine(study.program, module, isa)
        found = engine.run(faults)
        assert all(np.array_equal(getattr(counts, key), getattr(found, key)) for key in COUNTED), isa
        for fault in faults[::5]:
            first, second = engine.differences(fault), wanted.differences(fault)
            assert first.keys() == second.keys()
            assert all(np.array_equal(first[bit], second[bit]) for bit in first)


@pytest.mark.skipif(compiled() is None, reason="not compiled")
def test_the_compiled_simulation_refuses_what_does_not_fit() -> None:
    module = compiled()
    assert module is not None
    study = stuck_at("dadda3", engine="native")
    with pytest.raises(ValueError, match="instruction set 'mmx' is unknown"):
        NativeEngine(study.program, module, "mmx")
    engine = NativeEngine(study.program, module)._engine
    lines = np.array([[2, 0, -1, 0]], dtype=np.int32)
    planes = np.zeros((6, module.BLOCK), dtype=np.uint64)
    none, starts = np.zeros(0, dtype=np.int32), np.zeros(2, dtype=np.int64)
    engine.planes(lines, starts, none, planes)
    for column, value in ((0, 999), (0, -1), (1, 2), (2, -3), (2, 999), (3, 4), (3, -1)):
        bad = lines.copy()
        bad[0, column] = value
        with pytest.raises(ValueError, match="a fault is out of range"):
            engine.planes(bad, starts, none, planes)
    with pytest.raises(ValueError, match="a cone is out of range"):
        engine.planes(lines, np.array([0, 1]), none, planes)
    with pytest.raises(ValueError, match="a gate of a cone is out of range"):
        engine.planes(lines, np.array([0, 1]), np.array([999], dtype=np.int32), planes)
    with pytest.raises(ValueError, match="planes do not fit"):
        engine.planes(lines, starts, none, planes[:5])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["rows", "columns", "both", "joint", "pairs"])
def test_operands(kind: str, engine: str) -> None:
    random = np.random.default_rng(7)
    a, b, joint = random.random(16), random.random(16), random.random((16, 16))
    a[3], joint[:, 5] = 0, 0
    codes = random.integers(0, 16, (2, 500))
    operands, weights = {
        "rows": (Operands(a), np.outer(a, np.ones(16))),
        "columns": (Operands(b=b), np.outer(np.ones(16), b)),
        "both": (Operands(a, b), np.outer(a, b)),
        "joint": (Operands(joint=joint), joint),
        "pairs": (Operands.of_pairs(*codes), np.histogram2d(*codes, bins=range(17))[0]),
    }[kind]
    weights = weights.ravel() / weights.sum()
    study = stuck_at("drum4_3", operands, engine=engine)  # type: ignore[arg-type]
    golden, exact = naive_table(study.device.circuit, None), study.program.stimuli.exact
    assert study.golden.med[0] == pytest.approx(weights @ abs(golden - exact), rel=1e-12)
    for place, fault in enumerate(study.faults):
        results = naive_table(study.device.circuit, fault)
        d, e, errors = results - golden, results - exact, study.errors
        found = [getattr(errors, name)[place] for name in errors.__dataclass_fields__]
        wanted = [weights @ (d != 0), weights @ abs(d), abs(d)[weights > 0].max(), weights @ d]
        wanted += [weights @ (e != 0), weights @ abs(e), abs(e)[weights > 0].max(), weights @ e]
        assert found == pytest.approx(wanted, rel=1e-10, abs=1e-12)
        assert study.shown[place] == np.count_nonzero(d)


def test_a_sample_of_a_wide_adder() -> None:
    study = stuck_at("ripple16")
    assert not study.exhaustive
    assert study.program.stimuli.pairs == 65536
    assert study.golden.wce[0] == 0
    (place,) = [k for k, f in enumerate(study.faults) if f.label == "a[15] stuck-at-1"]
    assert study.errors.fault_wce[place] == 1 << 15
    assert study.errors.fault_bias[place] == pytest.approx(1 << 14, rel=0.02)
    assert np.array_equal(study.shown, stuck_at("ripple16", engine="numpy").shown)
    circuit = adder_catalogue.circuit("ripple16")
    assert study.adder(place).add([0, 1 << 15], [5, 5]).tolist() == [(1 << 15) + 5, (1 << 15) + 5]
    assert circuit.port("s").width == 17


@pytest.mark.parametrize("engine", ENGINES)
def test_a_narrow_result_of_wide_operands(engine: str) -> None:
    gates = (Gate("AND2", (2, 16), (28,)),)
    ports = Port("a", tuple(range(2, 15))), Port("b", tuple(range(15, 28)))
    circuit = Circuit("low", ports, (Port("p", (28,)),), gates, "test")
    study = stuck_at(circuit, engine=engine)  # type: ignore[arg-type]
    exact = study.program.stimuli.exact
    assert exact.max() > 1 << 25
    for place in range(len(study)):
        errors = study.results(place) - exact
        assert study.errors.med[place] == abs(errors).sum() / exact.size
        assert (study.errors.wce[place], study.errors.bias[place]) == (abs(errors).max(), errors.sum() / exact.size)


def test_what_cannot_be_simulated() -> None:
    with pytest.raises(CircuitError, match="overflow the sums"):
        stuck_at("ripple47")
    with pytest.raises(CircuitError, match="unknown simulation of faults 'fast'"):
        stuck_at("dadda2", engine="fast")  # type: ignore[arg-type]
    with pytest.raises(CircuitError, match="known by its table only"):
        stuck_at(Multiplier.from_table(np.zeros((4, 4), int), a_signed=False, b_signed=False))
    with pytest.raises(CircuitError, match="histogram of operand a has shape"):
        stuck_at("dadda2", Operands(np.ones(8)))
