"""Filters of a site in several modes, and multipliers that are modes of one unit, on every target."""

import math
from dataclasses import replace

import numpy as np
import pytest

from laxity.core.demand import Accumulation, Mode, OperandTrace
from laxity.core.errors import TargetError
from laxity.targets import COST_MODELS, load_target
from laxity.targets.fpga_units import core_figures
from laxity.targets.modes import mode_parts
from laxity.targets.pe_design import Unit, pe_design
from laxity.testing.target import check_target

TARGETS = ("mac-array-45nm", "eyeriss-like", "zynq-7020")
PRODUCT = {"mac-array-45nm": "multiplier", "eyeriss-like": "mac", "zynq-7020": "multiplier"}
UNIT = ("gated8_0_0", "gated8_2_2", "gated8_4_4")


@pytest.fixture(params=TARGETS)
def target(request, tmp_path):
    if request.param != "zynq-7020":
        return load_target(request.param)
    path = tmp_path / "zynq-7020.toml"
    path.write_text('extends = "zynq-7020"\nlut_source = "netlist"\n')
    return load_target(path)


@pytest.fixture
def network(digits_cnn, dnn_like):
    """Two sites with operands, the first 3 x 3 and 16 filters wide."""
    return [replace(demand, trace=dnn_like(seed)) for seed, demand in enumerate(digits_cnn[:2])]


def modes(*given):
    return tuple(Mode(name, bits, share) for name, bits, share in given)


def part(cost, target, site="layer0"):
    wanted = PRODUCT[target.name]
    return next(energy.value for where, name, energy in cost.energy_parts_pj if (where, name) == (site, wanted))


def with_modes(network, *given):
    return [replace(network[0], modes=modes(*given)), *network[1:]]


def values(cost):
    parts = [(site, name, e.value) for site, name, e in cost.energy_parts_pj]
    return parts, cost.area_um2.value, cost.latency_cycles.value, cost.memory_bits.value


def test_all_built_in_models_price_modes():
    assert all(COST_MODELS[load_target(name).constants.model].prices_modes for name in TARGETS)


def test_one_mode_for_all_filters_is_the_multiplier(target, network):
    plain = [replace(network[0], multiplier="gated8_2_2"), network[1]]
    alone = [replace(network[0], modes=modes(("gated8_2_2", 8, 1.0))), network[1]]
    assert values(target.cost(alone)) == values(target.cost(plain))
    assert target.breakdown(alone).sites[0].product_pj == target.breakdown(plain).sites[0].product_pj


def test_halves_lie_at_the_mean(target, network):
    def energy(*given):
        return part(target.cost(with_modes(network, *given)), target)

    exact, rough = energy(("gated8_0_0", 8, 1.0)), energy(("gated8_4_4", 8, 1.0))
    assert energy(("gated8_0_0", 8, 0.5), ("gated8_4_4", 8, 0.5)) == pytest.approx((exact + rough) / 2, rel=1e-12)
    quarter = energy(("gated8_0_0", 8, 0.25), ("gated8_4_4", 8, 0.75))
    assert quarter == pytest.approx(exact / 4 + 3 * rough / 4, rel=1e-12)


def test_energy_falls_as_filters_move_to_rougher_modes(target, network):
    shares = [(1 - moved, moved) for moved in (0.25, 0.5, 0.75)]
    found = [
        target.cost(with_modes(network, ("gated8_0_0", 8, a), ("gated8_4_4", 8, b))).energy_pj.value for a, b in shares
    ]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 3
    by_mode = [part(target.cost([replace(d, multiplier=name) for d in network]), target) for name in UNIT]
    assert by_mode == sorted(by_mode, reverse=True)
    assert len(set(by_mode)) == 3


def test_a_unit_is_there_once(target, network):
    """Whatever modes a plan uses; two multipliers with gates of their own take more."""
    one = target.cost([replace(d, multiplier="gated8_0_0") for d in network])
    mixed = with_modes(network, *((name, 8, share) for name, share in zip(UNIT, (0.25, 0.25, 0.5), strict=True)))
    several = target.cost([mixed[0], replace(network[1], multiplier="gated8_4_4")])
    assert several.area_um2.value == one.area_um2.value
    assert {n: e.value for n, e in several.resources.items()} == {n: e.value for n, e in one.resources.items()}
    beside = target.cost(with_modes(network, ("dadda8", 8, 0.5), ("optrunc8_2", 8, 0.5)))
    own = target.cost(network)
    assert (beside.area_um2.value > own.area_um2.value) or (
        beside.resources["lut"].value / beside.resources["units"].value
        > own.resources["lut"].value / own.resources["units"].value
    )


