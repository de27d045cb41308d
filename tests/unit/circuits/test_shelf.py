"""Imported circuits by name: in the catalogue, in plans, in other processes, in run folders."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import laxity as lx
from laxity.circuits import Multiplier, catalogue, errors_of, shelf, use_folder
from laxity.circuits.importers import load_saved
from laxity.circuits.kept import keep, key_of, saved
from laxity.core.errors import CircuitError
from laxity.core.plan import Plan
from laxity.evaluation.evaluator import Evaluator, Setup


@pytest.fixture
def empty(monkeypatch):
    monkeypatch.setattr(shelf, "_SHELF", {})
    monkeypatch.setattr(shelf, "_read", set())
    catalogue.get.cache_clear()
    catalogue.circuit.cache_clear()
    yield
    catalogue.get.cache_clear()
    catalogue.circuit.cache_clear()


@pytest.fixture
def folder(tmp_path, empty):
    """A netlist, and a table that no netlist belongs to."""
    keep(catalogue.get("venka8_5"), tmp_path)
    a = np.arange(256)
    noisy = np.multiply.outer(a, a) + np.random.default_rng(0).integers(-40, 40, (256, 256)) * (np.add.outer(a, a) > 9)
    keep(Multiplier.from_table(noisy, a_signed=False, b_signed=False, name="noisy"), tmp_path)
    return tmp_path


def brought(folder):
    names = use_folder(folder)
    return sorted(names, key=lambda n: catalogue.get(n).circuit is None)


def test_names_are_those_of_contents(folder):
    netlist, table = brought(folder)
    assert netlist == shelf.PREFIX + key_of(catalogue.get("venka8_5"))
    assert np.array_equal(catalogue.get(netlist).table, catalogue.get("venka8_5").table)
    assert catalogue.circuit(netlist).key == catalogue.circuit("venka8_5").key
    assert shelf.names() == sorted([netlist, table])
    with pytest.raises(CircuitError, match="known by its table only"):
        catalogue.circuit(table)


def test_circuits_of_a_run_are_read_like_imported_ones(folder):
    for key in saved(folder):
        read = load_saved(folder, key)
        assert (read.key, read.checks, read.nearest) == (key, (), None)


def test_a_broken_folder_is_named_every_time(folder, monkeypatch):
    name = brought(folder)[0]
    monkeypatch.setattr(shelf, "_SHELF", {})
    catalogue.get.cache_clear()
    (folder / f"{name.removeprefix(shelf.PREFIX)}.npz").write_bytes(b"")
    monkeypatch.setenv(shelf.VARIABLE, str(folder))
    for _ in range(2):
        with pytest.raises(CircuitError, match="npz"):
            catalogue.get(name)


def test_unknown_names_and_folders(empty, tmp_path):
    with pytest.raises(CircuitError, match=shelf.VARIABLE):
        catalogue.get(shelf.PREFIX + 16 * "0")
    with pytest.raises(CircuitError, match="no folder"):
        use_folder(tmp_path / "missing")


def test_plans_compute_with_tables_of_users(folder):
    _, name = brought(folder)
    layer, x = nn.Linear(12, 5), torch.rand(40, 12)
    plan = Plan().with_("", lx.Integer()).with_("", lx.CircuitMultiplier(name))
    assert Plan.from_json(plan.to_json()) == plan
    model = lx.approximate(layer, plan, calibration=x)
    codes = (x / model.operand.input.scale).round().clamp(0, 255).long().numpy()
    scale = model.weight.detach().abs().amax(1) / 127
    weights = (model.weight.detach() / scale[:, None]).round().long().numpy()
    table = catalogue.get(name).table
    sums = (np.sign(weights)[None] * table[codes[:, None], np.abs(weights)[None]]).sum(-1)
    wanted = torch.from_numpy(sums).float() * (scale * model.operand.input.scale) + model.bias
    torch.testing.assert_close(model(x), wanted)


def test_candidates_and_price(folder):
    netlist, table = brought(folder)
    evaluator = Evaluator(Setup({"spec": "digits"}, "mac-array-45nm", probe_samples=50, circuits=str(folder)))
    site = evaluator.prepared.sites[0]
    offered = {c.name for c in lx.CircuitMultiplier.candidates(site)}
    assert table not in offered
    assert {netlist, "venka8_5"} & offered
    plan = evaluator.base.with_(site.name, lx.CircuitMultiplier(netlist))
    same = evaluator.base.with_(site.name, lx.CircuitMultiplier("venka8_5"))
    costs = [evaluator.cost(p, evaluator.model(p)).energy_pj.value for p in (plan, same)]
    assert costs[0] == pytest.approx(costs[1])


def test_other_processes_read_the_variable(folder):
    _, name = brought(folder)
    code = f"from laxity.circuits import catalogue; print(catalogue.get({name!r}).table_sha256)"
    environment = {**os.environ, shelf.VARIABLE: str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == catalogue.get(name).table_sha256


def test_facts(folder):
    netlist, table = brought(folder)
    known = catalogue.describe("venka8_5")
    found = catalogue.describe(netlist)
    assert {**found, "family": known["family"]} == known
    assert errors_of(netlist).med == known["med"]
    without = catalogue.describe(table)
    assert (without["gates"], without["area_um2"]) == ("", "")
    assert without["med"] > 0
