"""What protected weights cost: check bits wherever weights lie, and the circuits that they pass."""

from dataclasses import replace

import numpy as np
import pytest

from laxity.circuits.cells import default_library
from laxity.circuits.protection import reader
from laxity.circuits.simulate import evaluate
from laxity.circuits.timing import delay_ns
from laxity.core.demand import Protection
from laxity.core.errors import TargetError
from laxity.targets import load_target
from laxity.targets.beside import PROTECTION, Beside
from laxity.targets.dataflow import count
from laxity.targets.weight_readers import WeightReaders, streams
from laxity.testing.target import check_target

SECDED = Protection("hsiao8x8", 8, 8)
ALL = [
    SECDED,
    Protection("hsiao8x2", 2, 6),
    Protection("inplace8x8", 8, 0),
    Protection("parity8x4", 4, 1),
    Protection("parityzero8x1", 1, 1),
    Protection("majority8x2", 1, 4),
    Protection("rangezero8x1", 1, 0),
    Protection("rangesaturate8x1", 1, 0),
]


@pytest.fixture
def target():
    return load_target("mac-array-45nm")


@pytest.fixture
def network(digits_cnn, dnn_like):
    return [replace(d, trace=dnn_like(seed)) for seed, d in enumerate(digits_cnn)]


def component(cost, name):
    return {site: e.value for site, part, e in cost.energy_parts_pj if part == name}


@pytest.mark.parametrize("protection", ALL, ids=lambda p: p.circuit)
def test_the_price_is_that_of_the_parts(target, network, protection):
    """Storage and traffic grow by the check bits, energy and area by the readers; nothing else changes."""
    library, plain = default_library(), target.cost(network)
    guarded = [replace(network[0], protection=protection), *network[1:]]
    cost = target.cost(guarded)
    site, d = network[0].site, guarded[0]
    check = -(-d.weight_elements // protection.weights) * protection.check_bits
    assert cost.memory_bits.value - plain.memory_bits.value == check
    before, after = component(plain, "weight_buffer"), component(cost, "weight_buffer")
    assert after[site] / before[site] == pytest.approx(1 + check / (d.weight_elements * d.weight_bits))
    circuit = reader(protection.circuit)
    side_by_side = -(-16 // protection.weights)
    alarm, changes = "alarm" in {p.name for p in circuit.outputs}, {p.name for p in circuit.outputs} != {"alarm"}
    limits = 14 if "range" in protection.circuit else 0
    registers = (8 * protection.weights if changes else 0) + alarm
    area = library.area_um2(circuit) + (registers + limits) * library.flip_flop.area_um2
    assert cost.area_um2.value - plain.area_um2.value == pytest.approx(side_by_side * area)
    energy = component(cost, PROTECTION)
    assert energy[site] > 0
    assert all(value == 0 for name, value in energy.items() if name != site)
    activity = WeightReaders.of(guarded, 16).activity(d)
    reads = -(-d.weight_elements // protection.weights) * count(d, target.shape).weight_passes
    clock = 1e-3 * library.clock_energy_fj() * registers
    toggle = 1e-3 * (8.6 + 6.9)
    assert energy[site] == pytest.approx(reads * (activity.switching_pj + clock + toggle * activity.toggles))
    same = {"multiplier", "accumulator", "registers", "clock", "activation_buffer", "accumulator_memory", "dram"}
    for name in same:
        assert component(cost, name) == component(plain, name)
    assert component(cost, "leakage")[site] > component(plain, "leakage")[site]


@pytest.mark.parametrize("protection", ALL, ids=lambda p: p.circuit)
@pytest.mark.parametrize("sampled", [True, False])
def test_readers_are_simulated_on_right_code_words(network, protection, sampled):
    """Then they read what was written, without an alarm."""
    from laxity.targets.weight_readers import _weights

    demand = replace(network[1], protection=protection)
    demand = demand if sampled else replace(demand, trace=None)
    (kind,) = WeightReaders.of([demand], 16).kinds
    words = _weights(demand, kind)
    given = streams(kind, words)
    flat = {name: np.ascontiguousarray(values).reshape(-1) for name, values in given.items()}
    found = evaluate(kind.circuit, flat)
    assert not found.get("alarm", np.zeros(1)).any()
    for k in range(protection.weights):
        if f"r{k}" in found:
            assert np.array_equal(found[f"r{k}"].reshape(words.shape[:2]), words[..., k])
    assert len(np.unique(words)) > 20


def test_sites_may_be_protected_in_different_ways(target, network):
    both = [replace(network[0], protection=SECDED), replace(network[1], protection=ALL[6]), *network[2:]]
    alone = [target.cost([replace(d, protection=d.protection if d is one else None) for d in both]) for one in both[:2]]
    plain, cost = target.cost(network).area_um2.value, target.cost(both).area_um2.value
    assert cost - plain == pytest.approx(sum(c.area_um2.value - plain for c in alone))
    energy = component(target.cost(both), PROTECTION)
    assert [energy[d.site] > 0 for d in both[:3]] == [True, True, False]
    check_target(target)


def test_the_slowest_reader_has_to_meet_the_clock(target, network):
    asked = []
    both = [replace(network[0], protection=ALL[5]), replace(network[1], protection=SECDED)]
    Beside.of(both, target.shape, target.constants, lambda *what: asked.append(what))
    ((what, needed, remedy),) = asked
    assert what == f"site {network[0].site!r}: the reader 'hsiao8x8' of protected weights"
    assert (
        needed == delay_ns(reader("hsiao8x8"), default_library()) > delay_ns(reader("majority8x2"), default_library())
    )
    assert remedy == "use a simpler protection"
    with pytest.raises(TargetError, match=r"needs 9\.20 ns, the clock allows 5\.00; use a simpler protection"):
        target._check_period(what, 9.0, remedy)


def test_targets_without_a_price_say_so(network):
    for name in ("eyeriss-like", "zynq-7020"):
        with pytest.raises(TargetError, match="protects its stored weights by 'hsiao8x8'"):
            load_target(name).cost([replace(network[0], protection=SECDED)])


def test_unknown_circuits_name_the_site(target, network):
    with pytest.raises(TargetError, match=rf"site '{network[0].site}': there is no circuit 'hamming8x8'"):
        target.cost([replace(network[0], protection=Protection("hamming8x8", 8, 8))])
