"""The check of techniques finds what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.errors import PlanError
from laxity.core.slots import Slot
from laxity.testing import check_technique


class Transform(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, weight: Tensor) -> Tensor:
        return self.function(weight)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Techniques registered by a test disappear after it."""
    known = dict(TECHNIQUES._entries)
    yield
    TECHNIQUES._entries.clear()
    TECHNIQUES._entries.update(known)


def scaled(function: Any, change: Any = None) -> type[Approximation]:
    """A STRUCTURE technique whose weights go through `function` and whose demand goes through `change`."""

    @TECHNIQUES.register("faulty")
    @dataclass(frozen=True)
    class Faulty(Approximation):
        kind: ClassVar[str] = "faulty"
        slot: ClassVar[Slot] = Slot.STRUCTURE

        def attach(self, context: Any, layers: Any) -> None:
            for layer in layers:
                layer.structure = Transform(function)

        def demand(self, demand: Any, facts: Any) -> Any:
            return demand if change is None else change(demand)

        @classmethod
        def candidates(cls, site: Any) -> list[Approximation]:
            return [cls()] if Slot.STRUCTURE in site.slots else []

    return Faulty


def complaint(technique: Any) -> str:
    with pytest.raises(PlanError) as caught:
        check_technique(technique)
    return str(caught.value)


def test_a_sound_technique_passes() -> None:
    check_technique(scaled(lambda w: w * 0.5))


def test_without_effect() -> None:
    assert "change neither outputs nor demands" in complaint(scaled(lambda w: w * 1.0))


def test_a_changed_demand_is_an_effect() -> None:
    check_technique(scaled(lambda w: w * 1.0, lambda d: replace(d, macs=d.macs / 2)))


def test_random_outputs() -> None:
    assert "differ from run to run" in complaint(scaled(lambda w: w * torch.rand(())))


def test_outputs_that_are_not_finite() -> None:
    assert "not finite" in complaint(scaled(lambda w: w * float("inf")))


def test_blocked_gradient() -> None:
    assert "no gradient reaches any weight" in complaint(scaled(lambda w: w.detach() * 0.5))


def test_gradient_that_is_not_finite() -> None:
    assert "is not finite" in complaint(scaled(lambda w: w + 0 * (w * 0).sqrt()))


def test_failure_while_applied() -> None:
    assert "fails with ValueError: no" in complaint(scaled(lambda w: (_ for _ in ()).throw(ValueError("no"))))


def test_changed_original() -> None:
    kind = scaled(lambda w: w * 0.5)
    kind.restructure = lambda self, context, sites: context.example_input.zero_()  # type: ignore[method-assign,assignment]
    assert "the example input of the original is changed" in complaint(kind)


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda d: replace(d, accumulator_bits=0), "accumulator_bits is 0"),
        (lambda d: replace(d, macs=float("nan")), "macs is nan"),
        (lambda d: replace(d, weight_nonzeros=d.weight_elements + 1), "more non-zero weights"),
        (lambda d: replace(d, site="elsewhere"), "not to the sites of the plan"),
    ],
)
def test_demands_that_cannot_be(change: Any, fragment: str) -> None:
    assert fragment in complaint(scaled(lambda w: w * 0.5, change))


def test_state_outside_buffers_is_lost() -> None:
    class Hidden(nn.Module):
        def __init__(self, layer: Any, seen: list[int]) -> None:
            super().__init__()
            seen.append(0)
            self.factor = 0.5 + 0.01 * len(seen)

        def forward(self, weight: Tensor) -> Tensor:
            return weight * self.factor

    seen: list[int] = []
    kind = scaled(lambda w: w)
    kind.attach = lambda self, context, layers: [  # type: ignore[method-assign,assignment]
        setattr(layer, "structure", Hidden(layer, seen)) for layer in layers
    ]
    text = complaint(kind)
    assert "differ from run to run" in text
    assert "keep what attach() computes in buffers" in text


def test_not_registered_or_not_frozen() -> None:
    @dataclass(frozen=True)
    class Unknown(Approximation):
        kind: ClassVar[str] = "unknown"
        slot: ClassVar[Slot] = Slot.STRUCTURE

    assert "not registered" in complaint(Unknown)

    @TECHNIQUES.register("loose")
    class Loose(Approximation):
        kind: ClassVar[str] = "loose"
        slot: ClassVar[Slot] = Slot.STRUCTURE

    assert "not a frozen dataclass" in complaint(Loose)


def test_parameters_without_json_form() -> None:
    @TECHNIQUES.register("odd")
    @dataclass(frozen=True)
    class Odd(Approximation):
        kind: ClassVar[str] = "odd"
        slot: ClassVar[Slot] = Slot.STRUCTURE
        value: float = field(default=float("nan"))

        @classmethod
        def candidates(cls, site: Any) -> list[Approximation]:
            return [cls()]

    assert "no JSON form" in complaint(Odd)


def test_class_without_candidates() -> None:
    @TECHNIQUES.register("silent")
    @dataclass(frozen=True)
    class Silent(Approximation):
        kind: ClassVar[str] = "silent"
        slot: ClassVar[Slot] = Slot.STRUCTURE

    assert "proposes nothing" in complaint(Silent)
    check_technique(Silent())


def test_slot_that_no_site_has() -> None:
    @TECHNIQUES.register("early")
    @dataclass(frozen=True)
    class Early(Approximation):
        kind: ClassVar[str] = "early"
        slot: ClassVar[Slot] = Slot.INPUT

    assert "no site of the example network has the slot 'input'" in complaint(Early())
