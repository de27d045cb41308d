"""Choosing channels by relevance, and silencing them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import laxity as lx
from laxity.core.errors import ConfigError, PlanError
from laxity.evaluation.quality import predict
from laxity.relevance import least_relevant, relevances, silenced
from laxity.sites.prepare import prepare

SCORES = {"a": np.array([0.3, 0.1, 0.2, 0.1]), "b": np.array([5.0, 0.15])}


def test_least_relevant_of_every_site_and_of_the_network():
    chosen = least_relevant(SCORES, 0.5)
    assert {name: mask.tolist() for name, mask in chosen.items()} == {
        "a": [False, True, False, True],
        "b": [False, True],
    }
    chosen = least_relevant(SCORES, 0.5, across="network")
    assert {name: mask.tolist() for name, mask in chosen.items()} == {
        "a": [False, True, False, True],
        "b": [False, True],
    }
    chosen = least_relevant({name: -values for name, values in SCORES.items()}, 1 / 3, across="network")
    assert {name: mask.tolist() for name, mask in chosen.items()} == {
        "a": [True, False, False, False],
        "b": [True, False],
    }
    assert not any(mask.any() for mask in least_relevant(SCORES, 0.0).values())
    assert all(mask.all() for mask in least_relevant(SCORES, 1.0).values())
    assert least_relevant({}, 0.5, across="network") == {}
    with pytest.raises(ConfigError, match=r"from 0 to 1, not 1\.5"):
        least_relevant(SCORES, 1.5)
    with pytest.raises(ConfigError, match="not 'layer'"):
        least_relevant(SCORES, 0.5, across="layer")


@pytest.mark.parametrize("approximate", [False, True])
def test_silenced_channels_are_zero_and_come_back(approximate):
    task = lx.load_task("digits")
    sites = lx.find_sites(task.model, task.example_input)
    plan = lx.Plan.assign(sites, [lx.Integer()])
    model = lx.approximate(task, plan) if approximate else prepare(task.model, task.example_input).model
    x = task.validation.fetch(range(5))[0]
    seen = {}
    for name in ("conv2", "linear"):
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        before = model(x)
        masks = {"conv2": np.arange(model.get_submodule("conv2").weight.shape[0]) % 3 == 0, "linear": np.arange(10) < 2}
        with silenced(model, masks):
            inside = model(x)
        assert torch.equal(model(x), before)
        assert not inside[:, :2].any()
        assert inside[:, 2:].all()
        assert not torch.equal(inside[:, 2:], before[:, 2:])
    for hooked, masked in (({"nothing": masks["conv2"]}, "'nothing'"), ({"conv2": masks["linear"]}, "not 10")):
        with pytest.raises(PlanError, match=masked), silenced(model, hooked):
            pass


@pytest.mark.slow
def test_channels_of_low_relevance_can_be_done_without():
    """On digits: what a criterion calls irrelevant costs less accuracy than what it calls relevant, and than chance."""
    task = lx.load_task("digits")
    prepared = prepare(task.model, task.example_input)

    def mean_accuracy(criterion, sign, seed=0):
        scores = relevances(task, criterion, samples=256, seed=seed, prepared=prepared)
        inner = {name: sign * values for name, values in scores.items() if name != "linear"}
        found = []
        for share in (0.1, 0.2, 0.3):
            with silenced(prepared.model, least_relevant(inner, share)):
                found.append(predict(prepared.model, task, "test", limit=400).quality().value)
        return np.mean(found)

    chance = np.mean([mean_accuracy("random", 1, seed) for seed in range(4)])
    for criterion in ("lrp_zplus", "lrp_epsilon", "taylor"):
        least, most = mean_accuracy(criterion, 1), mean_accuracy(criterion, -1)
        assert least > most + 0.1
        assert least > chance + 0.05
