from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits.cells import default_library
from laxity.core.demand import Accumulation, Demand
from laxity.core.errors import RegistryError, TargetError
from laxity.core.estimate import Basis
from laxity.core.op import Op, Site
from laxity.targets import load_target
from laxity.targets.pe_design import element
from laxity.targets.pe_energy import measure, uniform_trace
from laxity.targets.spatial_array import COMPONENTS


@pytest.fixture(scope="module")
def target():
    return load_target("eyeriss-like")


def one_by_one(**changes):
    """A 1 x 1 convolution of a 3 x 3 picture from 5 to 6 channels."""
    op = Op("conv2d", (5, 3, 3), (6, 5, 1, 1), (6, 3, 3), 1, 9, 5, 6)
    return replace(Demand.of(Site("conv", op, (), "conv")), **changes)


def switching(name, bits, trace):
    energy = measure(element(name, bits), trace)
    return energy.multiplier_pj + energy.accumulator_pj + energy.register_load_pj


def test_ratios_are_those_of_the_published_table(target):
    """Table 3.3 in pJ per bit."""
    published = {"register_file": 0.20, "inter_element": 0.40, "global_buffer": 1.20, "dram": 15.0}
    for level, per_bit in published.items():
        assert target.access(level, 1).value == pytest.approx(per_bit)
    assert target.constants.value("energy.mac") == pytest.approx(16 * 0.20)


def test_hand_counted_one_by_one_convolution(target):
    # 9 positions on 9 of 16 columns, 5 products on 5 rows, 6 outputs in one block; sums of 8 + 8 + 3 + 1 bits.
    cost = target.cost([one_by_one()])
    energy = {name: e.value for name, e in cost.by_component().items()}
    assert tuple(energy) == COMPONENTS
    sums, fills = 20, 30 * 9 * 8 + 45 * 8
    assert energy["register_file"] == pytest.approx(0.2 * (270 * (8 + 8 + 2 * sums) + fills))
    assert energy["inter_element"] == pytest.approx(0.4 * (fills + 54 * 4 * sums))
    assert energy["global_buffer"] == pytest.approx(1.2 * 8 * (45 + 45 + 54 + 2 * 30))
    assert energy["dram"] == pytest.approx(15 * 8 * (30 + 45 + 54))
    ratio = switching("dadda8", 20, uniform_trace(8, 8, 16)) / switching("dadda16", 37, uniform_trace(16, 16, 16))
    assert energy["mac"] == pytest.approx(3.2 * 270 * ratio)
    assert cost.latency_cycles.value == 6
    assert cost.memory_bits.value == 240


def test_the_exact_element_on_uniform_operands_costs_the_published_figure(target):
    d = one_by_one(multiplier="dadda16", input_bits=16, weight_bits=16, trace=uniform_trace(16, 16, 16))
    cost = target.cost([d])
    assert cost.by_component()["mac"].value == pytest.approx(3.2 * d.macs, rel=0.03)  # the sum is 2 bits narrower
    assert cost.by_component()["mac"].basis is Basis.SCALED


def test_figures_name_basis_and_source(target, dnn_like):
    with_trace, without = target.cost([one_by_one(trace=dnn_like())]), target.cost([one_by_one()])
    assert with_trace.by_component()["mac"].basis is Basis.SCALED
    assert without.by_component()["mac"].basis is Basis.MODELLED
    assert "sampled at conv" in with_trace.by_component()["mac"].source
    assert "table 3.3" in with_trace.by_component()["dram"].source


def test_area_exchanges_elements(target):
    small, large = (target.cost([one_by_one(multiplier=name)]).area_um2.value for name in ("drum8_4", "dadda8"))
    library = default_library()
    difference = element("dadda8", 20).area_um2(library) - element("drum8_4", 20).area_um2(library)
    assert large - small == pytest.approx(256 * difference)
    assert 16e6 < small < 17.8e6


def test_a_network_orders_levels_as_their_ratios_suggest(target, resnet20):
    cost = target.cost(resnet20)
    assert sum(e.value for e in cost.by_site().values()) == pytest.approx(cost.energy_pj.value)
    assert cost.latency_cycles.value >= sum(d.macs for d in resnet20) / 256
    assert cost.dram_energy_pj.value == pytest.approx(
        15 * (sum(d.weight_storage_bits for d in resnet20) + 8 * (3 * 32 * 32 + 10)), rel=1e-9
    )


