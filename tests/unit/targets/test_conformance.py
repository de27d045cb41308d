"""The conformance check finds what is wrong, and the documentation page of targets works as printed."""

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from laxity.core.demand import Demand
from laxity.core.errors import TargetError
from laxity.core.estimate import Basis, Estimate
from laxity.core.records import Cost
from laxity.targets import ConstantSpec, Target, load_target
from laxity.targets.description import resolve
from laxity.testing.target import check_target, example_demands

PAGE = Path(__file__).parents[3] / "docs" / "extend-target.md"


def estimate(value, unit="pJ", source="a test"):
    return Estimate.point(value, unit, Basis.MODELLED, source)


class Linear(Target):
    """One picojoule per MAC and stored bit; correct."""

    schema: ClassVar = {"core": {"mac": ConstantSpec("pJ")}}

    def parts(self, demands):
        return [
            (d.site, "mac", self.constants.estimate("core.mac", d.macs + d.weight_storage_bits, "pJ")) for d in demands
        ]

    def cost(self, demands):
        stored = sum(d.weight_storage_bits for d in demands)
        return Cost(
            tuple(self.parts(demands)), estimate(1, "um2"), estimate(2, "cycles"), estimate(stored, "bit", "counted")
        )


class Wrong(Linear):
    def __init__(self, description, change):
        super().__init__(description)
        self.change = change
        self.calls = 0

    def cost(self, demands):
        self.calls += 1
        return self.change(super().cost(demands), demands, self.calls)


@pytest.fixture
def description():
    mac = {"value": 1.0, "unit": "pJ", "basis": "modelled", "source": "a test"}
    texts = {"name": "t", "description": "d", "model": "m", "baseline_multiplier": "dadda8"}
    return resolve(texts | {"core": {"mac": mac}}, Linear.schema, "t.toml")


def with_part(cost, part):
    return replace(cost, energy_parts_pj=(*cost.energy_parts_pj, part))


def test_a_correct_target_passes(description):
    check_target(Linear(description))
    check_target(Wrong(description, lambda cost, demands, calls: cost))


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (
            lambda c, d, n: with_part(c, (d[0].site, "x", Estimate(-1, -1, -1, "pJ", Basis.MODELLED, "s"))),
            "energy of x",
        ),
        (lambda c, d, n: with_part(c, (d[0].site, "x", estimate(float("nan")))), "finite"),
        (lambda c, d, n: with_part(c, (d[0].site, "x", Estimate(1, 2, 3, "pJ", Basis.MODELLED, "s"))), "low <= value"),
        (lambda c, d, n: with_part(c, (d[0].site, "x", estimate(1, source=" "))), "source is empty"),
        (lambda c, d, n: with_part(c, ("elsewhere", "x", estimate(1))), "elsewhere"),
        (lambda c, d, n: with_part(c, (d[0].site, "mac", estimate(1))), "occurs twice"),
        (lambda c, d, n: replace(c, area_um2=estimate(1, "mm2")), "area: unit must be 'um2'"),
        (lambda c, d, n: replace(c, latency_cycles=estimate(n, "cycles")), "second time"),
        (lambda c, d, n: replace(c, memory_bits=estimate(1e6 - c.memory_bits.value, "bit")), "raises memory"),
        (lambda c, d, n: with_part(c, (d[0].site, "x", estimate(1e9 / (1 + d[0].macs)))), "raises energy"),
    ],
)
def test_every_kind_of_fault_is_found(description, change, fragment):
    with pytest.raises(TargetError, match=fragment):
        check_target(Wrong(description, change))


@pytest.mark.parametrize(
    ("resources", "time_s", "fragment"),
    [
        ({"lut": estimate(-1, "LUT")}, estimate(1, "s"), "resource 'lut': 0 <= low"),
        ({"lut": estimate(1, "")}, estimate(1, "s"), "resource 'lut': unit must be 'a unit'"),
        ({"lut": estimate(1, "LUT", source="")}, estimate(1, "s"), "resource 'lut': source is empty"),
        ({}, estimate(1, "ms"), "time: unit must be 's'"),
    ],
)
def test_faults_of_resources_are_found(description, resources, time_s, fragment):
    def change(cost, demands, calls):
        return replace(cost, resources=resources, time_s=time_s)

    with pytest.raises(TargetError, match=fragment):
        check_target(Wrong(description, change))


def test_all_faults_are_listed_together(description):
    def change(cost, demands, calls):
        return replace(cost, area_um2=estimate(1, "mm2"), latency_cycles=estimate(1, "s"))

    with pytest.raises(TargetError, match="area: unit") as caught:
        check_target(Wrong(description, change))
    assert "latency: unit" in str(caught.value)


def test_the_example_network_covers_the_kinds_of_operations():
    demands = example_demands("drum8_4")
    assert all(isinstance(d, Demand) and d.multiplier == "drum8_4" for d in demands)
    assert {d.kind for d in demands} == {"conv2d", "linear", "matmul"}
    assert any(d.groups > 1 for d in demands)
    assert any(d.weight_elements == 0 for d in demands)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_page_on_adding_a_target_works_as_printed(tmp_path, monkeypatch):
    machine, mcu, entry_point = blocks("toml")
    module, check = blocks("python")
    (tmp_path / "my-array.toml").write_text(machine)
    (tmp_path / "my-mcu.toml").write_text(mcu)
    (tmp_path / "page_microcontroller.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    imported = importlib.import_module("page_microcontroller")
    monkeypatch.delitem(sys.modules, "page_microcontroller")
    array = load_target("my-array.toml")
    check_target(array)
    assert array.constants.count("array.rows") == 8
    exec(compile(check, str(PAGE), "exec"), {})
    cost = load_target("my-mcu.toml").cost(example_demands("dadda8")[:1])
    bits = 216 * 8 + (3 * 64 + 8 * 64) * 8
    assert cost.energy_pj.value == pytest.approx(64 * 27 * 8 * 3.2 + bits * 0.31)
    assert "laxity.targets" in entry_point
    assert imported.Microcontroller.__name__ in entry_point
    assert 20 <= len(module.strip().splitlines()) <= 45
