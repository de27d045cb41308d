"""Populations of an array: counted by hand, sampled as declared, and the same logits as single faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.campaign import arrays
from torch import Tensor

from laxity.campaign.population import NO_BIT, POPULATIONS, Faults, Population
from laxity.campaign.populations import Gates, Macs
from laxity.circuits.stuck_at import stuck_at
from laxity.core.errors import ConfigError
from laxity.core.program import Product
from laxity.faults import FaultModel

ARRAY = {"rows": 4, "columns": 2}
STUCK = {"kind": "stuck_at", "rate_per_bit": 0.0}
FLIP = {"kind": "bit_flip", "rate_per_bit": 0.0}
flows = pytest.mark.parametrize("flow", ["weight-stationary", "output-stationary"])


def population(kind: str, fault: dict[str, Any], flow: str = "weight-stationary", *plan: dict[str, Any]) -> Any:
    model = arrays.network(*plan)
    options = {**ARRAY, "dataflow": flow}
    return POPULATIONS[kind].of(model, FaultModel.from_json(fault), arrays.inputs(), options), model


def drawn(one: Population, count: int, seed: int, only: np.ndarray | None = None) -> Faults:
    rng = np.random.default_rng(seed)
    sites = one.cells.sites if only is None else np.where(only, one.cells.sites, 0)
    cell = rng.choice(len(sites), count, p=sites / sites.sum())
    random = rng.integers(0, 1 << 64, (count, one.draws), np.uint64)
    return Faults(cell, rng.integers(0, one.cells.sites[cell]), random, rng.integers(0, arrays.SAMPLES, count))


def taken(faults: Faults, some: slice) -> Faults:
    return Faults(faults.cell[some], faults.site[some], faults.random[some], faults.image[some])


@flows
def test_gates_are_all_faults_in_all_elements(flow: str) -> None:
    gates, _ = population("gates", STUCK, flow)
    assert isinstance(gates, Gates)
    assert gates.cells.size == len(stuck_at("dadda8")) * 8
    cells = np.repeat(np.arange(len(gates.cells.sites)), gates.cells.sites)
    site = np.concatenate([np.arange(n) for n in gates.cells.sites])
    every = Faults(cells, site, np.zeros((len(cells), 0), np.uint64), np.zeros(len(cells), np.int64))
    number, row, column = gates.elements(every)
    assert len(set(zip(number.tolist(), row.tolist(), column.tolist(), strict=True))) == gates.cells.size
    assert (row.max(), column.max(), number.max()) == (3, 1, len(stuck_at("dadda8")) - 1)
    assert str(gates.cells.size) in gates.statement
    assert "4 x 2" in gates.statement


def test_several_circuits() -> None:
    model = arrays.network()
    other = arrays.network({"kind": "integer"}, {"kind": "multiplier", "name": "drum8_4"})
    model.point = other.point
    gates = Gates.of(model, FaultModel.from_json(STUCK), arrays.inputs(), ARRAY)
    assert gates.cells.size == (len(stuck_at("dadda8")) + len(stuck_at("drum8_4"))) * 8
    assert "dadda8, drum8_4" in gates.statement
    golden = gates.golden(arrays.inputs())
    faults = drawn(gates, 60, 2)
    found, (number, _, _) = gates.logits(faults, golden), gates.elements(faults)
    changed = (found != golden.logits[torch.from_numpy(faults.image)]).any(1).numpy()
    assert {gates.faults.name_of(n) for n in number[changed]} == {"dadda8", "drum8_4"}


@flows
@pytest.mark.parametrize("kind", ["gates", "macs"])
def test_logits_do_not_depend_on_the_batch(kind: str, flow: str) -> None:
    one, model = population(kind, STUCK if kind == "gates" else FLIP, flow)
    x = arrays.inputs()
    golden = one.golden(x)
    with torch.no_grad():
        assert torch.equal(golden.logits, model(x))
    faults = drawn(one, 40, 1)
    found = one.logits(faults, golden)
    assert torch.equal(found, torch.cat([one.logits(taken(faults, slice(i, i + 1)), golden) for i in range(40)]))
    assert torch.equal(found[7:], one.logits(taken(faults, slice(7, None)), golden))
    assert (found != golden.logits[torch.from_numpy(faults.image)]).any()
    assert one.exact


@flows
@pytest.mark.parametrize("kind", ["gates", "macs"])
def test_certified_parts_change_nothing(kind: str, flow: str) -> None:
    one, _ = population(kind, STUCK if kind == "gates" else FLIP, flow, {"kind": "integer", "weight_bits": 5})
    parts = one.parts()
    assert sorted(c for part in parts for c in part.cells) == list(range(len(one.cells.sites)))
    certified = [c for part in parts if part.certified for c in part.cells]
    assert 0 < len(certified) < len(one.cells.sites)
    golden = one.golden(arrays.inputs())
    faults = drawn(one, 50, 3, np.isin(np.arange(len(one.cells.sites)), certified))
    assert torch.equal(one.logits(faults, golden), golden.logits[torch.from_numpy(faults.image)])


@flows
def test_registers_of_all_elements_in_all_cycles(flow: str) -> None:
    macs, _ = population("macs", FLIP, flow)
    assert isinstance(macs, Macs)
    schedule = macs.network.schedule
    bits = int(macs.cells.bit.max()) + 1
    assert macs.cells.size == 8 * schedule.cycles * bits
    idle = macs.cells.place == macs.cells.places.index("idle")
    assert macs.idle_share == pytest.approx(macs.cells.sites[idle].sum() / macs.cells.size)
    used = 0
    for planned in schedule.steps:
        if isinstance(planned.step, Product):
            for number, one in enumerate(planned.passes):
                outputs = min(2, len(planned.step.weight) - 2 * number)
                used += outputs * one.positions * (one.tiles * 4 - (flow == "output-stationary"))
    assert used * bits == macs.cells.sites[~idle].sum()
    assert f"{100 * macs.idle_share:.1f} %" in macs.statement


@pytest.mark.parametrize("guarded", [False, True])
@flows
def test_a_flip_changes_one_sum(flow: str, guarded: bool) -> None:
    """Against the network from its start, with the sum of one output of one layer changed."""
    macs, model = population("macs", FLIP, flow)
    for layer in macs.network.layers.values():
        layer.guard = (lambda y: y.clamp(-0.25, 0.5)) if guarded else None
    x = arrays.inputs()
    golden = macs.golden(x)
    live = macs.cells.place != macs.cells.places.index("idle")
    faults = drawn(macs, 60, 4, live)
    found = macs.logits(faults, golden)
    for i in range(len(faults)):
        name, upset = macs.upset(int(faults.cell[i]), int(faults.site[i]))
        bit = int(macs.cells.bit[faults.cell[i]])
        registers = macs._registers[macs._names.index(name)]

        def hook(layer: Any, args: tuple[Tensor, ...], output: Tensor, upset=upset, bit=bit, one=registers) -> Tensor:  # type: ignore[no-untyped-def]
            codes = layer.operand.input.codes(args[0])
            sums = layer.integer_sums(codes).to(torch.float64)
            _, more = one.change(upset, bit, codes[0].long().numpy())
            sums.view(1, layer.outputs, -1)[0, upset.output, upset.position] += more
            return layer.scaled(sums)

        handle = model.get_submodule(name).register_forward_hook(hook)
        try:
            with torch.no_grad():
                assert torch.equal(model(x[faults.image[i], None])[0], found[i])
        finally:
            handle.remove()
    assert macs.upset(int(np.flatnonzero(~live)[0]), 0) is None


@pytest.mark.parametrize(("kind", "fault"), [("gates", STUCK), ("macs", FLIP)])
def test_faults_that_show_now_and_then(kind: str, fault: dict[str, Any]) -> None:
    always, _ = population(kind, fault)
    rarely, _ = population(kind, {**fault, "activity": 0.25})
    golden = always.golden(arrays.inputs())
    faults = drawn(rarely, 200, 5)
    strong = (always.logits(faults, golden) != golden.logits[torch.from_numpy(faults.image)]).any(1)
    weak = (rarely.logits(faults, golden) != golden.logits[torch.from_numpy(faults.image)]).any(1)
    shown = torch.from_numpy(faults.random[:, 0] < np.uint64(1 << 62))
    assert torch.equal(weak, strong & shown)
    assert 0 < weak.sum() < strong.sum()


@pytest.mark.parametrize(("kind", "fault", "wanted"), [("gates", FLIP, "stuck_at"), ("macs", STUCK, "bit_flip")])
def test_other_fault_models_are_refused(kind: str, fault: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        population(kind, fault)


def test_cells_of_gates_are_sizes_of_changes() -> None:
    gates, _ = population("gates", STUCK)
    assert gates.cells.places == ("column 0", "column 1")
    assert gates.cells.bit.min() == NO_BIT
    assert gates.cells.bit.max() < 16