def test_modes_share_area_leakage_and_selection():
    one, three = pe_design(UNIT[:1], 24), pe_design(UNIT, 24)
    assert (three.area_um2, three.leakage_nw, three.delay_ns) == (one.area_um2, one.leakage_nw, one.delay_ns)
    assert dict(three.area_parts_um2) == dict(one.area_parts_um2)
    assert list(three.elements) == list(UNIT)
    beside = pe_design((*UNIT, "dadda8"), 24)
    assert beside.area_parts_um2["selection"] == pe_design((UNIT[0], "dadda8"), 24).area_parts_um2["selection"] > 0


def test_modes_of_composed_cores_share_them():
    pieces = [Unit(f"gated4_{k}_{k}", pieces=(2, 2)) for k in (0, 1, 2)]
    assert pe_design(tuple(pieces), 24).area_um2 == pe_design((pieces[0],), 24).area_um2


def test_weights_of_a_mode_are_stored_in_its_bits(target, network):
    half = target.cost(with_modes(network, ("gated8_0_0", 8, 0.5), ("gated8_0_4", 4, 0.5)))
    whole = target.cost(network)
    elements = network[0].weight_elements
    assert whole.memory_bits.value - half.memory_bits.value == elements * 2
    moved = [
        math.fsum(target.breakdown(plan).sites[0].moved_bits.values())
        for plan in (network, with_modes(network, ("gated8_0_0", 8, 0.5), ("gated8_0_4", 4, 0.5)))
    ]
    assert moved[1] < moved[0]


def test_the_most_exact_mode_need_not_keep_most_bits(target, network):
    """Codes are as wide as the widest weights of any mode, whichever mode the demand names as the most exact one."""
    given = modes(("gated8_0_4", 4, 0.5), ("gated8_4_4", 8, 0.5))
    costs = [
        target.cost([replace(network[0], modes=given, multiplier=name, weight_bits=bits), network[1]])
        for name, bits in (("gated8_0_4", 4), ("gated8_4_4", 8))
    ]
    assert values(costs[0]) == values(costs[1])


def test_traffic_of_weights_follows_their_mean_width(network):
    target = load_target("mac-array-45nm")
    demand = network[0]
    moved = target.breakdown(with_modes(network, ("gated8_0_0", 8, 0.75), ("gated8_0_4", 4, 0.25))).sites[0].moved_bits
    assert moved["weight_buffer"] == demand.weight_elements * 7


def test_weights_are_rounded_as_they_are_stored(digits_cnn):
    """To multiples of 16 with ties to even, and not beyond the largest code of 4 bits."""
    weights = np.array([0, 7, 8, 9, 24, 40, 119, 120, 127, 120, 127, 128])
    signs = np.array([0] * 9 + [1] * 3)
    zeros = np.zeros((12, 2), np.int64)
    trace = OperandTrace(zeros, zeros, weights, signs, zeros)

    def stored(trace, bits, **changes):
        demand = replace(digits_cnn[0], trace=trace, modes=modes(("gated8_0_4", bits, 1.0)), **changes)
        return mode_parts(demand)[0].operands(16).weights.tolist()

    assert stored(trace, 4) == [0, 0, 0, 16, 32, 32, 112, 112, 112, 128, 128, 128]
    assert stored(trace, 8) == weights.tolist()
    unsigned = replace(trace, weights=weights * 2, weight_signs=signs * 0)
    assert stored(unsigned, 4)[-1] == 240
    shifted = replace(trace, weights=weights & ~3)  # codes of 6 bits in the upper bits of the operand
    assert stored(shifted, 3, weight_bits=6) == [0, 0, 0, 0, 32, 32, 96, 96, 96, 128, 128, 128]


def test_uniform_weights_are_rounded_too(digits_cnn):
    demand = replace(digits_cnn[0], modes=modes(("gated8_0_4", 4, 1.0)))
    found = mode_parts(demand)[0].operands(16)
    assert not (found.weights % 16).any()
    assert len(np.unique(found.weights)) == 9
    assert (found.activations % 16).any()


