"""Elements composed of several cores, and elements whose cores Yosys has mapped."""

from dataclasses import replace

import numpy as np
import pytest

from laxity.circuits.catalogue import circuit
from laxity.circuits.cells import default_library
from laxity.circuits.simulate import evaluate
from laxity.circuits.synthesis import map_circuit
from laxity.core.demand import Accumulation, Demand
from laxity.core.errors import TargetError, ToolError
from laxity.core.op import Op, Site
from laxity.eda.tools import find
from laxity.targets import load_target
from laxity.targets.pe_design import Unit, core_circuit, pe_design, unit_element
from laxity.testing.target import check_target


def constant(value, unit):
    return f'{{ value = {value}, unit = "{unit}", basis = "modelled", source = "a test" }}'


@pytest.fixture
def make(tmp_path):
    def build(*lines):
        path = tmp_path / "variant.toml"
        path.write_text("\n".join(['extends = "mac-array-45nm"', *lines]))
        return load_target(path)

    return build


@pytest.fixture
def yosys():
    try:
        return find("yosys")
    except ToolError as error:
        pytest.skip(str(error))


def one_by_one(**changes):
    op = Op("conv2d", (5, 3, 3), (6, 5, 1, 1), (6, 3, 3), 1, 9, 5, 6)
    return replace(Demand.of(Site("conv", op, (), "conv")), **changes)


def composed(name, **changes):
    return one_by_one(multiplier=name, arithmetic=f"integer products composed of {name}", **changes)


@pytest.mark.parametrize(("name", "bits"), [("dadda4", 8), ("udm4", 8), ("drum8_4", 8), ("dadda4", 12)])
def test_pieces_cover_the_operands(name, bits):
    width = circuit(name).port("a").width
    unit = Unit.of(composed(name, input_bits=bits, weight_bits=8))
    assert unit.pieces == (-(-bits // width), -(-8 // width))
    assert unit.widths == (unit.pieces[0] * width, unit.pieces[1] * width)


def test_a_composed_element_multiplies_and_adds():
    rng = np.random.default_rng(0)
    a, b, sums = rng.integers(0, 256, 500), rng.integers(0, 256, 500), rng.integers(0, 1 << 20, 500)
    pe = unit_element(Unit("dadda4", pieces=(2, 2)), 24)
    signs = rng.integers(0, 2, 500), rng.integers(0, 2, 500)
    found = evaluate(pe.circuit, {"a": a, "a_sign": signs[0], "b": b, "b_sign": signs[1], "psum_in": sums})["psum_out"]
    expected = sums + np.where(signs[0] ^ signs[1], -1, 1) * a * b
    assert (found == expected % (1 << 24)).all()


def test_eight_bit_products_of_four_bit_parts_have_a_price(make):
    target = make()
    parts, whole = target.cost([composed("dadda4")]), target.cost([one_by_one()])
    assert parts.by_component()["multiplier"].value > 0
    assert parts.by_component()["dram"] == whole.by_component()["dram"]
    assert "2 x 2 dadda4" in parts.by_component()["multiplier"].source
    assert parts.area_um2.value != whole.area_um2.value
    assert target.cost([composed("dadda8")]).energy_pj.value == whole.energy_pj.value  # one piece is no composition


def test_sixteen_bit_products_need_a_wider_array(make):
    wide = composed("drum8_4", input_bits=16, weight_bits=16)
    with pytest.raises(TargetError, match=r"'2 x 2 drum8_4' has 16-bit operands, array.operand_bits is 8"):
        make().cost([wide])
    lines = ["[array]", f"operand_bits = {constant(16, 'bit')}", f"accumulator_bits = {constant(40, 'bit')}"]
    target = make(*lines)
    cost = target.cost([wide])
    assert cost.by_component()["multiplier"].value > 3 * target.cost(
        [one_by_one(multiplier="drum8_4")]
    ).by_component()["multiplier"].value  # fmt: skip


def test_composed_cores_keep_their_adders():
    how = Accumulation("loa24_6")
    unit = Unit.of(composed("dadda4", accumulation=how))
    assert unit == Unit("dadda4", how, 0, (2, 2))
    assert unit.name == "2 x 2 dadda4 + loa24_6"
    assert Unit.of(composed("dadda4", input_bits=7, accumulation=how)).dropped == 1


def test_composed_products_with_cut_carries_are_refused(make):
    words = "integer products composed of dadda4 with carries cut every 8 bits"
    with pytest.raises(TargetError, match="has no circuit"):
        make().cost([one_by_one(multiplier="dadda4", arithmetic=words)])


@pytest.mark.slow
def test_a_mapped_core_is_in_the_element_and_in_its_figures(make, yosys):
    mapped = map_circuit(circuit("drum8_4"), default_library())
    assert core_circuit("drum8_4", flow="yosys").key == mapped.circuit.key
    plain, synthesised = (pe_design(("drum8_4",), 24, flow) for flow in ("netlist", "yosys"))
    library = default_library()
    difference = library.area_um2(circuit("drum8_4")) - library.area_um2(mapped.circuit)
    assert plain.area_um2 - synthesised.area_um2 == pytest.approx(difference)
    assert difference != 0
    target = make('pe_source = "yosys"')
    cost = target.cost([one_by_one(multiplier="drum8_4")])
    assert "Yosys-mapped netlist" in cost.by_component()["multiplier"].source
    assert "Yosys-mapped netlists" in cost.area_um2.source
    usual = make().cost([one_by_one(multiplier="drum8_4")])
    assert usual.area_um2.value - cost.area_um2.value == pytest.approx(256 * difference)
    for name in ("clock", "weight_buffer", "activation_buffer", "accumulator_memory", "dram"):
        assert cost.by_component()[name] == usual.by_component()[name]


@pytest.mark.slow
def test_mapped_elements_conform(make, yosys):
    check_target(make('pe_source = "yosys"'))


def test_without_the_tool_the_message_tells_how_to_get_it(make, monkeypatch, tmp_path):
    monkeypatch.setenv("LAXITY_YOSYS", str(tmp_path / "none"))
    core_circuit.cache_clear()
    with pytest.raises(ToolError, match="LAXITY_YOSYS"):
        make('pe_source = "yosys"', 'baseline_multiplier = "wallace8"')
