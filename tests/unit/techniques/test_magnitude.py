"""Class-blind magnitude pruning against a brute-force global threshold."""

import numpy as np
import pytest
import torch
from torch import nn

from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.op import Op, Site
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.emulate import EmulatedLayer, approximate
from laxity.recovery.train import retrain
from laxity.task import make_task
from laxity.techniques import Integer, MagnitudePruning


def network(seed=0):
    """Two convolutions and a linear layer whose weights have very different scales."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4 * 4, 3)
    )
    with torch.no_grad():
        model[0].weight.mul_(10)
        model[2].weight.mul_(0.1)
    return model


def masks(model):
    return {n: m.structure.mask.bool() for n, m in model.named_modules() if isinstance(m, EmulatedLayer)}


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("normalised", [True, False])
def test_threshold_is_global_and_blind_to_layers(density, normalised):
    model, x = network(), torch.rand(4, 1, 8, 8)
    plan = Plan(tuple((n, Slot.STRUCTURE, MagnitudePruning(density, normalised)) for n in ("0", "2", "5")))
    found = masks(approximate(model, plan, calibration=x))
    scores = {}
    for name in ("0", "2", "5"):
        weight = model.get_submodule(name).weight.detach().double().numpy()
        scores[name] = np.abs(weight) / (np.sqrt((weight**2).mean()) if normalised else 1)
    pooled = sorted((s, n, i) for n, values in scores.items() for i, s in enumerate(values.ravel()))
    keep = max(1, round(density * len(pooled)))
    wanted = {(n, i) for _, n, i in pooled[-keep:]}
    got = {(n, int(i)) for n, mask in found.items() for i in np.flatnonzero(mask.numpy())}
    assert got == wanted


def test_unnormalised_threshold_empties_layers_of_small_scale():
    plan = Plan(tuple((n, Slot.STRUCTURE, MagnitudePruning(0.2, False)) for n in ("0", "2", "5")))
    found = masks(approximate(network(), plan, calibration=torch.rand(4, 1, 8, 8)))
    assert found["0"].float().mean() > 0.9
    assert found["2"].float().mean() < 0.05


def test_different_choices_have_their_own_threshold():
    plan = Plan((("0", Slot.STRUCTURE, MagnitudePruning(0.5)), ("5", Slot.STRUCTURE, MagnitudePruning(0.25))))
    found = masks(approximate(network(), plan, calibration=torch.rand(4, 1, 8, 8)))
    assert int(found["0"].sum()) == 18
    assert int(found["5"].sum()) == 72
    assert set(found) == {"0", "5"}


def test_equal_weights_are_kept_up_to_the_density():
    layer = nn.Linear(10, 4)
    nn.init.constant_(layer.weight, 0.5)
    model = nn.Sequential(layer)
    plan = Plan((("0", Slot.STRUCTURE, MagnitudePruning(0.25)),))
    assert int(masks(approximate(model, plan, calibration=torch.rand(2, 10)))["0"].sum()) == 10


def toy_task():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(120, 1, 8, 8, generator=generator)
    y = (x.mean((1, 2, 3)) * 30).long() % 3
    return make_task("toy", network(), train=(x, y))


def test_masks_survive_retraining():
    task = toy_task()
    choices = [MagnitudePruning(0.4), Integer(6, 8, "affine")]
    plan = Plan(tuple((n, c.slot, c) for n in ("0", "2", "5") for c in choices))
    model = approximate(task, plan)
    before = masks(model)
    start = {n: model.get_submodule(n).weight.clone() for n in before}
    retrain(model, task, Recovery(epochs=2, learning_rate=1e-2, batch_size=16), seed=0)
    for name, mask in masks(model).items():
        layer = model.get_submodule(name)
        assert torch.equal(mask, before[name])
        assert not layer.used_weight()[~mask].any()
        assert not torch.equal(layer.weight[mask], start[name][mask])
        codes, _, _ = layer.stored_codes()
        scale, zero = layer.operand.weight.scale_and_zero(layer.used_weight())
        value = layer.operand.weight.represent(layer.used_weight(), codes, scale, zero)
        assert not value[~mask].any()
        assert layer.facts()["weight_nonzeros"] == torch.count_nonzero(value) <= mask.sum()


@pytest.mark.parametrize("nonzeros", [0, 10, 66, 67, 100])
def test_storage_is_sparse_only_where_that_is_smaller(nonzeros):
    site = Site("fc", Op("linear", (10,), (10, 10), (10,), 1, 1, 10, 10), (Slot.STRUCTURE,), "fc")
    demand = MagnitudePruning(0.5).demand(Demand.of(site), {"weight_nonzeros": nonzeros})
    assert demand.weight_nonzeros == nonzeros
    assert demand.weight_storage_bits == min(nonzeros * (8 + 4), 100 * 8)


@pytest.mark.parametrize("density", [0.0, -0.1, 1.1, float("nan")])
def test_density_outside_its_range_is_refused(density):
    with pytest.raises(PlanError, match=r"density of 'magnitude' is a fraction in \(0, 1\], not"):
        MagnitudePruning(density)


def test_candidates_fall_in_density():
    densities = [c.density for c in MagnitudePruning.candidates(None)]
    assert densities == sorted(densities, reverse=True)
    assert MagnitudePruning(0.35).label() == "35% kept"
