"""Tables of EvoApproxLib against its published error metrics."""

import csv
import tomllib
from importlib.resources import files

import numpy as np
import pytest

from laxity.circuits.importers import IMPORTERS, Options, load
from laxity.circuits.metrics import error_metrics
from laxity.circuits.source import read_source

COUNTS = {"mul8u": 36, "mul8s": 13, "add8u": 31}


@pytest.fixture(scope="module")
def folder(data_dir):
    if not (data_dir / "evoapproxlib" / "metrics_v1.csv").is_file():
        pytest.skip("no evoapproxlib in the data folder")
    return data_dir / "evoapproxlib"


@pytest.fixture(scope="module")
def published(folder):
    with (folder / "metrics_v1.csv").open(newline="") as handle:
        return {row["name"]: row for row in csv.DictReader(handle)}


def within_one_digit(text, value):
    """Whether a printed number is within one unit of its last digit; a few are rounded half a unit wrong."""
    mantissa, _, exponent = text.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(text) - value) <= unit * (1 + 1e-9)


def check(row, metrics):
    computed = {
        "mae": metrics.med,
        "wce": metrics.wce,
        "ep_pct": 100 * metrics.ep,
        "mre_pct": 100 * metrics.mred,
        "wcre_pct": 100 * metrics.max_red,
        "mse": metrics.mse,
    }
    for column, value in computed.items():
        assert within_one_digit(row[column], value), (row["name"], column, row[column], value)


@pytest.mark.parametrize("kind", ["mul8u", "mul8s"])
def test_multipliers_reproduce_the_published_metrics(kind, folder, published):
    path = folder / f"lut_{kind}_v1.npz"
    names = np.load(path, allow_pickle=False).files
    assert len(names) == COUNTS[kind]
    for name in names:
        imported = load(path, key=name, compare=False)
        assert imported.multiplier.signed == (kind == "mul8s"), name
        check(published[name], imported.multiplier.metrics())
        findings = {c.name: c for c in imported.checks}
        assert f"{name} of version 1" in findings["EvoApproxLib"].text
        assert findings["name"].ok


def test_adders_reproduce_the_published_metrics(folder, published):
    source = read_source(folder / "lut_add8u_v1.npz")
    names = np.load(folder / "lut_add8u_v1.npz", allow_pickle=False).files
    assert len(names) == COUNTS["add8u"]
    sums = np.add.outer(np.arange(256), np.arange(256))
    for name in names:
        content = IMPORTERS["npz"].read(source, Options(key=name))
        check(published[name], error_metrics(content.readings[0].values, sums))


def test_names_of_both_versions_are_those_of_the_data(folder):
    text = files("laxity.circuits.importers").joinpath("evoapprox.toml").read_text(encoding="utf-8")
    listed = {name for names in tomllib.loads(text)["tables"].values() for name in names}
    with (folder / "v2022_to_v1_alias.csv").open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["identical_v1_name"]]
    expected = {f"{row['v2022_name']} of version 2022" for row in rows}
    assert {name for name in listed if name.endswith("2022")} == expected
    assert len(listed) == len(expected) + COUNTS["mul8u"] + COUNTS["mul8s"]


def test_a_name_that_means_another_circuit_is_noticed(folder, tmp_path):
    with np.load(folder / "lut_mul8s_v1.npz", allow_pickle=False) as archive:
        np.save(tmp_path / "mul8s_1KVA.npy", archive["mul8s_1KV8"])
    found = {c.name: c for c in load(tmp_path / "mul8s_1KVA.npy", compare=False).checks}
    assert not found["name"].ok
    assert "different circuits in different versions" in found["name"].text
