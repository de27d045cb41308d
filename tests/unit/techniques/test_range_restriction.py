"""Bounds of outputs: found on calibration data, kept in files, and what happens beyond them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import laxity as lx
from laxity.core.errors import DataError, PlanError
from laxity.core.plan import Plan, Recovery
from laxity.emulate.apply import calibration_inputs
from laxity.emulate.build import build, calibrate, emulated
from laxity.emulate.weights import read_state, restore, save_state
from laxity.sites.prepare import prepare
from laxity.task import Task
from laxity.techniques import CircuitMultiplier, Integer, RangeRestriction
from laxity.techniques.hardware.range_restriction import RangeGuard


@cache
def digits() -> Task:
    return lx.load_task("digits")


def plan_of(*choices: object) -> Plan:
    task = digits()
    return Plan.assign(lx.find_sites(task.model, task.example_input), choices)  # type: ignore[arg-type]


def outputs_of(model: nn.Module, inputs: list[Tensor]) -> dict[str, Tensor]:
    """What every emulated layer gives before its guard, float32 (n, ...)."""
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        for layer in emulated(model):
            layer.guard = None
            layer.register_forward_hook(lambda m, _, y: found.setdefault(m.site.name, []).append(y))
        for x in inputs:
            model(x)
    return {name: torch.cat(ys) for name, ys in found.items()}


@pytest.mark.parametrize("operands", [[], [Integer()], [Integer(), CircuitMultiplier("drum8_4")]], ids=len)
@pytest.mark.parametrize("granularity", ["layer", "channel"])
def test_bounds_are_the_extremes_of_the_outputs_without_faults(operands: list[object], granularity: str) -> None:
    task = digits()
    plan = plan_of(*operands, RangeRestriction(granularity))
    model = lx.approximate(task, plan)
    inputs = calibration_inputs(task, "cpu")
    wanted = outputs_of(copy.deepcopy(model), inputs)
    for layer in emulated(model):
        guard, y = layer.guard, wanted[layer.site.name].numpy()
        axes = tuple(a for a in range(y.ndim) if a != 1) if granularity == "channel" else None
        assert isinstance(guard, RangeGuard)
        assert np.array_equal(guard.low.numpy(), np.atleast_1d(y.min(axis=axes)))
        assert np.array_equal(guard.high.numpy(), np.atleast_1d(y.max(axis=axes)))
    bare = lx.approximate(task, plan_of(*operands)) if operands else task.model.eval()
    with torch.no_grad():
        for x in inputs:
            assert torch.allclose(model(x), bare(x), rtol=1e-5, atol=1e-5)


def test_bounds_are_those_of_the_repaired_network() -> None:
    task = digits()
    plan = plan_of(Integer(), CircuitMultiplier("coltrunc8_6"), RangeRestriction())
    model = lx.approximate(task, plan.with_recovery(Recovery(reestimate=False, compensate=True)))
    wanted = outputs_of(copy.deepcopy(model), calibration_inputs(task, "cpu"))
    for layer in emulated(model):
        assert isinstance(layer.guard, RangeGuard)
        assert float(layer.guard.high) == float(wanted[layer.site.name].max())


@pytest.mark.parametrize("granularity", ["layer", "channel"])
@pytest.mark.parametrize("action", ["clamp", "zero"])
def test_outputs_beyond_bounds(granularity: str, action: str) -> None:
    channels = 3 if granularity == "channel" else 1
    guard = RangeGuard(channels, -3, action, 1.0)
    low, high = torch.tensor([-1.0, -2.0, 0.5])[:channels], torch.tensor([1.0, 0.0, 2.0])[:channels]
    guard.low.copy_(low)
    guard.high.copy_(high)
    special = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 0.0, -0.0, 1.0])
    y = special.repeat(2 * 3 * 4 * 5)[: 2 * 3 * 4 * 5].reshape(2, 3, 4, 5)
    found = guard(y)
    for place in np.ndindex(*y.shape):
        value, channel = float(y[place]), place[1] if channels == 3 else 0
        a, b = float(low[channel]), float(high[channel])
        if value != value:
            wanted = 0.0
        elif a <= value <= b:
            wanted = value
        else:
            wanted = 0.0 if action == "zero" else min(max(value, a), b)
        assert float(found[place]) == wanted


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20), st.sampled_from([0.5, 1.0, 1.25, 3.0]))
def test_margin_moves_bounds_from_the_middle(values: list[float], margin: float) -> None:
    guard = RangeGuard(1, -1, "clamp", margin)
    for part in torch.tensor(values)[:, None].split(3):
        guard.observe(part)
    guard.settle("here")
    middle, reach = (max(values) + min(values)) / 2, (max(values) - min(values)) / 2
    tolerance = 1e-6 * max(1.0, abs(middle) + reach)
    assert float(guard.low) == pytest.approx(middle - margin * reach, abs=tolerance, rel=1e-6)
    assert float(guard.high) == pytest.approx(middle + margin * reach, abs=tolerance, rel=1e-6)
    if margin == 1:
        assert (float(guard.low), float(guard.high)) == (min(values), max(values))


@pytest.mark.parametrize("operands", [[], [Integer()]], ids=["fp32", "int8"])
def test_files_hold_the_bounds(operands: list[object], tmp_path: Path) -> None:
    task = digits()
    plan = plan_of(*operands, RangeRestriction("channel", "zero", 1.2))
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    model = lx.approximate(task, plan)
    save_state(model, tmp_path / "weights.safetensors")
    again = restore(prepare(task.model, task.example_input), plan, read_state(tmp_path / "weights.safetensors"))
    for a, b in zip(emulated(model), emulated(again), strict=True):
        assert isinstance(a.guard, RangeGuard)
        assert isinstance(b.guard, RangeGuard)
        assert torch.equal(a.guard.low, b.guard.low)
        assert torch.equal(a.guard.high, b.guard.high)
        assert bool(torch.isfinite(b.guard.low).all())
    x = 5 * task.example_input
    with torch.no_grad():
        assert torch.equal(model(x), again(x))


def test_layers_of_all_kinds() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.ReLU(), nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), nn.Flatten(), nn.Linear(102, 3)
    ).eval()
    x = torch.randn(20, 2, 10)
    plan = Plan.assign(lx.find_sites(model, x), [RangeRestriction("channel")])
    guards = [layer.guard for layer in emulated(lx.approximate(model, plan, calibration=x))]
    y = x
    for module in model:
        y = module(y)
        if not isinstance(module, (nn.ReLU, nn.Flatten)):
            guard = guards.pop(0)
            assert isinstance(guard, RangeGuard)
            assert torch.allclose(guard.high, y.movedim(1, 0).flatten(1).amax(1), atol=1e-6)


def test_clean_accuracy_hardly_changes() -> None:
    task = digits()
    inputs, labels = task.test.fetch(range(len(task.test)))
    with torch.no_grad():
        before = int((task.model.eval()(inputs).argmax(1) == labels).sum())
        after = int((lx.approximate(task, plan_of(RangeRestriction("channel")))(inputs).argmax(1) == labels).sum())
    assert abs(before - after) <= 2


def test_a_site_that_no_input_reaches() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.first(x)
            return self.second(y) if bool((x > 0).all()) else y

    model = Sometimes().eval()
    prepared = prepare(model, torch.ones(1, 3))
    built = build(prepared, Plan.assign(prepared.sites, [RangeRestriction()]))
    with pytest.raises(PlanError, match="'second' was not reached"):
        calibrate(built, [-torch.ones(4, 3)])


def test_bad_parameters_and_data() -> None:
    for wrong in ({"granularity": "pixel"}, {"action": "stop"}, {"margin": 0.0}, {"margin": float("nan")}):
        with pytest.raises(PlanError, match=next(iter(wrong))):
            RangeRestriction(**wrong)  # type: ignore[arg-type]
    guard = RangeGuard(1, -1, "clamp", 1.0)
    guard.observe(torch.tensor([[1.0], [float("inf")]]))
    with pytest.raises(DataError, match="not finite"):
        guard.settle("here")


def test_demand_and_search() -> None:
    task = digits()
    site = lx.find_sites(task.model, task.example_input)[0]
    from laxity.core.demand import Demand

    demand = Demand.of(site)
    choice = RangeRestriction()
    assert choice.demand(demand, {}) == replace(demand, guard=choice.demand(demand, {}).guard)
    assert not RangeRestriction.candidates(site)
