"""Error metrics against brute force, closed forms and the published metrics of EvoApproxLib."""

import csv

import numpy as np
import pytest

from laxity.circuits import Multiplier, error_metrics, get
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream


@pytest.mark.parametrize("signed", [False, True])
def test_brute_force_with_histograms(signed):
    rng = stream(5, "metrics", int(signed))
    table = rng.integers(-20, 60, (8, 4))
    a_weights, b_weights = rng.random(8), rng.random(4)
    a_weights[3] = 0
    multiplier = Multiplier.from_table(table, a_signed=signed, b_signed=signed, name="random")
    metrics = multiplier.metrics(a_weights, b_weights)
    total = a_weights.sum() * b_weights.sum()
    sums = dict.fromkeys(["ep", "med", "mse", "bias", "red", "nonzero"], 0.0)
    worst, worst_relative, at_zero = 0, 0.0, 0
    for i in range(8):
        for j in range(4):
            x = i - 8 if signed and i >= 4 else i
            y = j - 4 if signed and j >= 2 else j
            weight = a_weights[i] * b_weights[j] / total
            error = int(table[i, j]) - x * y
            sums["ep"] += weight * (error != 0)
            sums["med"] += weight * abs(error)
            sums["mse"] += weight * error**2
            sums["bias"] += weight * error
            if weight:
                worst = max(worst, abs(error))
            if x * y:
                sums["red"] += weight * abs(error) / abs(x * y)
                sums["nonzero"] += weight
                if weight:
                    worst_relative = max(worst_relative, abs(error) / abs(x * y))
            else:
                at_zero = max(at_zero, abs(error))
    for key in ("ep", "med", "mse", "bias"):
        assert getattr(metrics, key) == pytest.approx(sums[key])
    assert metrics.mred == pytest.approx(sums["red"] / sums["nonzero"])
    assert (metrics.wce, metrics.error_at_zero_operand) == (worst, at_zero)
    assert metrics.max_red == pytest.approx(worst_relative)
    assert multiplier.wmed(a_weights, b_weights) == metrics.med


def test_normalisers():
    assert get("dadda8").metrics().normaliser == 255**2
    assert get("dadda8s").metrics().normaliser == 2**14
    metrics = get("udm8").metrics()
    assert metrics.nmed == metrics.med / 255**2


def test_a_histogram_at_one_pair_gives_the_error_of_that_pair():
    at = np.eye(256)
    metrics = get("udm8").metrics(at[255], at[255])
    assert metrics.med == metrics.wce == 255 * 255 - 85 * 85 * 7
    assert metrics.bias == -metrics.med


@pytest.mark.parametrize("kind", ["mul8u", "mul8s"])
def test_published_metrics_of_evoapproxlib(kind, data_dir):
    folder = data_dir / "evoapproxlib"
    if not folder.is_dir():
        pytest.skip("no evoapproxlib in the data folder")
    with (folder / "metrics_v1.csv").open(newline="") as handle:
        published = {row["name"]: row for row in csv.DictReader(handle)}
    with np.load(folder / f"lut_{kind}_v1.npz", allow_pickle=False) as tables:
        assert len(tables.files) == {"mul8u": 36, "mul8s": 13}[kind]
        for name in tables.files:
            signed = kind == "mul8s"
            multiplier = Multiplier.from_table(tables[name], a_signed=signed, b_signed=signed, name=name)
            metrics, row = multiplier.metrics(), published[name]
            check(metrics.med, row["mae"], name)
            check(metrics.wce, row["wce"], name)
            check(100 * metrics.max_red, row["wcre_pct"], name)
            check(100 * metrics.ep, row["ep_pct"], name)
            check(100 * metrics.mred, row["mre_pct"], name)
            check(metrics.mse, row["mse"], name)


def check(value, text, name):
    """Equal within one unit of the last published digit, the precision of the published values."""
    mantissa, _, exponent = text.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    assert abs(value - float(text)) <= unit * (1 + 1e-9), (name, value, text)


@pytest.mark.parametrize("histogram", [np.ones(255), -np.ones(256), np.zeros(256), np.full(256, np.nan)])
def test_bad_histograms_are_refused(histogram):
    with pytest.raises(CircuitError, match="histogram of operand a"):
        get("dadda8").metrics(histogram)


def test_shapes_must_match():
    with pytest.raises(CircuitError, match="shapes"):
        error_metrics(np.zeros((4, 4), np.int64), np.zeros((4, 8), np.int64))
