"""Two and three copies of a computation: what is accepted, and who sees what."""

from __future__ import annotations

import pytest
import torch

import laxity as lx
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.plan import Plan
from laxity.emulate.build import emulated
from laxity.techniques import Integer, Redundancy
from laxity.techniques.guard import Evidence, OutputGuard, Place

DIFFERS = torch.tensor([True, False])
NONE = torch.zeros(2, dtype=torch.bool)


@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("weights", [False, True])
def test_copies_see_their_own_faults(copies: int, weights: bool) -> None:
    task = lx.load_task("digits")
    sites = lx.find_sites(task.model, task.example_input)
    plan = Plan.assign(sites, [Integer(), Redundancy(copies, weights)])
    assert Plan.from_json(plan.to_json()) == plan
    model = lx.approximate(task, plan)
    bare = lx.approximate(task, Plan.assign(sites, [Integer()]))
    inputs = task.test.fetch(range(50))[0]
    with torch.no_grad():
        assert torch.equal(model(inputs), bare(inputs))
    guard = next(emulated(model)).guard
    assert isinstance(guard, OutputGuard)
    seen = {place: guard.notices(Evidence(place, DIFFERS, DIFFERS)).tolist() for place in Place}
    assert seen[Place.COMPUTATION] == [True, False]
    assert seen[Place.WEIGHTS] == [weights, False]
    assert seen[Place.INPUTS] == [False, False], "all copies read the same activations"
    assert [guard.corrects(p) for p in (Place.COMPUTATION, Place.WEIGHTS, Place.INPUTS)] == [
        copies == 3, copies == 3 and weights, False,
    ]  # fmt: skip


def test_computing_again_corrects_what_happened_once() -> None:
    task = lx.load_task("digits")
    sites = lx.find_sites(task.model, task.example_input)
    model = lx.approximate(task, Plan.assign(sites, [Redundancy(2, True, "recompute")]))
    guard = next(emulated(model)).guard
    assert isinstance(guard, OutputGuard)
    assert [guard.corrects(p) for p in (Place.COMPUTATION, Place.WEIGHTS)] == [True, False]


def test_demand_counts_copies_of_weights_only_where_there_are_some() -> None:
    task = lx.load_task("digits")
    demand = Demand.of(lx.find_sites(task.model, task.example_input)[1])
    assert Redundancy(3).demand(demand, {}).weight_storage_bits == demand.weight_storage_bits
    assert Redundancy(3, weights=True).demand(demand, {}).weight_storage_bits == 3 * demand.weight_storage_bits


@pytest.mark.parametrize(
    "wrong", [{"copies": 1}, {"copies": 4}, {"response": "stop"}, {"copies": 3, "response": "recompute"}]
)
def test_refusals(wrong: dict[str, object]) -> None:
    with pytest.raises(PlanError, match="redundancy"):
        Redundancy(**wrong)  # type: ignore[arg-type]