def test_the_breakdown_names_the_modes(target, network):
    mixed = with_modes(network, ("gated8_0_0", 8, 0.5), ("gated8_2_2", 8, 0.5))
    found = target.breakdown(mixed)
    assert [use.unit for use in found.sites] == ["gated8_0_0, gated8_2_2", "dadda8"]
    assert target.name == "zynq-7020" or set(found.element.units) == {"gated8_0_0", "gated8_2_2", "dadda8"}


def test_modes_meet_the_clock_each(tmp_path, network):
    path, usual = tmp_path / "fast.toml", load_target("mac-array-45nm")
    needed = pe_design(("dadda8",), 24).delay_ns + usual.constants.value("registers.timing")
    clock = f'{{ value = {math.floor(1e3 / needed)}, unit = "MHz", basis = "modelled", source = "a test" }}'
    path.write_text(f'extends = "mac-array-45nm"\n[array]\nclock = {clock}\n')
    fast = load_target(path)
    fast.cost(network)
    with pytest.raises(TargetError, match=r"site 'layer0': an element with 'mitchell8' needs .* ns, the clock allows"):
        fast.cost(with_modes(network, ("dadda8", 8, 0.5), ("mitchell8", 8, 0.5)))


def test_modes_with_an_adder_share_it(network):
    target = load_target("mac-array-45nm")
    how = Accumulation("loa24_4")
    adding = [replace(d, accumulation=how) for d in network]
    one = target.cost([replace(d, multiplier="gated8_0_0") for d in adding])
    mixed = target.cost(with_modes(adding, ("gated8_0_0", 8, 0.5), ("gated8_2_4", 4, 0.5))[:1])
    assert mixed.area_um2.value == one.area_um2.value


def test_composed_modes_are_priced(network):
    target = load_target("mac-array-45nm")
    words = "integer products composed of gated4_0_0"
    composed = [replace(network[0], multiplier="gated4_0_0", arithmetic=words), network[1]]
    mixed = [replace(composed[0], modes=modes(("gated4_0_0", 8, 0.5), ("gated4_2_2", 8, 0.5))), network[1]]
    assert target.cost(mixed).area_um2.value == target.cost(composed).area_um2.value
    assert part(target.cost(mixed), target) < part(target.cost(composed), target)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([("dadda8", 8, 0.5), ("dadda8", 8, 0.4)], "the shares of its modes sum to 0.9; give fractions that sum to 1"),
        ([("dadda8", 8, 1.0), ("dadda8", 8, 0.0)], "mode 'dadda8' has share 0.0; give fractions above 0"),
        ([("dadda8", 0, 1.0)], "mode 'dadda8' has weights of 0 bits; give 1 or more"),
        ([("dadda8", 9, 1.0)], "operands of 8 x 9 bits do not fit multiplier 'dadda8'"),
        ([("dadda8", 8, 0.5), ("dadda4", 8, 0.5)], "operands of 8 x 8 bits do not fit multiplier 'dadda4'"),
    ],
)
def test_impossible_modes_are_refused(target, network, given, problem):
    with pytest.raises(TargetError, match=f"site 'layer0': {problem}"):
        target.cost(with_modes(network, *given))


def test_targets_that_do_not_price_modes_refuse_them(network):
    class Blind(COST_MODELS["mac-array"]):
        prices_modes = False

    blind = Blind(load_target("mac-array-45nm").constants)
    with pytest.raises(TargetError, match=r"'layer0' has filters in 2 modes, which target .* cannot price"):
        blind.cost(with_modes(network, ("dadda8", 8, 0.5), ("optrunc8_2", 8, 0.5)))


def test_tables_fitted_from_a_netlist_know_the_mode():
    figures = [core_figures(Unit(name), "netlist") for name in UNIT]
    assert len({found.lut.value for found in figures}) == 1
    indices = [found.energy_index for found in figures]
    assert indices == sorted(indices, reverse=True)
    assert 0.2 < indices[-1] / indices[0] < 0.6


def test_modes_pass_the_checks_of_targets(target, network):
    check_target(target, with_modes(network, ("gated8_0_0", 8, 0.5), ("gated8_2_4", 4, 0.5)))
