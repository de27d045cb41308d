"""What lies behind a cost agrees with the cost, on every target."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from laxity.circuits.cells import default_library
from laxity.targets import load_target
from laxity.targets.pe_energy import uniform_trace
from laxity.testing.target import example_demands

INSIDE = {
    "mac-array-45nm": ("multiplier", "accumulator", "registers", "clock"),
    "eyeriss-like": ("mac",),
    "zynq-7020": ("control", "multiplier"),
}


@pytest.fixture(scope="module", params=sorted(INSIDE))
def found(request):
    target = load_target(request.param)
    demands = [replace(d, trace=uniform_trace(4, 8, 16)) for d in example_demands("drum8_4")]
    return request.param, target, demands, target.cost(demands), target.breakdown(demands)


def test_cycles_of_the_sites_are_the_latency(found):
    _, _, demands, cost, breakdown = found
    assert [use.site for use in breakdown.sites] == [d.site for d in demands]
    assert sum(use.cycles for use in breakdown.sites) == cost.latency_cycles.value


def test_energy_inside_the_element_is_that_of_the_cost(found):
    name, _, demands, cost, breakdown = found
    parts = {(site, component): e.value for site, component, e in cost.energy_parts_pj}
    for use, demand in zip(breakdown.sites, demands, strict=True):
        assert tuple(use.product_pj) == INSIDE[name]
        for component, energy_pj in use.product_pj.items():
            assert energy_pj * demand.macs == pytest.approx(parts[demand.site, component])


def test_uniform_operands_are_those_of_a_site_without_trace(found):
    name, target, demands, _, breakdown = found
    without = target.breakdown([replace(d, trace=None) for d in demands])
    for use, plain in zip(breakdown.sites, without.sites, strict=True):
        assert use.uniform_pj == plain.uniform_pj
        assert not plain.sampled
        if name == "zynq-7020":
            assert use.uniform_pj == {}
            continue
        assert use.sampled
        assert plain.uniform_pj == plain.product_pj
        assert sum(use.product_pj.values()) < sum(use.uniform_pj.values())  # 4-bit activations switch less


def test_utilisation_is_products_per_element_and_cycle(found):
    name, _, _, cost, breakdown = found
    for use in breakdown.sites:
        elements = cost.resources["units"].value if name == "zynq-7020" else breakdown.element.instances
        assert use.utilisation == pytest.approx(use.macs / (use.cycles * elements))
        assert 0 < use.utilisation <= 1


def test_dram_bits_have_the_price_of_the_cost(found):
    _, _, _, cost, breakdown = found
    energies = {site: e.value for site, component, e in cost.energy_parts_pj if component == "dram"}
    prices = {energies[u.site] / u.moved_bits["dram"] for u in breakdown.sites if u.moved_bits["dram"]}
    assert prices
    assert max(prices) == pytest.approx(min(prices))


def test_area_of_the_element_by_part():
    target = load_target("mac-array-45nm")
    names = ["drum8_4", "dadda8", "drum8_4", "dadda8"]
    demands = [replace(d, multiplier=m) for d, m in zip(example_demands("dadda8"), names, strict=True)]
    element = target.breakdown(demands).element
    library = default_library()
    assert element.units == ("dadda8", "drum8_4")
    assert element.area_um2["registers"] == element.flip_flops * library.flip_flop.area_um2
    memories = sum(target.constants.value(f"{n}_buffer.area") for n in ("weight", "activation"))
    memories += 16 * target.constants.value("accumulator_memory.area")
    total = element.instances * math.fsum(element.area_um2.values()) + 1e6 * memories
    assert total == pytest.approx(target.cost(demands).area_um2.value)
    assert element.area_um2["selection"] > 0
    single = target.breakdown(example_demands("dadda8")).element
    assert single.area_um2["selection"] == 0
    assert set(element.delay_ns) == set(element.units)
    assert max(element.delay_ns.values()) + element.register_ns <= element.period_ns == 5.0


def test_a_device_that_is_given_has_no_element():
    assert load_target("zynq-7020").breakdown(example_demands("dadda8")).element is None
