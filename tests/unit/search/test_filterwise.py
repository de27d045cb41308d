"""Filter by filter on digits: modes are given without training, within the budget, and the same call goes on."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from laxity.core.errors import ConfigError
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot
from laxity.emulate.apply import approximate
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.relevance import relevances
from laxity.search.filters import Modes, Subject, filterwise, layerwise, networkwise
from laxity.search.filters.modes import fixed
from laxity.task.make import make_task
from laxity.techniques import FilterMultipliers, Integer

SETUP = Setup(task={"spec": "digits"}, target="mac-array-45nm", probe_samples=128, search_samples=200)
CIRCUITS = ["gated8_0_0", "gated8_3_3", "gated8_4_4"]
BITS = [8, 5, 3]


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(SETUP)


def modes_of(evaluation):
    plan = Plan.from_json(evaluation.plan)
    return {site: choice.modes for site, _, choice in plan if isinstance(choice, FilterMultipliers)}


@pytest.mark.slow
def test_the_search_stays_within_the_budget_and_goes_on_where_it_was_ended(tmp_path):
    found = filterwise(SETUP, CIRCUITS, weight_bits=BITS, relevance="taylor", max_drop=0.02, folder=tmp_path)
    assert set("".join(modes_of(found.base).values())) == {"0"}
    assert {site: len(m) for site, m in modes_of(found.base).items()} == {
        "conv1": 16,
        "conv2": 32,
        "conv3": 32,
        "linear": 10,
    }
    assert any(s.accepted for s in found.steps)
    assert all(s.accepted == (s.drop <= 0.02) for s in found.steps)
    assert found.chosen.drop <= 0.02
    assert found.chosen.quality.samples == 400
    assert found.base.quality.samples == 200
    assert found.chosen.energy_ratio < 0.85
    assert any(len(set(m)) > 1 for e in (s.evaluation for s in found.steps) for m in modes_of(e).values())
    ways = [i for i, s in enumerate(found.steps) if len(set("".join(modes_of(s.evaluation).values()))) == 1]
    accepted = [modes_of(s.evaluation) for s in found.steps[: ways[1]] if s.accepted]
    for earlier, later in itertools.pairwise(accepted):
        assert all(a <= b for site in earlier for a, b in zip(earlier[site], later[site], strict=True))
    assert all(Plan.from_json(s.evaluation.plan).recovery is None for s in found.steps)

    asked = []
    again = filterwise(
        SETUP,
        CIRCUITS,
        weight_bits=BITS,
        relevance="taylor",
        max_drop=0.02,
        folder=tmp_path,
        progress=lambda what, done, total, latest: asked.append((what, total)),
    )
    assert again == found
    assert {total for what, total in asked if what != "prices of modes"} == {0}


@pytest.mark.slow
def test_an_interrupted_search_ends_as_if_nothing_had_happened(tmp_path):
    class StopError(Exception):
        pass

    def stop(what, done, total, latest):
        if what == "modes of filters" and latest is not None and latest.energy_ratio < 0.95:
            raise StopError

    options = {"relevance": "magnitude", "max_drop": 0.02, "weight_bits": BITS}
    with pytest.raises(StopError):
        filterwise(SETUP, CIRCUITS, folder=tmp_path / "stopped", progress=stop, **options)
    judged = []
    after = filterwise(SETUP, CIRCUITS, folder=tmp_path / "stopped", progress=lambda *s: judged.append(s), **options)
    whole = filterwise(SETUP, CIRCUITS, folder=tmp_path / "whole", **options)
    assert [(s.plan, s.energy_ratio, s.accepted) for s in after.steps] == [
        (s.plan, s.energy_ratio, s.accepted) for s in whole.steps
    ]
    assert not [w for w, _, _, latest in judged if w == "modes, layer by layer" and latest is not None]


def test_layers_and_networks_are_coarser_than_filters(tmp_path):
    options = {"weight_bits": BITS, "max_drop": 0.02, "folder": tmp_path}
    layers = layerwise(SETUP, CIRCUITS, **options)
    assert all(len(set(m)) == 1 for s in layers.steps for m in modes_of(s.evaluation).values())
    network = networkwise(SETUP, CIRCUITS, **options)
    assert [set("".join(modes_of(s.evaluation).values())) for s in network.steps] == [{"1"}, {"2"}]
    assert network.base == layers.base
    assert layers.chosen.energy_ratio <= network.chosen.energy_ratio
    assert layers.saved(0.02) >= network.saved(0.02) > 0.1
    assert layers.saved(-1.0) == 0.0
    assert layers.best(1.0).energy_ratio == min(s.energy_ratio for s in layers.steps)
    front = layers.front()
    assert [e.drop for e in front] == sorted(e.drop for e in front)
    assert [e.energy_ratio for e in front] == sorted((e.energy_ratio for e in front), reverse=True)


def test_a_recipe_trains_once_and_its_weights_stay(tmp_path, monkeypatch):
    import laxity.recovery.recipe as recipe_module

    trained = []
    original = recipe_module.train
    monkeypatch.setattr(recipe_module, "train", lambda *a, **k: trained.append(k["label"]) or original(*a, **k))
    recipe = Recovery(epochs=1, samples=64, reestimate=False)
    small = replace(SETUP, search_samples=64, probe_samples=32)
    found = filterwise(
        small, CIRCUITS[:2], relevance="magnitude", max_drop=0.05, block=0.5, recipe=recipe, folder=tmp_path
    )
    assert len(trained) == 1
    assert found.chosen is not None
    own = Evaluator(replace(small, folder=str(tmp_path / "seed-0" / "checkpoints")))
    base, chosen = (own.model(Plan.from_json(e.plan)) for e in (found.base, found.chosen))
    assert len(trained) == 1
    for name, value in base.named_parameters():
        assert value.equal(dict(chosen.named_parameters())[name])
    untrained = Evaluator(small).model(Plan.from_json(found.base.plan).with_recovery(None))
    assert any(not v.equal(dict(untrained.named_parameters())[n]) for n, v in base.named_parameters())


def test_the_training_of_a_recipe_becomes_its_first_stage():
    assert fixed(None) is None
    settled = Recovery(reestimate=True, compensate=True)
    assert fixed(settled) == settled
    assert fixed(Recovery(epochs=3, gradient="error_slope", samples=10, compensate=True)) == Recovery(
        epochs=0, quantised_epochs=3, samples=10, compensate=True
    )
    assert not fixed(Recovery(epochs=3, quantised_epochs=2, modelled=True)).epochs


def test_scores_may_be_given_and_have_to_fit(evaluator):
    scores = relevances(evaluator.task, "random", seed=3, samples=8)
    found = filterwise(SETUP, CIRCUITS[:2], relevance=scores, max_drop=-1.0, block=1.0)
    assert found.chosen is None
    assert not any(s.accepted for s in found.steps)
    with pytest.raises(ConfigError, match="site 'conv2' needs one score for each of its 32 filters"):
        filterwise(SETUP, CIRCUITS, relevance={**scores, "conv2": np.ones(3)})
    with pytest.raises(ConfigError, match="site 'conv3' needs one score for each of its 32 filters, not None"):
        filterwise(SETUP, CIRCUITS, relevance={s: v for s, v in scores.items() if s != "conv3"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 0.0}, "block is a fraction"),
        ({"block": 1.5}, "block is a fraction"),
        ({"lock": "filter"}, "lock is one of"),
        ({"weight_bits": [8, 7]}, "3 modes have 2 numbers"),
    ],
)
def test_bad_requests_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        filterwise(SETUP, CIRCUITS, **options)
    with pytest.raises(ConfigError, match="needs 2 to 10 modes, not 1"):
        filterwise(SETUP, CIRCUITS[:1])


def test_products_of_activations_keep_the_most_exact_mode(toy):
    sites = toy.sites(["a", "b"])
    product = replace(sites[1], name="p", op=replace(sites[1].op, kind="matmul", weight_shape=()))
    call = replace(sites[1], name="f", functional=True)
    subject = Subject.of([*sites, product, call], Modes(("dadda8", "drum8_4")), Integer(6, 8))
    plan = subject.plan({"b": (0, 1, 1, 0)})
    found = {site: plan.at(site)[Slot.MULTIPLIER].to_json() for site in "abpf"}
    assert found["a"]["modes"] == "0000"
    assert found["b"]["modes"] == "0110"
    assert [found[s] for s in "pf"] == [{"kind": "multiplier", "name": "dadda8"}] * 2
    assert {plan.at(site)[Slot.OPERAND] for site in "abpf"} == {Integer(6, 8)}


def test_groups_and_transposed_layers_have_a_mode_per_output_channel():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = nn.Conv2d(2, 6, 3)
            self.depthwise = nn.Conv2d(6, 12, 3, groups=6)
            self.up = nn.ConvTranspose2d(12, 4, 2, stride=2, groups=2)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(torch.relu(self.up(torch.relu(self.depthwise(self.plain(x))))).mean((2, 3)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net()
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 2, 7, 7, generator=generator), torch.randint(0, 3, (60,), generator=generator)
    splits = {"train": (x, y), "validation": (x[:20], y[:20]), "test": (x[20:40], y[20:40])}
    task = make_task("net", net, **splits)
    scores = relevances(task, "taylor", samples=16)
    counts = {"plain": 6, "depthwise": 12, "up": 4, "head": 3}
    assert {site: len(values) for site, values in scores.items()} == counts
    subject = Subject.of(Evaluator(replace(SETUP, task=task)).prepared.sites, Modes(tuple(CIRCUITS)))
    assert subject.filters == counts
    strong = approximate(task, subject.everywhere(2))
    mixed = approximate(task, subject.plan({**{s: (2,) * n for s, n in counts.items()}, "head": (2, 0, 2)}))
    outputs, other = strong(x[:4]), mixed(x[:4])
    assert torch.equal(outputs[:, [0, 2]], other[:, [0, 2]])
    assert not torch.equal(outputs[:, 1], other[:, 1])
    found = layerwise(replace(SETUP, task=task), CIRCUITS, max_drop=1.0)
    assert set("".join(modes_of(found.chosen).values())) == {"2"}
