"""Campaigns in networks whose layers are looked after: who notices what, and what becomes of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import laxity as lx
from laxity.campaign import Aim, Bench, Campaign, Subject, run_campaign
from laxity.campaign.guards import watch_of
from laxity.campaign.outcomes import Outcomes, draw
from laxity.campaign.population import Faults
from laxity.core.approximation import Approximation
from laxity.core.errors import TaskError
from laxity.core.plan import Plan
from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.evaluation.injection import private_copy
from laxity.sites.prepare import prepare
from laxity.task import Task
from laxity.techniques import Abft, CircuitMultiplier, Integer, RangeRestriction, Redundancy
from laxity.techniques.guard import Place

Outcome = tuple[Campaign, Outcomes]
COUNT = 240


@cache
def digits() -> Task:
    return lx.load_task("digits")


@cache
def network(*choices: Approximation) -> nn.Module:
    task = digits()
    if not choices:
        return prepare(task.model, task.example_input).model
    return lx.approximate(task, Plan.assign(lx.find_sites(task.model, task.example_input), choices))


@cache
def outcomes(population: str, *choices: Approximation) -> Outcomes:
    """Outcomes of the same faults in networks that store and compute the same, ordered by place and number."""
    task, model = digits(), network(*choices)
    bench = Bench(lambda: (model, task), Subject(population=population, seed=5))
    shares = [max(8, round(COUNT * bench.weight(p))) for p in range(len(bench.parts))]
    found = [bench.try_out(p, 0, n) for p, n in enumerate(shares)]
    return Outcomes(*(np.concatenate([getattr(o, f) for o in found]) for f in Outcomes.__slots__))


def alike(first: Outcomes, second: Outcomes) -> bool:
    return all(np.array_equal(getattr(first, f), getattr(second, f)) for f in ("cell", "site", "image"))


def test_an_alarm_leaves_the_prediction_and_is_detected() -> None:
    plain, watched = outcomes("weights", Integer(4, 4)), outcomes("weights", Integer(4, 4), Abft())
    assert alike(plain, watched)
    assert np.array_equal(plain.struck, watched.struck)
    assert not watched.sdc.any()
    assert watched.due.sum() == watched.noticed.sum() > 0


@pytest.mark.parametrize("circuit", [None, "drum8_4"])
def test_checksums_notice_weights_that_change_sums_and_no_others(circuit: str | None) -> None:
    """Against the whole network that carries the fault: outputs of the struck layer, added up in whole numbers."""
    choices = [Integer()] + ([] if circuit is None else [CircuitMultiplier(circuit)])
    task, model = digits(), network(*choices, Abft())
    carrier, memories = private_copy(network(*choices), task.example_input)
    layers = {m.site.name: m for m in emulated(carrier) if isinstance(m, EmulatedLayer)}
    by_name = {m.name: m for m in memories}
    bench = Bench(lambda: (model, task), Subject(seed=5))
    drawn = draw(bench.population, bench.parts[0], bench.images, 5, 0, 60)
    noticed = bench.outcomes(drawn).noticed
    guards = {m.site.name: m.guard for m in emulated(model)}
    for i in range(60):
        name = bench.population.cells.places[bench.population.cells.place[drawn.cell[i]]]
        memory, layer = by_name[name], layers[name]
        inputs: list[Tensor] = []
        handle = layer.register_forward_pre_hook(lambda _, args, kept=inputs: kept.append(args[0]))
        x = task.test.fetch([int(drawn.image[i])])[0]
        words = memory.words.copy()
        words[drawn.site[i]] ^= words.dtype.type(1 << int(bench.population.cells.bit[drawn.cell[i]]))
        with torch.no_grad():
            carrier(x)
            handle.remove()
            assert layer.operand is not None
            codes = layer.operand.input.codes(inputs[0])
            exact = layer.multiplier
            before = layer.integer_sums(codes)
            memory.write(words)
            after = layer.integer_sums(codes, layer.forced_codes)
            memory.restore()
            layer.multiplier = None
            layer.products()
            right = layer.integer_sums(codes)
            layer.multiplier = exact
            layer.products()
        residual = after.double().sum(1) - right.double().sum(1)
        guard = guards[name]
        outside = bool(((residual < float(guard.low)) | (residual > float(guard.high))).any())  # type: ignore[union-attr]
        assert bool(noticed[i]) == outside
        if circuit is None:
            assert outside == bool((before != after).any())


@pytest.mark.parametrize("population", ["weights", "activations", "accumulators"])
@pytest.mark.parametrize(
    "choice",
    [
        Abft(), Abft(response="recompute"), Abft(response="reload"), Abft(inputs=True, response="reload"),
        Redundancy(2), Redundancy(2, response="recompute"), Redundancy(3), Redundancy(2, weights=True),
        Redundancy(3, weights=True),
    ],
    ids=lambda c: c.label(),
)  # fmt: skip
def test_who_notices_and_who_corrects(choice: Approximation, population: str) -> None:
    plain, watched = outcomes(population, Integer(4, 4)), outcomes(population, Integer(4, 4), choice)
    assert alike(plain, watched)
    effect = plain.same == 0
    if population == "weights":
        sees = isinstance(choice, Abft) or choice.weights  # type: ignore[attr-defined]
        corrects = choice in (
            Abft(response="reload"),
            Abft(inputs=True, response="reload"),
            Redundancy(3, weights=True),
        )
    elif population == "activations":
        sees, corrects = getattr(choice, "inputs", False), False
    else:
        sees = True
        corrects = choice in (
            Abft(response="recompute"), Abft(response="reload"), Abft(inputs=True, response="reload"),
            Redundancy(2, response="recompute"), Redundancy(3),
            Redundancy(3, weights=True),
        )  # fmt: skip
    if not sees:
        assert np.array_equal(plain.struck, watched.struck)
        assert not watched.noticed.any()
    elif corrects:
        assert not watched.noticed.any()
        assert watched.masked.all()
    else:
        assert np.array_equal(plain.struck, watched.struck)
        assert watched.noticed[effect].all(), "what changes a logit changes an output of its layer"
        assert watched.noticed.sum() > 0


def test_copies_notice_what_changes_an_output_and_checksums_its_sum() -> None:
    copies = outcomes("weights", Integer(4, 4), Redundancy(2, weights=True))
    sums = outcomes("weights", Integer(4, 4), Abft())
    assert np.array_equal(copies.noticed, sums.noticed), "one weight changes one channel, so its sum too"


@pytest.mark.parametrize("population", ["weights", "activations", "neurons"])
def test_checksums_of_floating_point(population: str) -> None:
    plain, watched = outcomes(population), outcomes(population, Abft())
    assert alike(plain, watched)
    assert np.array_equal(plain.struck, watched.struck)
    critical = plain.struck != plain.golden
    if population != "activations":
        assert watched.noticed[critical].all()
        reloaded = outcomes(population, Abft(response="reload"))
        assert np.array_equal(reloaded.struck[watched.noticed == 1], plain.golden[watched.noticed == 1])
        assert not reloaded.noticed.any()
    else:
        assert outcomes(population, Abft(inputs=True)).noticed.all(), "every flip changes a word"


def test_neurons_pass_the_guard_and_copies() -> None:
    """Against layers called one by one."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)).eval()
    x = torch.randn(50, 6)
    plan = Plan.assign(lx.find_sites(model, x), [RangeRestriction("channel")])
    guarded = lx.approximate(model, plan, calibration=x)
    from laxity.campaign.populations import Neurons
    from laxity.faults import BitFlip

    population = Neurons.of(guarded, BitFlip(0.0), x[:3], {})
    size = len(population.cells.sites)
    cells = np.arange(size, dtype=np.int64)
    sites = cells % population.cells.sites[cells]
    faults = Faults(cells, sites, np.zeros((size, population.draws), np.uint64), cells % 50)
    golden = population.golden(x)
    found = population.logits(faults, golden)
    first, second = (m for m in emulated(guarded))
    with torch.no_grad():
        for i in range(size):
            sample = x[faults.image[i]][None]
            if population.cells.places[population.cells.place[i]] == "0":
                y = model[0](sample)
            else:
                y = model[2](torch.relu(model[0](sample)))
            words = y.numpy().view(np.uint32)
            words[0, sites[i]] ^= np.uint32(1 << int(population.cells.bit[i]))
            if population.cells.places[population.cells.place[i]] == "0":
                wanted = second.guard(model[2](torch.relu(first.guard(y))))  # type: ignore[misc]
            else:
                wanted = second.guard(y)  # type: ignore[misc]
            assert torch.allclose(found[i], wanted[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("operands", [(), (Integer(),)], ids=["fp32", "int8"])
def test_restricted_networks_predict_as_networks_that_carry_the_fault(operands: tuple[Approximation, ...]) -> None:
    task, model = digits(), network(*operands, RangeRestriction("channel"))
    found = run_campaign(lambda: (model, task), Subject(seed=1), Aim(faults=200))
    carrier, memories = private_copy(model, task.example_input)
    by_name = {m.name: m for m in memories}
    for o in found.outcomes:
        assert not o.noticed.any()
        for i in range(0, len(o), 5):
            memory = by_name[found.cells.places[found.cells.place[o.cell[i]]]]
            words = memory.words.copy()
            words[o.site[i]] ^= words.dtype.type(1 << int(found.cells.bit[o.cell[i]]))
            x = task.test.fetch([int(o.image[i])])[0]
            memory.write(words)
            with torch.no_grad():
                assert int(carrier(x).argmax()) == int(o.struck[i])
            memory.restore()


def test_range_restriction_removes_silent_corruption_of_floating_point() -> None:
    plain, limited = outcomes("neurons"), outcomes("neurons", RangeRestriction("channel"))
    assert alike(plain, limited)
    assert limited.critical.sum() < plain.critical.sum()
    assert not limited.due.any()


def test_networks_that_are_not_traced_refuse_alarms() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            return self.second(y if bool(y.sum() > -1e9) else -y)

    from laxity.campaign.populations import Weights
    from laxity.faults import BitFlip

    model, x = Branching().eval(), torch.randn(20, 4)
    sites = lx.find_sites(model, x)
    restricted = lx.approximate(model, Plan.assign(sites, [RangeRestriction()]), calibration=x)
    assert Weights.of(restricted, BitFlip(0.0), x[:3], {}).noticed is not None
    watched = lx.approximate(model, Plan.assign(sites, [Abft()]), calibration=x)
    with pytest.raises(TaskError, match="'first' gives alarms"):
        Weights.of(watched, BitFlip(0.0), x[:3], {})


def test_only_guards_that_notice_are_asked() -> None:
    layers = [next(emulated(network(Integer(4, 4), *c))) for c in ((), (RangeRestriction(),), (Abft(),))]
    assert [watch_of(layer) is None for layer in layers] == [True, True, False]
    assert watch_of(nn.Linear(2, 2)) is None
    watch = watch_of(layers[2])
    assert watch is not None
    x = torch.rand(4, 1, 8, 8)
    values = watch.values(x)
    verdict = watch.judge(Place.COMPUTATION, x, values)
    assert not verdict.noticed.any()
    assert not verdict.corrected.any()
