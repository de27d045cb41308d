import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest

from laxity.circuits.activity import switching_energy
from laxity.circuits.cells import default_library
from laxity.circuits.simulate import evaluate
from laxity.core.demand import OperandTrace
from laxity.core.errors import CircuitError, RegistryError, TargetError
from laxity.targets import pe_energy
from laxity.targets.pe_design import element, pe_design
from laxity.targets.pe_energy import EnergyCache, measure, operand_streams, uniform_trace


def changed_bits(values):
    """Mean number of bits that change per step, by counting digits."""
    flips = [bin(int(x) ^ int(y)).count("1") for row in values for x, y in itertools.pairwise(row)]
    return sum(flips) / len(flips)


def test_streams_make_the_element_compute_the_next_partial_sum(dnn_like):
    trace = dnn_like()
    pe = element("dadda8", 24)
    result = evaluate(pe.circuit, operand_streams(pe, trace))["psum_out"]
    weights = np.where(trace.weight_signs, -trace.weights, trace.weights)
    assert trace.weight_signs.any()
    assert np.array_equal(result, (trace.partial_sums + trace.activations * weights[:, None]) % (1 << 24))


def test_sums_wider_than_the_accumulator_wrap(dnn_like):
    pe = element("dadda8", 10)
    streams = operand_streams(pe, dnn_like())
    assert streams["psum_in"].max() < 1024
    assert streams["psum_in"].min() >= 0


def test_nothing_moves_nothing_costs(make_trace):
    energy = measure(element("dadda8", 24), make_trace(np.full((1, 4), 5), np.full((1, 1), -3)))
    assert (energy.multiplier_pj, energy.accumulator_pj, energy.register_load_pj) == (0, 0, 0)
    assert (energy.activation_toggles, energy.sum_toggles) == (0, 0)
    assert energy.transitions == 3


def test_toggles_are_counted_bits_of_the_registers(dnn_like):
    trace = dnn_like(3)
    energy = measure(element("dadda8", 24), trace)
    assert energy.activation_toggles == pytest.approx(changed_bits(trace.activations))
    assert energy.sum_toggles == pytest.approx(changed_bits(trace.partial_sums % (1 << 24)))


def test_parts_add_up_to_the_whole_netlist(dnn_like):
    pe, trace = element("mitchell8", 24), dnn_like(1)
    energy = measure(pe, trace)
    whole = switching_energy(pe.circuit, operand_streams(pe, trace), default_library()).energy_pj
    assert energy.multiplier_pj + energy.accumulator_pj + energy.register_load_pj == pytest.approx(whole, rel=1e-12)


def test_register_load_is_half_c_v_squared_of_the_driven_pins(dnn_like):
    pe, trace = element("dadda8", 24), dnn_like(2)
    library = default_library()
    loads = library.loads_ff(pe.circuit)
    total = 0.0
    for name, values in operand_streams(pe, trace).items():
        for bit, net in enumerate(pe.circuit.port(name).nets):
            total += changed_bits((values >> bit) & 1) * loads[net] * 0.5 * library.voltage_v**2 * 1e-3
    assert measure(pe, trace).register_load_pj == pytest.approx(total, rel=1e-9)


def test_glitches_cost_extra(dnn_like):
    pe, trace = element("dadda8", 24), dnn_like()
    assert measure(pe, trace, "inertial").multiplier_pj > measure(pe, trace, "zero").multiplier_pj


def pe_energy_pj(name, trace):
    """Energy of one busy cycle of one element, and the share of registers and clock in it."""
    design = pe_design((name,), 24)
    energy = measure(design.elements[name], trace)
    toggles = 15.5e-3 * (energy.activation_toggles + energy.sum_toggles)
    held = design.clock_energy_pj + energy.register_load_pj + toggles
    logic = energy.multiplier_pj + energy.accumulator_pj
    return held + logic, held / (held + logic)


def test_published_ranking_on_network_like_operands(dnn_like):
    """Registers and clock dominate, DRUM-4 and Mitchell cost more than exact Dadda, truncated columns less."""
    trace = dnn_like()
    exact, share = pe_energy_pj("dadda8", trace)
    assert 0.60 <= share <= 0.75
    for name in ("drum8_4", "mitchell8"):
        assert (
            measure(element(name, 24), trace).multiplier_pj > 1.3 * measure(element("dadda8", 24), trace).multiplier_pj
        )
        assert pe_energy_pj(name, trace)[0] > 1.05 * exact
    assert pe_energy_pj("coltrunc8_8", trace)[0] < pe_energy_pj("coltrunc8_6", trace)[0] < 0.95 * exact


def test_uniform_operands_need_more_energy_than_network_like_ones(dnn_like):
    pe = element("dadda8", 24)
    assert measure(pe, uniform_trace(8, 8, 16)).multiplier_pj > 1.5 * measure(pe, dnn_like()).multiplier_pj


