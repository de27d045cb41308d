"""Campaigns on networks with protected weights: what is struck, what is read, and that nothing else decides."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from laxity.campaign import Aim, Bench, Faults, Subject, run_campaign
from laxity.campaign.populations import Weights
from laxity.campaign.struck import Changes, struck_layer
from laxity.core.approximation import Approximation
from laxity.core.plan import Plan
from laxity.core.seeds import stream
from laxity.emulate import approximate
from laxity.emulate.layer import EmulatedLayer
from laxity.evaluation.injection import inject, private_copy, strike
from laxity.evaluation.memory import WeightMemory
from laxity.faults import BitFlip, FaultModel, IntegerLayout, MultiFlip, StuckAt
from laxity.sites import find_sites
from laxity.task import Task, load_task
from laxity.techniques import (
    InPlaceEcc,
    Integer,
    MagnitudePruning,
    Minifloat,
    Parity,
    RangeRestriction,
    Secded,
    Tmr,
    TmrBits,
    WeightClip,
)

INT8 = Integer()
FEW = Aim(faults=400)


@cache
def task() -> Task:
    return load_task("digits")


@cache
def network(*choices: Approximation) -> nn.Module:
    return approximate(task(), Plan.assign(find_sites(task().model, task().example_input), choices))


def bench(model: nn.Module, fault: FaultModel | None = None) -> Bench:
    given = (fault or BitFlip(0.0)).to_json()
    return Bench(lambda: (model, task()), Subject(fault=given, seed=5))


def everywhere(found: Bench, count: int, seed: int = 0) -> Faults:
    """Faults in all cells, check bits as often as weights."""
    cells, rng = found.population.cells, np.random.default_rng(seed)
    check = cells.bit >= 8 if int(cells.bit.max()) < 16 else cells.bit >= 32
    chosen = np.where(
        rng.random(count) < 0.5 * check.any(), rng.choice(np.flatnonzero(check) if check.any() else [0], count), -1
    )
    cell = np.where(chosen >= 0, chosen, rng.integers(0, len(cells.sites), count))
    site = np.array([rng.integers(0, cells.sites[c]) for c in cell])
    random = rng.integers(0, 1 << 64, (count, found.population.draws), np.uint64)
    return Faults(cell, site, random, rng.integers(0, 20, count))


def read_in_whole(memory: WeightMemory, fault: FaultModel, faults: Faults, cells: Any, i: int) -> tuple[Any, bool]:
    """Words and alarm from decoding the whole memory with this one fault in it."""
    site, bit = int(faults.site[i]), int(cells.bit[faults.cell[i]])
    stored, flips = memory.stored.copy(), np.zeros(memory.check_words, np.uint64)
    row = faults.random[i : i + 1]
    if bit == memory.width_bits:
        number, bit = divmod(site, memory.check_width)
        check = memory.checks[[number]]
        flips[[number]] = check ^ fault.strike(check, IntegerLayout(memory.check_width), np.array([bit]), row)
    else:
        stored[[site]] = fault.strike(stored[[site]], memory.layout, np.array([bit]), row)
    assert memory.protection is not None
    words, noticed = memory.protection.read_all(memory.stored, stored, memory.layout, flips)
    return words, bool(noticed.any())


CASES: dict[str, tuple[tuple[Approximation, ...], FaultModel]] = {
    "SEC-DED, three flips": ((INT8, Secded()), MultiFlip(0.0, count=3)),
    "SEC-DED of floats, three flips": ((Secded(),), MultiFlip(0.0, count=3)),
    "in place, three flips": ((INT8, InPlaceEcc()), MultiFlip(0.0, count=3)),
    "in place, stuck at 1": ((INT8, InPlaceEcc()), StuckAt(0.0, value=1)),
    "parity and zero": ((INT8, Parity(then="zero")), BitFlip(0.0)),
    "parity of six": ((Minifloat(), Parity(6)), MultiFlip(0.0, count=2)),
    "votes": ((INT8, TmrBits(3)), BitFlip(0.0)),
    "clipping": ((WeightClip(notice=True),), BitFlip(0.0)),
    "clipping, and limits of outputs": ((WeightClip("layer"), RangeRestriction("channel", "zero")), BitFlip(0.0)),
    "clipping of pruned floats": ((MagnitudePruning(0.5), WeightClip("layer", "saturate")), BitFlip(0.0)),
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_outcomes_are_those_of_networks_that_read_whole_memories(name: str) -> None:
    """Two changed words and struck check bits among them."""
    choices, fault = CASES[name]
    model = network(*choices)
    found = bench(model, fault)
    faults, cells = everywhere(found, 150), found.population.cells
    inputs, _ = task().splits()["test"].fetch(range(20))
    golden = found.population.golden(inputs)
    logits, noticed = found.population.logits(faults, golden), found.population.noticed(faults, golden)
    carrier, memories = private_copy(model, task().example_input)
    by_name = {m.name: m for m in memories}
    pairs = changed = 0
    for i in range(len(faults)):
        memory = by_name[cells.places[cells.place[faults.cell[i]]]]
        words, alarm = read_in_whole(memory, fault, faults, cells, i)
        memory.write(words)
        wanted = carrier(inputs[int(faults.image[i])][None])[0]
        memory.restore()
        torch.testing.assert_close(logits[i], wanted, rtol=1e-3, atol=1e-3, equal_nan=True)
        if found.population.exact:
            assert torch.equal(logits[i], wanted)
        assert noticed[i] == alarm
        differ = int((words != memory.words).sum())
        pairs, changed = pairs + (differ == 2), changed + (differ > 0)
    assert changed == 0 if "stuck" in name else changed > 5
    assert (pairs > 0) == ("three" in name)


@pytest.mark.parametrize(
    "choices",
    [
        (INT8, Secded()),
        (INT8, Secded(16)),
        (INT8, InPlaceEcc()),
        (INT8, Tmr()),
        (Minifloat(), Secded()),
        (Secded(),),
        (Tmr(),),
    ],
    ids=lambda c: " ".join(x.label() for x in c),
)
def test_single_flips_of_stored_bits_and_check_bits_are_harmless(choices: tuple[Approximation, ...]) -> None:
    model = network(*choices)
    found = bench(model)
    faults = everywhere(found, 3000, seed=1)
    golden = found.population.golden(task().splits()["test"].fetch(range(20))[0])
    assert torch.equal(found.population.logits(faults, golden), golden.logits[torch.from_numpy(faults.image)])
    assert not found.population.noticed(faults, golden).any()
    campaign = run_campaign(lambda: (model, task()), Subject(seed=2), FEW)
    assert campaign.interval().estimate == 0
    assert not any(o.noticed.any() for o in campaign.outcomes)


def test_the_population_counts_and_names_check_bits() -> None:
    plain, found = bench(network(INT8)).population, bench(network(INT8, Secded())).population
    cells = found.cells
    beside = cells.bit == 8
    words = cells.sites[cells.bit == 0]
    assert np.array_equal(cells.sites[beside], -(-words // 8) * 8)
    assert cells.size == plain.cells.size + int(cells.sites[beside].sum())
    assert np.array_equal(cells.sites[~beside], plain.cells.sites)
    assert (
        f"and {int(cells.sites[beside].sum())} check bits besides (4 layers by SEC-DED over 64 data" in found.statement
    )
    whole = bench(
        network(INT8, Secded()), FaultModel.from_json({"kind": "random_value", "rate_per_bit": 0.0})
    ).population
    assert np.array_equal(whole.cells.sites[whole.cells.bit == 8], -(-words // 8))


def test_parity_turns_silent_errors_into_noticed_ones() -> None:
    campaign = run_campaign(lambda: (network(Parity()), task()), Subject(seed=2), FEW)
    assert all(o.noticed.all() and o.due.all() for o in campaign.outcomes)
    assert campaign.interval("sdc").estimate == 0


def test_clipping_removes_what_the_top_exponent_bit_does() -> None:
    """Of the same network in floating point."""
    exposed, clipped = (
        run_campaign(lambda c=c: (network(c), task()), Subject(seed=2), Aim(faults=3000))
        for c in (MagnitudePruning(1.0), WeightClip())
    )
    assert clipped.interval().high < exposed.interval().low
    assert clipped.interval().estimate < 0.1 * exposed.interval().estimate


@pytest.mark.parametrize("choices", [(INT8, Secded()), (Secded(),), (INT8, InPlaceEcc()), (INT8, Tmr())])
def test_sweeps_strike_check_bits_and_write_what_is_read(choices: tuple[Approximation, ...]) -> None:
    """Against the definition: stored words and check words struck from one stream, then decoded together."""
    _, memories = private_copy(network(*choices), task().example_input)
    memory = max(memories, key=lambda m: len(m.words))
    written: list[Any] = []
    memory.write = written.append  # type: ignore[method-assign]
    fault, rng = BitFlip(4e-3), stream(7, "faults", memory.name)
    strike([memory], fault, 7)
    struck = fault.corrupt(memory.stored, memory.layout, rng)
    flips = np.zeros(0, np.uint64)
    if memory.check_words:
        flips = memory.checks ^ fault.corrupt(memory.checks, IntegerLayout(memory.check_width), rng)
        assert flips.any()
    assert memory.protection is not None
    wanted, noticed = memory.protection.read_all(memory.stored, struck, memory.layout, flips)
    assert np.array_equal(written[0], wanted)
    hit = int((struck != memory.stored).sum())
    assert 0 < int((wanted != memory.words).sum()) < hit
    assert noticed.any() == (not isinstance(choices[-1], Tmr))


@torch.no_grad()
def test_rare_flips_leave_a_protected_network_as_it_is() -> None:
    model, x = network(INT8, Secded()), task().splits()["test"].fetch(range(30))[0]
    logits = [inject(network(INT8, *c), BitFlip(1e-4), seed=3)(x) for c in ((), (Secded(),))]
    assert torch.equal(logits[1], model(x))
    assert not torch.equal(logits[0], model(x))


@torch.no_grad()
def test_emulated_layers_in_floating_point_compute_one_filter_anew() -> None:
    """As plain layers do, also behind a guard; a layer whose weights an unknown transform makes runs as a whole."""
    model = copy.deepcopy(network(WeightClip(), RangeRestriction("layer", "clamp")))
    layer = model.get_submodule("conv2")
    assert isinstance(layer, EmulatedLayer)
    found = struck_layer(layer)
    assert found.keeps_outputs
    x = torch.rand(12, layer.weight.shape[1], 6, 6)
    places = torch.arange(12) * 31 % layer.weight.numel()
    values = torch.linspace(-90, 90, 12)
    outputs = found.outputs(found.values(x, layer(x), Changes(places, values)))
    layer.structure = nn.Identity()
    whole = struck_layer(layer)
    assert not whole.keeps_outputs
    wanted = whole.outputs(whole.values(x, None, Changes(places, values)))
    torch.testing.assert_close(outputs, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(outputs, layer(x))


def test_populations_of_unprotected_networks_have_no_check_bits() -> None:
    found = bench(network(INT8)).population
    assert isinstance(found, Weights)
    assert int(found.cells.bit.max()) == 7
