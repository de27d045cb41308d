"""Hardware of control variates: what it computes, how often, and what it costs."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from laxity.circuits.cells import default_library
from laxity.circuits.simulate import evaluate
from laxity.core.demand import Demand, Mode
from laxity.core.errors import TargetError
from laxity.core.op import Op, Site
from laxity.targets import load_target
from laxity.targets.correction import COMPONENT, Correction
from laxity.testing.target import check_target


def conv(filters=8, reduction=72, rows=16, groups=1, **changes):
    op = Op("conv2d", (8, 4, 4), (filters, 8, 3, 3), (filters, 4, 4), groups, rows, reduction, filters)
    return replace(Demand.of(Site("conv", op, (), "conv")), correction_bits=2, **changes)


@pytest.fixture
def target():
    return load_target("mac-array-45nm")


@pytest.fixture
def network(digits_cnn, dnn_like):
    return [replace(d, trace=dnn_like(seed), correction_bits=2) for seed, d in enumerate(digits_cnn[:2])]


def hardware(*demands, rows=16, columns=16):
    return Correction.of(demands, rows, columns, 32)


def energies(cost):
    return {site: e.value for site, name, e in cost.energy_parts_pj if name == COMPONENT}


def test_each_input_of_a_window_is_summed_once_and_each_output_corrected_once():
    """Counted by walking over a grouped convolution, tile by tile of the reduction."""
    demand = conv(filters=3, reduction=19, rows=5, groups=2)
    summed, stored, corrected = set(), set(), set()
    for group, row, k in itertools.product(range(2), range(5), range(19)):
        summed.add((group, row, k))
        stored.add((group, row, k // 16))
    for group, row, output in itertools.product(range(2), range(5), range(3)):
        corrected.add((group, row, output))
    found = hardware(demand)
    assert (found.additions(demand), found.outputs(demand), found.words(demand)) == (
        len(summed),
        len(corrected),
        len(stored),
    )
    assert [count for count, _ in found.operations(demand)] == [len(summed), len(corrected)]
    assert found.additions(replace(demand, calls=3)) == 3 * len(summed)


@pytest.mark.parametrize(("bits", "terms"), [(1, 9), (2, 72), (3, 576), (4, 5)])
def test_sums_are_as_wide_as_the_largest_one(bits, terms):
    found = hardware(conv(reduction=terms) if bits == 2 else replace(conv(reduction=terms), correction_bits=bits))
    largest, in_column = terms * (2**bits - 1), min(terms, 16) * (2**bits - 1)
    assert 2 ** (found.total_bits - 1) <= largest < 2**found.total_bits
    assert 2 ** (found.column_bits - 1) <= in_column < 2**found.column_bits


def test_the_netlists_add_and_multiply():
    found = hardware(conv())
    rng = np.random.default_rng(0)
    sums, low = rng.integers(0, 2**found.column_bits, 500), rng.integers(0, 4, 500)
    total = evaluate(found.adder, {"psum_in": sums, "low": low})["psum_out"]
    assert np.array_equal(total, (sums + low) % 2**found.column_bits)
    s, constant, psum = rng.integers(0, 217, 500), rng.integers(0, 256, 500), rng.integers(0, 2**32, 500)
    negative = rng.integers(0, 2, 500)
    given = {"a": s, "a_sign": np.zeros_like(s), "b": constant, "b_sign": negative, "psum_in": psum}
    wanted = (psum + np.where(negative, -1, 1) * s * constant) % 2**32
    assert np.array_equal(evaluate(found.output.circuit, given)["psum_out"], wanted)


def test_the_widest_site_decides():
    narrow, wide = replace(conv(), site="narrow"), replace(conv(reduction=700), site="wide", correction_bits=3)
    both, alone = hardware(narrow, wide), hardware(wide)
    assert (both.low_bits, both.column_bits, both.total_bits) == (alone.low_bits, alone.column_bits, alone.total_bits)
    assert hardware(narrow).area_um2(default_library()) < both.area_um2(default_library())
    assert hardware(replace(narrow, correction_bits=0)) is None


def test_area_and_leakage_are_one_adder_per_row_and_one_unit_per_column():
    library = default_library()

    def parts(rows, columns):
        found = hardware(conv(reduction=9), rows=rows, columns=columns)  # as wide on 16 rows as on 32
        return found.area_um2(library), found.leakage_nw(library), found.flip_flops

    one, taller, wider = parts(16, 16), parts(32, 16), parts(16, 32)
    found = hardware(conv(reduction=9))
    for base, tall, wide, flip_flop, per_gate in zip(
        one[:2],
        taller[:2],
        wider[:2],
        (library.flip_flop.area_um2, library.flip_flop.leakage_nw),
        (library.area_um2, library.leakage_nw),
        strict=True,
    ):
        row = per_gate(found.adder) + (2 + found.column_bits) * flip_flop
        column = per_gate(found.output.circuit) + found.output.flip_flops * flip_flop
        assert tall - base == pytest.approx(16 * row)
        assert wide - base == pytest.approx(16 * column)
        assert base == pytest.approx(16 * row + 16 * column)


def test_sums_below_the_columns_are_those_of_windows(make_trace):
    """With one low value everywhere, every window sums to K times it."""
    trace = make_trace(np.full((16, 33), 3), np.full((4, 16), 5))
    demand = conv(trace=trace)
    found = hardware(demand)._output_trace(demand)
    assert (found.activations == 72 * 3).all()
    mixed = conv(trace=make_trace(np.arange(16 * 33).reshape(16, 33) % 256, np.full((4, 16), 5)))
    sums = hardware(mixed)._output_trace(mixed).activations
    mean, deviation = 72 * 1.5, np.sqrt(72 * 1.25)
    assert abs(sums.mean() - mean) < 4 * deviation / np.sqrt(sums.size)
    assert sums.std() == pytest.approx(deviation, rel=0.15)


def test_inputs_whose_low_bits_rest_cost_no_switching_in_the_column(make_trace):
    still = conv(trace=make_trace(np.arange(16 * 33).reshape(16, 33) % 32 * 4, np.full((4, 16), 5)))
    busy = conv(trace=make_trace(np.arange(16 * 33).reshape(16, 33) % 128, np.full((4, 16), 5)))
    found = hardware(still)
    assert (found.addition(still).switching_pj, found.addition(still).toggles) == (0, 0)
    assert found.addition(busy).switching_pj > 0
    assert found.addition(busy).clocked == 2 + found.column_bits


def test_sampled_codes_in_the_upper_bits_are_shifted_back(make_trace):
    activations = np.random.default_rng(0).integers(0, 64, (16, 33))
    plain = conv(trace=make_trace(activations, np.full((4, 16), 5)), multiplier="dadda6", input_bits=6, weight_bits=6)
    upper = replace(plain, trace=make_trace(activations << 2, np.full((4, 16), 20)), multiplier="dadda8")
    assert hardware(upper).addition(upper) == hardware(plain).addition(plain)


def test_without_correction_nothing_changes(target, network):
    plain = target.cost([replace(d, correction_bits=0) for d in network])
    assert COMPONENT not in {name for _, name, _ in plain.energy_parts_pj}
    corrected = target.cost([network[0], replace(network[1], correction_bits=0)])
    before = {(s, n): e.value for s, n, e in plain.energy_parts_pj if n != "leakage"}
    after = {(s, n): e.value for s, n, e in corrected.energy_parts_pj if n not in (COMPONENT, "leakage")}
    assert before == after
    assert energies(corrected)["layer1"] == 0 < energies(corrected)["layer0"]
    assert corrected.area_um2.value > plain.area_um2.value


def test_area_holds_one_more_accumulator_memory(target, network):
    plain = target.cost([replace(d, correction_bits=0) for d in network])
    beside = Correction.of(network, 16, 16, 32).area_um2(default_library())
    memory = 1e6 * target.constants.value("accumulator_memory.area")
    assert target.cost(network).area_um2.value == pytest.approx(plain.area_um2.value + beside + memory)


def test_the_column_is_shared_by_all_filters(target):
    """Twice the filters: twice the products below the columns, the same sums of inputs."""
    few, many = conv(filters=8), conv(filters=16)
    found = hardware(few)
    assert found.additions(few) == found.additions(many)
    ratio = energies(target.cost([many]))["conv"] / energies(target.cost([few]))["conv"]
    assert 1 < ratio < 2


def test_more_low_bits_cost_more(target, network):
    found = [
        sum(energies(target.cost([replace(d, correction_bits=bits) for d in network])).values())
        for bits in (1, 2, 3, 4)
    ]
    assert found == sorted(found)
    assert found[0] < 0.9 * found[-1]


def test_long_windows_spread_a_correction_over_more_products(target, network):
    cost = target.cost(network)
    products = {site: e.value for site, name, e in cost.energy_parts_pj if name == "multiplier"}
    shares = [energies(cost)[demand.site] / products[demand.site] for demand in network]
    assert [demand.reduction for demand in network] == [9, 144]
    assert 0 < 5 * shares[1] < shares[0]


def test_modes_and_correction_together(target, network):
    modes = (Mode("gated8_0_0", 8, 0.5), Mode("gated8_2_0", 8, 0.5))
    check_target(target, [replace(d, modes=modes) for d in network])


@pytest.mark.parametrize("name", ["eyeriss-like", "zynq-7020"])
def test_other_targets_refuse(name, network):
    with pytest.raises(
        TargetError,
        match=rf"site 'layer0' corrects its outputs by the sum of 2 low bits .* target '{name}' has no circuit and "
        "therefore no price; use no correction, or another target such as 'mac-array-45nm'",
    ):
        load_target(name).cost(network)


def test_impossible_corrections_are_refused(target, network):
    with pytest.raises(TargetError, match=r"site 'layer0': correction_bits is 9, and inputs have 8 bits; use 1 to 8"):
        target.cost([replace(d, correction_bits=9) for d in network])
    with pytest.raises(TargetError, match="a correction has up to 33 bits, and stored sums have 32"):
        target.cost([conv(reduction=1 << 23)])


def test_a_clock_that_is_too_fast_is_refused(tmp_path):
    path = tmp_path / "fast.toml"
    clock = '{ value = 330, unit = "MHz", basis = "modelled", source = "a test" }'
    path.write_text(f'extends = "mac-array-45nm"\n[array]\nclock = {clock}\n')
    fast = load_target(path)
    fast.cost([replace(conv(), correction_bits=0)])
    with pytest.raises(
        TargetError, match=r"site 'conv': a unit that corrects by sums of 8 bits needs .* ns, the clock"
    ):
        fast.cost([conv()])
