"""What holds for every criterion, and what is an error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import laxity as lx
from laxity.core.errors import ConfigError, DataError, RegistryError, TaskError
from laxity.relevance import CRITERIA, Taylor, relevances, subject_of
from laxity.sites.prepare import prepare
from laxity.task.make import make_task


@pytest.fixture(scope="module")
def task():
    return lx.load_task("digits")


@pytest.mark.parametrize("criterion", CRITERIA.names())
def test_every_criterion(task, criterion):
    found = relevances(task, criterion, samples=40, seed=3)
    sites = {site.name: site for site in lx.find_sites(task.model, task.example_input)}
    assert list(found) == list(sites)
    for name, scores in found.items():
        assert scores.dtype == np.float64
        assert scores.shape == (sites[name].op.weight_shape[0],)
        assert len(np.unique(scores)) > 1
    again = relevances(task, criterion, samples=40, seed=3)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert CRITERIA[criterion].kind == criterion


@pytest.mark.parametrize("criterion", CRITERIA.names())
def test_the_network_stays_as_it_is(task, criterion):
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    prepared = prepare(task.model, task.example_input)
    wanted = prepared.model(task.example_input)
    relevances(task, criterion, samples=8, prepared=prepared)
    assert torch.equal(prepared.model(task.example_input), wanted)
    assert not any(m._forward_hooks for m in prepared.model.modules())
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())


def test_samples_come_from_the_split_and_the_seed(task):
    forbidden = replace(task, validation=None, test=None, fingerprint="kept")
    subject = subject_of(forbidden, samples=30, seed=1)
    same, other = subject_of(task, samples=30, seed=1), subject_of(task, samples=30, seed=2)
    assert torch.equal(subject.inputs, same.inputs)
    assert not torch.equal(subject.inputs, other.inputs)
    held = {tuple(row) for row in task.calibration.fetch(range(len(task.calibration)))[0].flatten(1).tolist()}
    drawn = subject_of(task, samples=30, split="calibration")
    assert {tuple(row) for row in drawn.inputs.flatten(1).tolist()} <= held
    assert len(subject_of(task, samples=10**6).inputs) == len(task.train)
    with pytest.raises(ConfigError, match="'train' or 'calibration', not 'validation'"):
        relevances(task, "taylor", split="validation")
    with pytest.raises(DataError, match="at least 1"):
        relevances(task, "taylor", samples=0)


@torch.no_grad()
def test_magnitude_is_the_norm_of_the_folded_filter():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    norm.weight.data.uniform_(0.5, 2)
    norm.running_var.uniform_(0.5, 2)
    layers = (nn.Conv2d(2, 4, 3, groups=2), norm, nn.ConvTranspose2d(4, 6, 2, groups=2), nn.Flatten(), nn.Linear(96, 3))
    x = torch.randn(12, 2, 5, 5)
    task = make_task("norms", nn.Sequential(*layers), train=(x, torch.arange(12) % 3), num_classes=3)
    found = relevances(task, "magnitude")
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    wanted = [float((layers[0].weight[c] * gain[c]).abs().sum()) for c in range(4)]
    np.testing.assert_allclose(found["0"], wanted, rtol=1e-5)
    weight = layers[2].weight
    wanted = [float(weight[2 * (c // 3) : 2 * (c // 3) + 2, c % 3].abs().sum()) for c in range(6)]
    np.testing.assert_allclose(found["2"], wanted, rtol=1e-5)
    np.testing.assert_allclose(found["4"], layers[4].weight.abs().sum(1).detach(), rtol=1e-5)


def test_random_numbers_differ_by_seed_and_site(task):
    one, two = relevances(task, "random", seed=0), relevances(task, "random", seed=1)
    assert all(not np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["conv2"][:8], one["conv3"][:8])


def test_options_and_names(task):
    with pytest.raises(RegistryError, match="did you mean 'taylor'"):
        relevances(task, "tailor")
    with pytest.raises(ConfigError, match="no option 'window'; it has none"):
        relevances(task, "taylor", window=3)
    with pytest.raises(ConfigError, match="set the fields"):
        relevances(task, Taylor(), window=3)
    assert relevances(task, Taylor(), samples=8).keys() == relevances(task, "taylor", samples=8).keys()


def test_numbers_that_are_none_are_an_error(task):
    class Broken(Taylor):
        def scores(self, subject):
            return {name: values * np.nan for name, values in super().scores(subject).items()}

    with pytest.raises(TaskError, match="'taylor' finds NaN or infinite relevance at site 'conv1'"):
        relevances(task, Broken(), samples=4)
