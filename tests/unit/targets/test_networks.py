"""Trained networks on every target, from the plan to the cost."""

import json

import pytest

import laxity as lx
from laxity.core.errors import TargetError
from laxity.core.estimate import Basis
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.techniques import BFloat16, CircuitAccumulator, CircuitMultiplier, ComposedProduct, Integer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluators(tmp_path_factory):
    folder = tmp_path_factory.mktemp("targets")
    zynq = folder / "zynq.toml"
    zynq.write_text('extends = "zynq-7020"\nlut_source = "netlist"\n')
    targets = {"eyeriss": "eyeriss-like", "zynq": str(zynq)}
    samples = {"probe_samples": 20, "search_samples": 20}
    return {name: Evaluator(Setup(task={"spec": "digits"}, target=t, **samples)) for name, t in targets.items()}


@pytest.mark.parametrize("name", ["eyeriss", "zynq"])
def test_operands_multipliers_and_adders_of_a_plan_reach_the_cost(evaluators, name):
    evaluator = evaluators[name]
    ratio = {}
    for label, choices in {
        "exact": (),
        "4-bit operands": (Integer(4, 4),),
        "optrunc8_3": (CircuitMultiplier("optrunc8_3"),),
        "adder": (CircuitAccumulator("loa24_6"),),
        "wide": (Integer(16, 16), ComposedProduct("drum8_4")),
    }.items():
        plan = evaluator.base.with_("conv2", *choices) if choices else evaluator.base
        cost = evaluator.cost(plan, evaluator.model(plan))
        ratio[label] = cost.energy_pj.value / evaluator.base_energy_pj
        assert "conv2" in cost.by_site()
    assert ratio["exact"] == 1
    assert ratio["4-bit operands"] < 1
    assert ratio["optrunc8_3"] < 1
    assert ratio["wide"] > 1
    assert ratio["adder"] > 0.5


def test_bfloat16_has_a_price_on_the_device_for_which_it_was_published_only(evaluators):
    zynq, eyeriss = evaluators["zynq"], evaluators["eyeriss"]
    plan = zynq.base.with_("conv2", BFloat16(2, 3))
    cost = zynq.cost(plan, zynq.model(plan))
    assert cost.resources["units"].value in (32, 64, 128, 256)
    assert cost.by_component()["control"].basis is Basis.SCALED
    with pytest.raises(TargetError, match="'conv2' computes floating-point products E8M3 x E8M2"):
        eyeriss.cost(plan, eyeriss.model(plan))


def test_a_search_on_the_eyeriss_like_array_finds_a_cheaper_plan(tmp_path):
    result = lx.optimize("digits", "eyeriss-like", max_drop=0.01, out=tmp_path / "run", effort="quick")
    assert result.met
    assert result.metrics["energy_pj"]["ratio"] < 1
    details = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert details["target"]["name"] == "eyeriss-like"
    assert {c["name"] for c in details["target"]["constants"]} >= {"energy.mac", "energy.dram"}
