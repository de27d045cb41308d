"""The evaluator and the demands that it hands to the target."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from laxity.core.demand import Demand
from laxity.core.errors import ConfigError, PlanError
from laxity.core.plan import Plan, Recovery
from laxity.emulate import approximate
from laxity.evaluation.cost import demands
from laxity.evaluation.evaluator import Evaluator, Setup, check_device, plan_level
from laxity.sites import find_sites
from laxity.techniques import ChannelPruning, CircuitMultiplier, Integer, MagnitudePruning


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(Setup(task={"spec": "digits"}, target="mac-array-45nm", probe_samples=50, search_samples=80))


def test_the_base_costs_itself(evaluator):
    record = evaluator.evaluate(evaluator.base, "baseline")
    assert record.energy_ratio == 1.0
    assert record.level == ""
    assert abs(record.drop) < 0.01
    assert record.quality.samples == 400
    assert record.plan_key == evaluator.base.key
    assert record.fingerprint == evaluator.task.fingerprint


@pytest.mark.parametrize(("stage", "samples"), [("sensitivity", 50), ("search", 80), ("recovery", 400)])
def test_stages_differ_in_samples_only(evaluator, stage, samples):
    plan = evaluator.base.with_("conv2", Integer(4, 6))
    record, again = evaluator.evaluate(plan, stage), evaluator.evaluate(plan, stage)
    assert record.quality.samples == samples
    assert replace(record, seconds=0) == replace(again, seconds=0)
    assert record.level == "data"
    assert record.energy_ratio < 1


def test_prices_of_circuits_are_costs_of_plans(evaluator):
    """Near for the last layer, where only sums differ; further off where operands of later layers do."""
    base = evaluator.base
    assert evaluator.price(base) == 1.0
    *others, last = base.sites()
    for name in ("coltrunc8_8", "drum8_4", "mitchell8"):
        plan = base.with_(last, CircuitMultiplier(name))
        cost = evaluator.evaluate(plan, "sensitivity").energy_ratio
        assert evaluator.price(plan) == pytest.approx(cost, rel=1e-3)
        for site in others:
            plan = plan.with_(site, CircuitMultiplier(name))
        assert evaluator.price(plan) == pytest.approx(evaluator.evaluate(plan, "sensitivity").energy_ratio, rel=0.03)


def test_retrained_weights_are_kept_and_read_back(tmp_path):
    plan_of = None
    setup = Setup(task={"spec": "digits"}, target="mac-array-45nm", folder=str(tmp_path))
    records = []
    for _ in range(2):
        evaluator = Evaluator(setup)
        plan_of = evaluator.base.with_("conv2", Integer(3, 5), MagnitudePruning(0.5)).with_recovery(
            Recovery(epochs=1, samples=64)
        )
        records.append(evaluator.evaluate(plan_of, "recovery"))
        assert [p.name for p in tmp_path.iterdir()] == [f"{plan_of.key}.safetensors"]
    assert replace(records[0], seconds=0) == replace(records[1], seconds=0)
    in_memory = Evaluator(replace(setup, folder=None))
    record = in_memory.evaluate(plan_of, "recovery")
    assert replace(record, seconds=0) == replace(records[0], seconds=0)
    assert replace(in_memory.evaluate(plan_of, "recovery"), seconds=0) == replace(record, seconds=0)


def test_levels_of_plans(evaluator):
    base = evaluator.base
    name = base.sites()[0]
    assert plan_level(base, base) == ""
    assert plan_level(base.with_(name, Integer(4, 4)), base) == "data"
    assert plan_level(base.with_(name, MagnitudePruning()), base) == "software"
    assert plan_level(base.with_(name, CircuitMultiplier("drum8_4")), base) == "hardware"
    assert plan_level(base.with_(name, MagnitudePruning(), Integer(4, 4)), base) == "cross"
    assert plan_level(base.with_recovery(Recovery(epochs=3)), base) == ""


def test_devices_are_checked():
    check_device("cpu")
    for name in ("tpu", "gpu", ""):
        with pytest.raises(ConfigError, match=f"unknown device '{name}'; use cpu or cuda"):
            check_device(name)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="device 'cuda' was asked for, but torch sees no CUDA device"):
            check_device("cuda")


class Crossed(nn.Module):
    """Runs its layers in another order than it registers them, with a product in between."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(6, 3)
        self.first = nn.Linear(5, 6)

    def forward(self, x):
        y = self.first(x)
        return self.last(torch.matmul(y @ y.transpose(1, 2), y).mean(1))


def test_demands_come_in_order_of_execution():
    """The words that a site puts out are as wide as the next one reads them."""
    torch.manual_seed(0)
    model, x = Crossed(), torch.randn(6, 4, 5)
    sites = find_sites(model, x)
    names = [s.name for s in sites]
    assert names == ["first", ":matmul#0", ":matmul#1", "last"]
    plan = Plan(tuple((n, c.slot, c) for n, b in zip(names, (8, 7, 6, 5), strict=True) for c in [Integer(8, b)]))
    found = demands(approximate(model, plan, calibration=x), plan, x, seed=0)
    assert [d.site for d in found] == names
    assert [d.input_bits for d in found] == [8, 7, 6, 5]
    assert [d.output_bits for d in found] == [7, 6, 5, 5]


def test_demands_follow_the_choices():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    x = torch.randn(6, 2, 8, 8)
    plan = Plan.assign(find_sites(model, x), [Integer()])
    exact = demands(approximate(model, plan, calibration=x), plan, x, seed=0)
    for demand, site in zip(exact, find_sites(model, x), strict=True):
        assert demand.macs == Demand.of(site).macs
        assert demand.weight_nonzeros <= demand.weight_elements
        assert demand.fraction_bits == 0
        assert demand.trace is not None
    slim = plan.with_("0", ChannelPruning(0.5)).with_("2", Integer(4, 6), CircuitMultiplier("mitchell8"))
    slim = slim.with_("4", MagnitudePruning(0.25))
    first, second, third = demands(approximate(model, slim, calibration=x), slim, x, seed=0)
    assert first.weight_elements == 4 * 18
    assert first.macs == exact[0].macs / 2
    assert second.macs == exact[1].macs / 2
    assert (second.weight_bits, second.input_bits, second.multiplier) == (4, 6, "mitchell8")
    assert 0 <= second.fraction_bits <= 4 + 2
    widest = second.weight_bits + second.input_bits + math.ceil(math.log2(second.reduction))
    assert second.accumulator_bits == widest + second.fraction_bits
    assert third.weight_nonzeros <= 48
    assert third.index_bits == 4


def test_what_cannot_be_costed_is_named():
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), torch.randn(3, 4)
    plan = Plan().with_("0", Integer()).with_("1", MagnitudePruning())
    with pytest.raises(PlanError, match="site '1' computes in floating point; give it an OPERAND choice to cost it"):
        demands(approximate(model, plan, calibration=x), plan, x, seed=0)
    with pytest.raises(PlanError, match="the plan is empty: no site is emulated, so there is nothing to cost"):
        demands(approximate(model, Plan(), calibration=x), Plan(), x, seed=0)
