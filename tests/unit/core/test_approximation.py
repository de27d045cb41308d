"""The base class of techniques: JSON form, parameter types, defaults."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.slots import Level, Slot
from laxity.techniques import CircuitMultiplier, Integer, MagnitudePruning


@dataclass(frozen=True)
class Skipping(Approximation):
    """A technique of another package: one parameter without a default."""

    kind: ClassVar[str] = "skipping"
    slot: ClassVar[Slot] = Slot.SKIP

    fraction: float
    rounds: int = 1


@pytest.fixture
def skipping(monkeypatch):
    monkeypatch.setattr(TECHNIQUES, "_entries", {**TECHNIQUES._entries})
    TECHNIQUES.register("skipping")(Skipping)
    return Skipping


def test_json_form_names_kind_and_parameters():
    assert MagnitudePruning(0.25, False).to_json() == {"kind": "magnitude", "density": 0.25, "normalised": False}
    assert Approximation.from_json({"kind": "magnitude"}) == MagnitudePruning()
    assert Approximation.from_json({"kind": "multiplier", "name": "drum8_4"}) == CircuitMultiplier("drum8_4")


def test_techniques_of_others_work_alike(skipping, make_site):
    choice = Approximation.from_json({"kind": "skipping", "fraction": 1})
    assert choice == skipping(1.0)
    assert type(choice.fraction) is float
    assert choice.level is Level.SOFTWARE
    assert choice.label() == "skipping"
    assert not skipping.grouped()
    assert not skipping.candidates(make_site("a"))
    demand = Demand.of(make_site("a"))
    assert choice.demand(demand, {}) is demand
    assert choice.attach(None, []) is choice.restructure(None, []) is None


def test_missing_parameters_are_named(skipping):
    with pytest.raises(PlanError, match="technique 'skipping' needs parameter 'fraction'"):
        Approximation.from_json({"kind": "skipping", "rounds": 2})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fraction": True}, "parameter 'fraction' of technique 'skipping' must be float, not True"),
        ({"fraction": "x"}, "parameter 'fraction' of technique 'skipping' must be float, not 'x'"),
        ({"fraction": None}, "parameter 'fraction' of technique 'skipping' must be float, not None"),
        ({"fraction": 0.5, "rounds": 1.0}, "parameter 'rounds' of technique 'skipping' must be int, not 1.0"),
    ],
)
def test_types_are_checked_however_a_choice_is_made(skipping, parameters, message):
    with pytest.raises(PlanError, match=message):
        skipping(**parameters)
    with pytest.raises(PlanError, match=message):
        Approximation.from_json({"kind": "skipping", **parameters})


def test_choices_are_values():
    assert Integer(4, 8) == Integer(4, 8)
    assert len({Integer(4, 8), Integer(4, 8), Integer(5, 8)}) == 2
    with pytest.raises(AttributeError):
        Integer().weight_bits = 4


def test_all_built_in_techniques_are_registered():
    assert {"channels", "integer", "magnitude", "multiplier"} <= set(TECHNIQUES.names())
    for name in ("channels", "integer", "magnitude", "multiplier"):
        assert TECHNIQUES[name].kind == name
