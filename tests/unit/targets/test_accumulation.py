"""Elements with approximate adders: they compute what the emulation computes, and their netlists are priced."""

from dataclasses import replace

import numpy as np
import pytest

from laxity.circuits import accumulator_stage, adder_catalogue, catalogue, default_library, evaluate, partial_sums
from laxity.core.demand import Accumulation
from laxity.core.errors import RegistryError, TargetError
from laxity.core.seeds import stream
from laxity.targets import load_target
from laxity.targets.pe_design import Unit, element, pe_design
from laxity.targets.pe_energy import measure


@pytest.fixture(scope="module")
def target():
    return load_target("mac-array-45nm")


@pytest.mark.parametrize(
    ("core", "adder", "overflow", "dropped"),
    [
        ("dadda8", "loa20_6", "wrap", 0),
        ("drum8_4", "aca18_5", "saturate", 0),
        ("dadda8", "ripple14", "saturate", 0),
        ("dadda8", "gear16_4_4", "wrap", 8),
    ],
)
def test_a_column_of_elements_is_the_accumulator(core, adder, overflow, dropped):
    """Sums handed from element to element are those of the stage on signed products, product by product."""
    rng = stream(1, core, adder)
    shift = dropped // 2
    a, w = (
        rng.integers(0, 256 >> shift, (12, 400)) << shift,
        rng.integers(-(127 >> shift), 128 >> shift, (12, 400)) << shift,
    )
    pe = element(core, 24, Accumulation(adder, overflow), dropped)
    bits = adder_catalogue.get(adder).bits
    assert pe.accumulator_bits == pe.circuit.port("psum_in").width == bits
    products = np.sign(w) * catalogue.get(core).table[a, np.abs(w)]
    wanted = partial_sums(accumulator_stage(adder_catalogue.get(adder), overflow), products >> dropped)
    psum = np.zeros(400, np.int64)
    for k in range(12):
        ports = {"a": a[k], "b": np.abs(w[k]), "a_sign": np.zeros(400, np.int64), "b_sign": (w[k] < 0).astype(np.int64)}
        psum = evaluate(pe.circuit, {**ports, "psum_in": psum})["psum_out"]
        assert np.array_equal(psum, wanted[k] % (1 << bits))


def with_adder(demands, adder, overflow="wrap", chain=0):
    return [replace(d, accumulator_bits=24, accumulation=Accumulation(adder, overflow, chain)) for d in demands]


@pytest.mark.parametrize("adder", ["loa24_8", "trunc24_8", "ama24_5_8"])
def test_smaller_adders_save_what_their_netlists_save(adder, digits_cnn, dnn_like, target):
    traced = [replace(d, accumulator_bits=24, trace=dnn_like(3)) for d in digits_cnn]
    exact, cheap = target.cost(with_adder(traced, "ripple24")), target.cost(with_adder(traced, adder))
    pes = [element("dadda8", 24, Accumulation(name)) for name in ("ripple24", adder)]
    for part, others in (("accumulator", "accumulator_pj"), ("multiplier", "multiplier_pj")):
        sums = [sum(e.value for _, name, e in c.energy_parts_pj if name == part) for c in (exact, cheap)]
        ratio = getattr(measure(pes[1], dnn_like(3)), others) / getattr(measure(pes[0], dnn_like(3)), others)
        assert sums[1] / sums[0] == pytest.approx(ratio)
    assert cheap.energy_pj.value < exact.energy_pj.value
    area = pes[0].area_um2(default_library()) - pes[1].area_um2(default_library())
    assert exact.area_um2.value - cheap.area_um2.value == pytest.approx(256 * area)


def test_two_adders_are_isolated_and_merged():
    library = default_library()
    how = Accumulation("loa24_8")
    both = pe_design((Unit("dadda8"), Unit("dadda8", how)), 24)
    exact, other = element("dadda8", 24), element("dadda8", 24, how)
    around = sum(library.cells[g.cell].area_um2 for g in other.circuit.gates if g.block != "multiplier")
    gates = 2 * (24 + 16) * library.cells["AND2"].area_um2 + 24 * library.cells["OR2"].area_um2
    assert both.area_um2 == pytest.approx(exact.area_um2(library) + around + gates, rel=1e-12)
    assert set(both.elements) == {"dadda8", "dadda8 + loa24_8"}
    assert both.flip_flops == exact.flip_flops
    assert both.delay_ns == max(e.delay_ns(library) for e in (exact, other))


def test_one_adder_serves_two_cores():
    library = default_library()
    how = Accumulation("loa24_8")
    both = pe_design((Unit("dadda8", how), Unit("mitchell8", how)), 24)
    first, second = element("dadda8", 24, how), element("mitchell8", 24, how)
    core = sum(library.cells[g.cell].area_um2 for g in second.circuit.gates if g.block == "multiplier")
    gates = 2 * 16 * library.cells["AND2"].area_um2 + 16 * library.cells["OR2"].area_um2
    assert both.area_um2 == pytest.approx(first.area_um2(library) + core + gates, rel=1e-12)


@pytest.mark.parametrize(("chain", "fits"), [(0, True), (16, True), (8, False), (32, False), (4096, False)])
def test_chains_are_columns_or_the_whole_reduction(chain, fits, digits_cnn, target):
    demands = with_adder(digits_cnn[1:2], "loa24_8", chain=chain)
    if fits:
        assert target.cost(demands).energy_pj.value > 0
    else:
        with pytest.raises(TargetError, match=f"chains of {chain} products do not fit columns of 16 rows"):
            target.cost(demands)


def test_chains_as_long_as_a_short_reduction(digits_cnn, target):
    assert digits_cnn[0].reduction == 9
    assert target.cost(with_adder(digits_cnn[:1], "loa24_8", chain=12)).energy_pj.value > 0


@pytest.mark.parametrize(
    ("adder", "error", "message"),
    [("loa30_8", TargetError, "array.accumulator_bits is 24"), ("lao24_8", RegistryError, "did you mean")],
)
def test_adders_that_do_not_fit(adder, error, message, digits_cnn, target):
    with pytest.raises(error, match=message):
        target.cost(with_adder(digits_cnn, adder))
