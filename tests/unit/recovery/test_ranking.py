"""Predicted against true harm of multipliers."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from laxity import load_task
from laxity.circuits import catalogue
from laxity.circuits.wide import core
from laxity.core.errors import DataError, PlanError, RegistryError
from laxity.core.plan import Plan, Recovery
from laxity.emulate.apply import calibration_inputs, realise
from laxity.emulate.build import emulated
from laxity.recovery import (
    ElementErrors,
    ErrorModel,
    Feeling,
    Observation,
    SiteObservation,
    approximate_names,
    check_moments,
    error_models,
    first_order,
    fit,
    harm,
    observe,
    rank_multipliers,
)
from laxity.sites.prepare import prepare
from laxity.task.splits import batches
from laxity.techniques import CircuitMultiplier, Integer

MIXED = [*approximate_names()[::4], "coltrunc8_10", "optrunc8_5"]
TRUNCATING = ["optrunc8_2", "optrunc8_3", "coltrunc8_8", "perf8_0_3"]


def true_harm(model, names, inputs, labels):
    """Harm by running the circuits themselves."""
    with torch.no_grad():
        for layer in emulated(model):
            layer.multiplier = None
        before = torch.cat([model(x) for x in inputs])
        found = {}
        for name in names:
            for layer in emulated(model):
                layer.multiplier = core(name)
            found[name] = harm(before, torch.cat([model(x) for x in inputs]), labels)
    return found


def test_harm_of_known_logits():
    before = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]))
    after = torch.log(torch.tensor([[0.2, 0.7, 0.1], [0.1, 0.8, 0.1]]))
    found = harm(before, after, torch.tensor([0, 0]))
    assert found.accuracy_drop == 0.5
    assert found.divergence == pytest.approx((0.7 * math.log(3.5) + 0.2 * math.log(2 / 7)) / 2, rel=1e-5)
    assert found.loss_increase == pytest.approx(math.log(3.5) / 2, rel=1e-5)
    assert harm(before, after).accuracy_drop == 0.5
    assert harm(before, before).accuracy_drop == harm(before, before).divergence == 0
    with pytest.raises(DataError, match="2 inputs need as many labels"):
        harm(before, after, torch.tensor([1]))


def linear_observation(operand, unit):
    """One linear layer with two kernels that is the whole network: derivatives are 1, and y its logits."""
    logits = torch.tensor([[3.0, 1.0], [-2.0, 5.0], [4.0, 4.5]])
    classes = logits.topk(2).indices
    chosen = torch.nn.functional.one_hot(classes, 2).float()
    feeling = Feeling(chosen, chosen * logits[:, None], chosen)
    none = torch.empty(1, 0, 2)
    seen = SiteObservation(
        "head", operand, none, none, np.ones(1), np.ones(1), none, unit, products=False, feeling=feeling
    )
    return Observation({"head": seen}, logits, classes)


@pytest.mark.parametrize("slope", [[-0.1, -0.1], [0.3, -0.2]])
@pytest.mark.parametrize("offset", [[0.0, 0.0], [5.0, -8.0]])
def test_first_order_is_exact_for_the_last_layer(slope, offset):
    unit = torch.tensor([0.5, 0.25])
    observed = linear_observation(None, unit)
    parts = (torch.tensor(v) for v in (slope, offset, [-1e9] * 2, [1e9] * 2, [0.0, 0.0]))
    found = first_order(observed, {"head": ErrorModel("head", *parts, 1.0)})
    after = observed.logits * (1 + torch.tensor(slope)) + torch.tensor(offset) * unit
    wanted = harm(observed.logits, after)
    assert found.divergence == pytest.approx(wanted.divergence, rel=1e-5, abs=1e-7)
    assert found.accuracy_drop == pytest.approx(wanted.accuracy_drop)


def test_unexplained_errors_do_harm_on_average():
    observed = linear_observation(None, torch.tensor([1.0, 1.0]))
    zero = torch.zeros(2)
    by_spread = [
        first_order(observed, {"head": ErrorModel("head", zero, zero, zero, zero, torch.full((2,), s), 0.0)})
        for s in (0.0, 0.5, 2.0)
    ]
    assert by_spread[0].divergence < 1e-7
    assert by_spread[0].divergence < by_spread[1].divergence < by_spread[2].divergence
    with pytest.raises(DataError, match="felt_samples"):
        first_order(Observation({}, torch.empty(0, 0), torch.empty(0, 0, dtype=torch.int64)), {})


def test_ranking_of_digits(digits):
    plan = Plan.assign(find(digits), [Integer(), CircuitMultiplier("mitchell8")]).with_recovery(Recovery())
    seen = []
    found = rank_multipliers(digits.task, plan, MIXED, seed=1, progress=lambda *done: seen.append(done))
    assert seen == [(i, len(MIXED)) for i in range(1, len(MIXED) + 1)]
    assert sorted(row.name for row in found) == sorted(MIXED)
    assert [row.harm.divergence for row in found] == sorted(row.harm.divergence for row in found)
    x, y = next(iter(batches(digits.task.validation, 300, limit=300)))
    truth = true_harm(digits.build(), MIXED, [x], y)
    true = [truth[row.name] for row in found]
    assert spearmanr([row.harm.divergence for row in found], [t.divergence for t in true])[0] > 0.95
    harmful = [i for i, t in enumerate(true) if t.accuracy_drop > 0.1]
    assert len(harmful) >= 2
    assert min(found[i].harm.accuracy_drop for i in harmful) > 0.05
    assert max(row.harm.accuracy_drop for row, t in zip(found, true, strict=True) if t.accuracy_drop < 0.005) < 0.02


def find(digits):
    return prepare(digits.task.model, digits.task.example_input).sites


def test_refined_multipliers_come_first(digits):
    names = ["drum8_3", "dadda8", "coltrunc8_10", "mitchell8"]
    first, refined = (rank_multipliers(digits.task, digits.plan, names, refine=n) for n in (0, 2))
    assert {row.basis for row in first} == {"first order"}
    assert [row.basis for row in refined] == ["modelled"] * 2 + ["first order"] * 2
    assert {row.name for row in refined[:2]} == {row.name for row in first[:2]}
    assert refined[2:] == first[2:]
    assert (first[0].name, refined[0].name) == ("dadda8", "dadda8")
    for rows in (first, refined):
        assert rows[0].harm.divergence < 1e-6
        assert rows[0].harm.accuracy_drop == rows[0].slope == 0
    assert first[-1].name == "coltrunc8_10"


def test_bare_models_are_judged_by_their_own_decisions(digits):
    x = torch.cat(digits.inputs)
    found = rank_multipliers(digits.task.model, digits.plan, ["drum8_6", "coltrunc8_10"], calibration=x, samples=48)
    assert [row.name for row in found] == ["drum8_6", "coltrunc8_10"]
    assert found[0].harm.accuracy_drop < 0.03 < found[1].harm.accuracy_drop


def test_what_cannot_be_ranked_is_refused(digits):
    with pytest.raises(PlanError, match="calibration"):
        rank_multipliers(digits.task.model, digits.plan)
    with pytest.raises(PlanError, match="two's complement"):
        rank_multipliers(digits.task, digits.plan, ["dadda8s"])
    with pytest.raises(RegistryError, match="did you mean"):
        rank_multipliers(digits.task, digits.plan, ["mitchel8"])
    with pytest.raises(PlanError, match="no site with codes"):
        rank_multipliers(digits.task, Plan())


def test_names_are_of_multipliers_with_errors():
    names = approximate_names()
    assert len(names) > 100
    assert {"mitchell8", "optrunc8_3"} <= set(names)
    assert not {"dadda8", "wallace8", "array8", "booth8"} & set(names)


@pytest.fixture(scope="module")
def resnet(data_dir):
    if not (data_dir / "resnet_cifar10").is_dir():
        pytest.skip("no resnet_cifar10 in the data folder")
    torch.set_num_threads(1)
    task = load_task("cifar10", data_dir=data_dir)
    prepared = prepare(task.model, task.example_input)
    plan = Plan.assign(prepared.sites, [Integer()])
    inputs = calibration_inputs(task, "cpu", 192)
    return task, plan, realise(prepared, plan, inputs), inputs


@pytest.mark.slow
def test_ranking_of_a_residual_network(resnet):
    task, plan, model, _ = resnet
    names = MIXED
    found = rank_multipliers(task, plan, names)
    x, y = next(iter(batches(task.validation, 256, limit=256)))
    truth = true_harm(model, names, list(x.split(64)), y)
    true = [truth[row.name] for row in found]
    assert spearmanr([row.harm.divergence for row in found], [t.divergence for t in true])[0] > 0.95
    assert spearmanr([row.harm.divergence for row in found], [t.accuracy_drop for t in true])[0] > 0.9


@pytest.mark.slow
def test_relations_that_were_published_or_measured_before(resnet):
    """Slopes and spreads of convolutions behind ReLU, and how far independence is from true."""
    _, _, model, inputs = resnet
    for layer in emulated(model):
        layer.multiplier = None
    seen, held_out = (observe(model, part, seed=0) for part in (inputs[:2], inputs[2:]))
    sites = [name for name in seen.sites if name != next(iter(seen.sites)) and seen.sites[name].kernels > 10]
    checks, models = {}, {}
    for name in [*TRUNCATING, "mitchell8", "roba8", "drum8_3"]:
        both = [(seen.sites[s], held_out.sites[s]) for s in sites]
        errors = [ElementErrors.of(a.operand, catalogue.get(name), a.site) for a, _ in both]
        checks[name] = [check_moments(e, *pair) for e, pair in zip(errors, both, strict=True)]
        models[name] = [fit(e.sums(a), a) for e, (a, _) in zip(errors, both, strict=True)]

    def median(values):
        return float(np.median(list(values)))

    for name in TRUNCATING:
        assert median(c.correlation for c in checks[name]) > 0.9
        assert median(c.sampled_correlation for c in checks[name]) > 0.95
        assert all(float(m.slope) < 0 for m in models[name])
    for name in ("optrunc8_3", "mitchell8"):
        assert median(c.independent_spread for c in checks[name]) < 0.85
    assert median(float(m.slope) for m in models["mitchell8"]) == pytest.approx(-0.038, abs=0.005)
    assert abs(median(float(m.slope) for m in models["roba8"])) < 0.01
    assert median(m.r2 for m in models["roba8"]) < 0.05 < median(m.r2 for m in models["optrunc8_3"])
    for found in checks.values():
        assert median(c.sampled_spread for c in found) == pytest.approx(1, abs=0.1)


def test_models_are_fitted_to_the_multiplier_of_each_site(digits):
    model = digits.build()
    layers = list(emulated(model))
    layers[0].multiplier, layers[1].multiplier = core("mitchell8"), core("optrunc8_3")
    found = error_models(model, digits.inputs, seed=0)
    observed = observe(model, digits.inputs, seed=0, approximate=True)
    for layer, name in zip(layers, ("mitchell8", "optrunc8_3", "dadda8", "dadda8"), strict=True):
        seen = observed.sites[layer.site.name]
        wanted = fit(ElementErrors.of(seen.operand, core(name), "").sums(seen), seen)
        assert torch.equal(found[layer.site.name].slope, wanted.slope)
