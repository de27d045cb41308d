"""``laxity traces``: what layers really multiply, in files that the commands on circuits take."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import laxity as lx
from laxity.circuits import Operands
from laxity.circuits.distribution import load_operands
from laxity.emulate.operands import operand_traces

from .conftest import call


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces") / "digits"
    outcome = call("traces", "digits", "--out", folder, "--seed", 3)
    assert outcome.code == 0, outcome.err
    assert "network.trace.npz" in outcome.err
    return folder


def test_files_hold_what_the_layers_multiply(digits: Path) -> None:
    """Against the sampling of the emulator on the exact 8-bit network, and against the codes of its weights."""
    index = json.loads((digits / "traces.json").read_text())
    assert index["seed"] == 3
    task = lx.load_task("digits")
    sites = lx.find_sites(task.model, task.example_input)
    model = lx.approximate(task, lx.Plan.assign(sites, [lx.Integer()]))
    inputs = task.calibration.fetch(range(64))[0]
    expected = operand_traces(model, inputs, seed=3)
    assert [entry["site"] for entry in index["traces"]] == [*expected, "network"]
    for entry in index["traces"][:-1]:
        with np.load(digits / entry["trace"], allow_pickle=False) as file:
            found = expected[entry["site"]]
            np.testing.assert_array_equal(file["a"], found.activations)
            np.testing.assert_array_equal(file["b"], np.repeat(found.weights[:, None], found.activations.shape[1], 1))
            np.testing.assert_array_equal(file["psum_in"], found.partial_sums)
        with np.load(digits / entry["histogram"], allow_pickle=False) as file:
            assert file["a_histogram"].sum() == found.activations.size
            assert file["a_histogram"][0] == (found.activations == 0).sum()
            assert entry["zero_activations"] == (found.activations == 0).mean()
        macs = {s.name: s.op.macs for s in sites}
        assert entry["macs"] == macs[entry["site"]]


def test_the_network_is_made_of_its_layers_by_their_products(digits: Path) -> None:
    index = json.loads((digits / "traces.json").read_text())["traces"]
    rows: dict[bytes, set[str]] = {}
    for entry in index[:-1]:
        with np.load(digits / entry["trace"]) as file:
            for a, b in zip(file["a"], file["b"], strict=True):
                rows.setdefault(a.tobytes() + b.tobytes(), set()).add(entry["site"])
    with np.load(digits / index[-1]["trace"]) as file:
        drawn = [rows[a.tobytes() + b.tobytes()] for a, b in zip(file["a"], file["b"], strict=True)]
    macs = {entry["site"]: entry["macs"] for entry in index[:-1]}
    share = macs["conv2"] / sum(macs.values())
    found = sum("conv2" in sites for sites in drawn) / len(drawn)
    assert abs(found - share) < 4 * (share * (1 - share) / len(drawn)) ** 0.5


def test_circuits_are_measured_and_compared_on_them(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAXITY_CACHE", "off")
    trace, histogram = digits / "network.trace.npz", digits / "network.histogram.npz"
    outcome = call("circuits", "characterise", "dadda8", "coltrunc8_6", "--trace", trace, "--json")
    assert outcome.code == 0, outcome.err
    energies = {
        found["name"]: {(e["operands"], e["delays"]): e["energy_pj"] for e in found["energies"]}
        for found in json.loads(outcome.out)
    }
    for found in energies.values():
        assert found["trace", "inertial"] < found["uniform", "inertial"]
    outcome = call(
        "circuits", "compare", "dadda8", "coltrunc8_6", "--histogram", histogram, "--against", "pe-energy", "--json"
    )
    assert outcome.code == 0, outcome.err
    operands = load_operands(histogram)
    assert isinstance(operands, Operands)
    assert operands.a is not None
    assert operands.a.argmax() == 0


def test_runs_give_the_operands_of_their_plan(run_copy: Path, tmp_path: Path) -> None:
    outcome = call("traces", run_copy, "--out", tmp_path / "t", "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["traces"][-1]["site"] == "network"
    assert (tmp_path / "t" / document["traces"][0]["trace"]).exists()


def test_bad_requests_name_the_thing(run_copy: Path, tmp_path: Path) -> None:
    outcome = call("traces", "nowhere/run", "--out", tmp_path)
    assert outcome.code == 1
    assert "there is no run folder nowhere/run" in outcome.err
    outcome = call("traces", run_copy, "--out", tmp_path, "--num-classes", 3)
    assert outcome.code == 2
    assert "--num-classes cannot be used with the run" in outcome.err
    (tmp_path / "file").write_text("")
    outcome = call("traces", "digits", "--out", tmp_path / "file" / "t")
    assert outcome.code == 1
    assert "cannot write" in outcome.err
