"""Registries: names, doubles, near misses, entry points of other packages."""

from importlib.metadata import EntryPoint

import pytest

from laxity.core.errors import RegistryError
from laxity.core.registry import Registry, did_you_mean


@pytest.fixture
def fruit():
    registry = Registry("fruit", "laxity.test_fruit")
    for name in ("pear", "apple", "cherry"):
        registry.register(name)(name.upper())
    return registry


def test_names_are_sorted_and_found(fruit):
    assert fruit.names() == ["apple", "cherry", "pear"]
    assert fruit["pear"] == "PEAR"
    assert "pear" in fruit
    assert "plum" not in fruit


def test_registering_returns_the_entry_and_allows_repetition(fruit):
    def plum():
        return 1

    assert fruit.register("plum")(plum) is plum
    assert fruit.register("plum")(plum) is plum
    with pytest.raises(RegistryError, match="fruit 'plum' is registered twice; choose another name for one of them"):
        fruit.register("plum")(lambda: 2)
    assert fruit["plum"] is plum


def test_unknown_names_get_proposals(fruit):
    with pytest.raises(RegistryError, match=r"^unknown fruit 'appel'; did you mean 'apple'\?$"):
        fruit["appel"]
    with pytest.raises(RegistryError, match=r"^unknown fruit 'xyz'; known: apple, cherry, pear$"):
        fruit["xyz"]
    with pytest.raises(RegistryError, match=r"^unknown fruit 'x'$"):
        Registry("fruit", "none")["x"]


def test_proposals():
    assert did_you_mean("conv", ["conv1", "conv2", "dense"]) == "; did you mean 'conv2' or 'conv1'?"
    assert did_you_mean("zzz", [f"name{i}" for i in range(25)]) == ""
    assert did_you_mean("zzz", []) == ""


def test_entry_points_add_and_do_not_replace(fruit, monkeypatch):
    points = [EntryPoint("pear", "math:tau", "g"), EntryPoint("fig", "math:pi", "g")]
    asked = []

    def entry_points(group):
        asked.append(group)
        return points

    monkeypatch.setattr("laxity.core.registry.entry_points", entry_points)
    assert 3.14 < fruit["fig"] < 3.15
    assert fruit["pear"] == "PEAR"
    assert fruit.names() == ["apple", "cherry", "fig", "pear"]
    assert asked == ["laxity.test_fruit"]


def test_entry_points_that_do_not_load_are_named(fruit, monkeypatch):
    broken = [EntryPoint("fig", "laxity_no_such_package:fig", "g")]
    monkeypatch.setattr("laxity.core.registry.entry_points", lambda group: broken)
    with pytest.raises(RegistryError, match=r"fruit 'fig' \(laxity_no_such_package:fig\) cannot be loaded: No module"):
        fruit["pear"]
    with pytest.raises(RegistryError, match="'fig'"):
        fruit.names()