def test_activations_beyond_the_buffer_go_to_dram(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        'extends = "eyeriss-like"\n[global_buffer]\n'
        'capacity = { value = 50, unit = "byte", basis = "modelled", source = "a test" }\n'
    )
    cost = load_target(path).cost([one_by_one()])
    assert cost.dram_energy_pj.value == pytest.approx(15 * (8 * (30 + 45 + 54) + 2 * (99 * 8 - 400)))


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 8), st.integers(2, 8), st.floats(0, 1))
def test_narrower_words_and_fewer_products_never_cost_more_outside_the_mac(target, input_bits, weight_bits, share):
    full = target.cost([one_by_one()]).by_component()
    less = target.cost(
        [one_by_one(input_bits=input_bits, weight_bits=weight_bits, macs=270 * share)]
    ).by_component()  # fmt: skip
    for name in COMPONENTS[1:]:
        assert less[name].value <= full[name].value * (1 + 1e-12)


def test_skipped_products_save_register_accesses_but_no_traffic(target):
    full, half = (target.cost([one_by_one(macs=macs)]).by_component() for macs in (270.0, 135.0))
    assert half["mac"].value == pytest.approx(full["mac"].value / 2)
    assert half["register_file"].value < full["register_file"].value
    assert half["global_buffer"] == full["global_buffer"]


def test_composed_products_are_priced_and_wider_ones_refused(target):
    words = "integer products composed of {}"
    wide = {"input_bits": 16, "weight_bits": 16, "multiplier": "drum8_4", "arithmetic": words.format("drum8_4")}
    composed = target.cost([one_by_one(**wide)])
    single = target.cost([one_by_one(multiplier="drum8_4")])
    assert composed.by_component()["mac"].value > 3 * single.by_component()["mac"].value
    assert composed.area_um2.value > single.area_um2.value
    with pytest.raises(TargetError, match=r"'3 x 3 drum8_4' has 24-bit operands, element.operand_bits is 16"):
        target.cost([one_by_one(**wide | {"input_bits": 20, "weight_bits": 20})])


def test_adders_are_priced(target):
    exact = target.cost([one_by_one()]).by_component()["mac"].value
    approximate = target.cost([one_by_one(accumulation=Accumulation("loa24_6"))]).by_component()["mac"].value
    assert approximate != exact


@pytest.mark.parametrize(
    ("changes", "error", "fragment"),
    [
        ({"arithmetic": "floating-point products E4M3 x E4M3 and exact sums"}, TargetError, "has no circuit"),
        ({"arithmetic": "integer with carries cut every 8 bits"}, TargetError, "has no circuit"),
        ({"multiplier": "dada8"}, RegistryError, "did you mean 'dadda8'"),
        ({"input_bits": 9}, TargetError, "do not fit multiplier 'dadda8'"),
        ({"macs": float("nan")}, TargetError, "not possible"),
    ],
)
def test_demands_that_cannot_run_name_the_site(target, changes, error, fragment):
    with pytest.raises(error, match=fragment) as caught:
        target.cost([one_by_one(**changes)])
    assert "conv" in str(caught.value)


def test_networks_that_are_none(target):
    with pytest.raises(TargetError, match="no demands"):
        target.cost([])
    with pytest.raises(TargetError, match="occurs twice"):
        target.cost([one_by_one(), one_by_one()])


def test_an_exact_element_that_is_too_wide_is_refused(tmp_path):
    path = tmp_path / "wide.toml"
    path.write_text(
        'extends = "eyeriss-like"\n[element]\n'
        'operand_bits = { value = 32, unit = "bit", basis = "modelled", source = "a test" }\n'
    )
    with pytest.raises(TargetError, match=r"operand_bits is 32.*16 or fewer"):
        load_target(path)


def test_registers_dominate_a_convolutional_network_as_the_page_says(target, resnet20):
    cost = target.cost(resnet20)
    energy = {name: e.value * 1e-6 for name, e in cost.by_component().items()}
    assert energy["register_file"] == pytest.approx(563, abs=1)
    assert cost.energy_pj.value * 1e-6 == pytest.approx(709, abs=1)