def test_uniform_trace_is_uniform_and_consistent():
    trace = uniform_trace(8, 8, 16)
    assert trace.activations.min() >= 0
    assert trace.activations.max() < 256
    assert abs(trace.activations.mean() - 127.5) < 12
    weights = np.where(trace.weight_signs, -trace.weights, trace.weights)
    assert weights.min() >= -128
    assert weights.max() <= 127
    below = trace.partial_sums[0] + weights[0] * trace.activations[0]
    assert np.array_equal(trace.partial_sums[1], below)
    assert set(np.unique(uniform_trace(4, 1, 8).weights)) == {1}


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        (lambda t: {"activations": t.activations + 256}, "activation magnitudes"),
        (lambda t: {"weights": t.weights - 200}, "weight magnitudes"),
        (lambda t: {"partial_sums": t.partial_sums[:, :-1]}, "partial_sums"),
        (lambda t: {"weight_signs": t.weight_signs[:-1]}, "weight_signs"),
        (lambda t: {"activations": t.activations[:, :1]}, "no transitions"),
    ],
)
def test_unusable_traces_are_refused(dnn_like, changes, fragment):
    trace = dnn_like()
    with pytest.raises(TargetError, match=fragment):
        measure(element("dadda8", 24), replace(trace, **changes(trace)))


def test_cache_measures_once_per_element_trace_and_delay_model(dnn_like, monkeypatch):
    calls = []

    def counted(pe, trace, delays="inertial"):
        calls.append((pe.core.name, delays))
        return measure(pe, trace, delays)

    monkeypatch.setattr(pe_energy, "measure", counted)
    cache, trace = EnergyCache(8), dnn_like()
    copy = OperandTrace(*(np.array(getattr(trace, n)) for n in OperandTrace.__slots__))
    first = cache.mac_energy(element("dadda8", 24), trace)
    assert cache.mac_energy(element("dadda8", 24), copy) is first
    cache.mac_energy(element("dadda8", 24), trace, "zero")
    cache.mac_energy(element("drum8_4", 24), trace)
    cache.mac_energy(element("dadda8", 24), dnn_like(9))
    assert calls == [("dadda8", "inertial"), ("dadda8", "zero"), ("drum8_4", "inertial"), ("dadda8", "inertial")]


def test_cache_drops_the_least_recently_used(dnn_like):
    cache, pe = EnergyCache(2), element("optrunc8_4", 24)
    kept = cache.mac_energy(pe, dnn_like(0))
    dropped = cache.mac_energy(pe, dnn_like(1))
    cache.mac_energy(pe, dnn_like(0))
    cache.mac_energy(pe, dnn_like(2))
    assert len(cache) == 2
    assert cache.mac_energy(pe, dnn_like(0)) is kept
    assert cache.mac_energy(pe, dnn_like(1)) is not dropped
    cache.clear()
    assert len(cache) == 0


def test_cache_serves_threads(dnn_like):
    cache, pe, traces = EnergyCache(3), element("optrunc8_4", 24), [dnn_like(s) for s in range(5)]
    expected = [measure(pe, t) for t in traces]
    results = {}

    def work(worker):
        results[worker] = [cache.mac_energy(pe, t) for t in traces]

    threads = [threading.Thread(target=work, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results[w] == expected for w in range(4))


def test_design_of_one_core_is_the_element():
    library = default_library()
    pe, design = element("dadda8", 24), pe_design(("dadda8",), 24)
    assert design.area_um2 == pytest.approx(pe.area_um2(library), rel=1e-12)
    assert design.leakage_nw == pytest.approx(pe.leakage_nw(library), rel=1e-12)
    assert design.clock_energy_pj == pytest.approx(pe.clock_energy_pj(library), rel=1e-12)
    assert design.flip_flops == pe.flip_flops == 8 + 1 + 8 + 1 + 24


def test_design_of_two_cores_shares_adder_and_registers_and_isolates():
    library = default_library()
    both = pe_design(("dadda8", "mitchell8"), 24)
    exact, mitchell = element("dadda8", 24), element("mitchell8", 24)
    core = sum(library.cells[g.cell].area_um2 for g in mitchell.circuit.gates if g.block == "multiplier")
    gates = 2 * 16 * library.cells["AND2"].area_um2 + 16 * library.cells["OR2"].area_um2
    assert both.area_um2 == pytest.approx(exact.area_um2(library) + core + gates, rel=1e-12)
    assert both.flip_flops == 42
    assert both.leakage_nw > pe_design(("dadda8",), 24).leakage_nw
    assert both.delay_ns == pytest.approx(max(exact.delay_ns(library), mitchell.delay_ns(library)))


def test_registers_are_as_wide_as_the_widest_core():
    assert pe_design(("dadda4",), 16).flip_flops == 4 + 1 + 4 + 1 + 16
    assert pe_design(("dadda4", "dadda8"), 16).flip_flops == 8 + 1 + 8 + 1 + 16


def test_impossible_cores_are_refused():
    with pytest.raises(TargetError, match="unsigned core"):
        element("dadda8s", 24)
    with pytest.raises(RegistryError, match="did you mean"):
        element("dada8", 24)
    with pytest.raises(CircuitError, match="accumulator"):
        element("dadda8", 1)
