"""Error metrics of netlists, closed forms and compositions against brute force, and intervals against true values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import Multiplier, Operands, SampledMetrics, Sampling, adder_catalogue, catalogue, errors_of
from laxity.circuits.metrics import METRICS
from laxity.circuits.simulate import evaluate
from laxity.circuits.wide import ComposedMultiplier, wide
from laxity.core.errors import CircuitError, RegistryError
from laxity.core.seeds import stream


def brute(result, exact, weight):
    """All metrics by their definitions, from flat arrays."""
    weight = weight / weight.sum()
    error = (result - exact).astype(float)
    defined = exact != 0
    ratio = error[defined] / exact[defined]
    share = weight[defined]
    used = weight > 0
    med, bias, mse = ((weight * v).sum() for v in (np.abs(error), error, error**2))
    seen = np.abs(ratio)[share > 0]
    return {
        "ep": weight[error != 0].sum(),
        "med": med,
        "wce": np.abs(error[used]).max(),
        "mred": (share * np.abs(ratio)).sum() / share.sum() if share.sum() else 0.0,
        "max_red": seen.max() if seen.size else 0.0,
        "nmed": med / np.abs(exact).max(),
        "mse": mse,
        "bias": bias,
        "variance": (weight * (error - bias) ** 2).sum(),
        "relative_bias": (share * ratio).sum() / share.sum() if share.sum() else 0.0,
        "error_at_zero_operand": np.abs(error[exact == 0]).max(),
    }


def all_pairs(name):
    """Results and exact results by code, flat, with a first; from the gates, one vector at a time."""
    add = adder_catalogue.known(name)
    circuit = (adder_catalogue if add else catalogue).circuit(name)
    bits = circuit.port("a").width
    codes = np.arange(1 << (2 * bits))
    a, b = codes >> bits, codes & ((1 << bits) - 1)
    result = evaluate(circuit, {"a": a, "b": b})["s" if add else "p"]
    if add:
        return result, a + b, bits
    if catalogue.parse(name)[2]:
        half, full = 1 << (bits - 1), 1 << bits
        a, b = np.where(a >= half, a - full, a), np.where(b >= half, b - full, b)
        result = np.where(result >> (2 * bits - 1), result - (1 << (2 * bits)), result)
    return result, a * b, bits


def same(metrics, wanted):
    for name in METRICS:
        assert getattr(metrics, name) == pytest.approx(wanted[name], rel=1e-9, abs=1e-9), name


NAMES = [
    "drum6_3",
    "udm4",
    "mitchell5s",
    "booth5s",
    "coltruncc6_4",
    "momenitwo6_5",
    "perf4_0_2",
    "loa6_3",
    "gear8_2_2",
    "trunc5_2",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["uniform", "a", "b", "both", "joint", "pairs"])
def test_brute_force(name, kind):
    result, exact, bits = all_pairs(name)
    rng = stream(2, "histograms", name, kind)
    size = 1 << bits
    a, b = (rng.random(size) * (rng.random(size) < 0.7) for _ in range(2))
    if kind == "uniform":
        operands, weight = Operands(), np.ones(size * size)
    elif kind == "joint":
        joint = rng.random((size, size)) * (rng.random((size, size)) < 0.3)
        operands, weight = Operands(joint=joint), joint.ravel()
    elif kind == "pairs":
        codes = rng.integers(0, size, (2, 500)) // rng.integers(1, 4, (2, 500))
        operands = Operands.of_pairs(*codes)
        weight = np.bincount(codes[0] * size + codes[1], minlength=size * size).astype(float)
    else:
        a = a if kind in ("a", "both") else None
        b = b if kind in ("b", "both") else None
        operands = Operands(a, b)
        weight = np.outer(np.ones(size) if a is None else a, np.ones(size) if b is None else b).ravel()
    metrics = errors_of(name, operands)
    same(metrics, brute(result, exact, weight))
    assert metrics.exhaustive
    assert metrics.pairs == np.count_nonzero(weight)
    assert metrics.interval("med") == (metrics.med, metrics.med)


@pytest.mark.slow
def test_all_pairs_of_twelve_bits():
    """A closed form of perforation: the error is b's dropped bits times a, so that all sums factor."""
    metrics = errors_of("perf12_0_2")
    a, low = np.arange(4096.0), np.arange(4096) & 3
    assert metrics.pairs == 1 << 24
    assert metrics.exhaustive
    assert metrics.med == -metrics.bias == a.mean() * low.mean()
    assert metrics.mse == pytest.approx((a**2).mean() * (low**2.0).mean(), rel=1e-12)
    assert metrics.wce == 3 * 4095
    assert metrics.ep == (4095 / 4096) * 0.75
    b = np.arange(1, 4096)
    assert metrics.mred == pytest.approx((((b & 3) / b).sum()) / 4095, rel=1e-12)
    assert (metrics.max_red, metrics.normaliser) == (1.0, 4095**2)


def test_every_form_of_a_multiplier_has_the_same_metrics():
    by_name = errors_of("drum8_4")
    assert by_name == errors_of(catalogue.circuit("drum8_4"))
    assert by_name == errors_of(catalogue.get("drum8_4")) == catalogue.get("drum8_4").metrics()
    assert by_name == errors_of(wide("drum8_4"))
    assert errors_of("loa8_3") == adder_catalogue.get("loa8_3").errors() == errors_of(adder_catalogue.get("loa8_3"))
    joint = stream(3, "joint").random((256, 256))
    same(
        catalogue.get("udm8").metrics(joint_histogram=joint),
        {name: getattr(errors_of("udm8", Operands(joint=joint)), name) for name in METRICS},
    )


@pytest.mark.parametrize("widths", [(8, 8), (4, 8), (6, 7)])
def test_composed_products(widths):
    part = catalogue.get("perf4_0_2")
    composed = ComposedMultiplier(part)
    a, b = (x.ravel() for x in np.meshgrid(*(np.arange(1 << n) for n in widths), indexing="ij"))
    result = sum(part.table[a >> 4 * i & 15, b >> 4 * j & 15] << (4 * (i + j)) for i in range(2) for j in range(2))
    found = errors_of(composed, a_bits=widths[0], b_bits=widths[1])
    same(found, brute(result, a * b, np.ones(a.size)))
    with pytest.raises(CircuitError, match="give a_bits and b_bits"):
        errors_of(composed)
    with pytest.raises(CircuitError, match="composed multipliers only"):
        errors_of("drum8_4", a_bits=8)


@pytest.mark.parametrize("name", ["drum8_3", "mitchell8s", "udm8", "perf8_0_2", "gear8_2_2"])
def test_intervals_cover_the_true_value(name):
    """Of n samples, each interval must miss the exhaustive value in 5 % or so; odds of 1 in 1000 to miss more."""
    thing = adder_catalogue.get(name) if adder_catalogue.known(name) else catalogue.get(name)
    true = errors_of(thing)
    count, most = (60, 9) if adder_catalogue.known(name) else (150, 17)
    missed = dict.fromkeys(("ep", "med", "mred", "nmed", "mse", "bias", "variance", "relative_bias"), 0)
    for seed in range(count):
        sampled = errors_of(thing, sampling=Sampling(4096, seed, exhaustive_bits=0))
        assert isinstance(sampled, SampledMetrics)
        assert sampled.wce <= true.wce
        assert sampled.max_red <= true.max_red
        assert sampled.error_at_zero_operand == true.error_at_zero_operand
        for metric in missed:
            low, high = sampled.interval(metric)
            assert low <= getattr(sampled, metric) <= high
            missed[metric] += not low <= getattr(true, metric) <= high
    assert max(missed.values()) <= most, missed
    assert sum(missed.values()) > 0


def test_intervals_under_a_histogram_cover_the_weighted_value():
    rng = stream(4, "histogram")
    operands = Operands(rng.random(256) ** 4, np.eye(256)[3] + np.eye(256)[200])
    drum = catalogue.get("drum8_3")
    true = errors_of(drum, operands).med
    samples = (errors_of(drum, operands, Sampling(2048, seed, exhaustive_bits=0)) for seed in range(100))
    assert sum(not low <= true <= high for low, high in (s.interval("med") for s in samples)) <= 13


@pytest.mark.parametrize("name", ["aca16_13", "gear16_1_13"])
def test_rare_errors_are_bounded_not_denied(name):
    """Errors on few of 2^32 pairs: a sample sees hardly any, and its intervals must still hold."""
    sampled = errors_of(name, sampling=Sampling(20000))
    assert sampled.ep * 20000 < 100
    assert {i.method for i in sampled.intervals} == {"binomial", "bound"}
    larger = errors_of(name, sampling=Sampling(1 << 22, seed=1))
    for metric in ("ep", "med", "mse", "bias", "variance", "nmed", "mred"):
        low, high = sampled.interval(metric)
        assert low <= getattr(larger, metric) <= high
        assert high > 0


def test_samples_are_seeded_and_streamed():
    few, again, other = (errors_of("mitchell16", sampling=Sampling(5000, seed)) for seed in (1, 1, 2))
    assert few == again != other
    assert few.pairs == 5000
    assert few.seed == 1
    assert few.interval("wce") == (few.wce, float("inf"))
    assert few.interval("error_at_zero_operand") == (0.0, 0.0)


@pytest.mark.parametrize("name", ["mitchell16", "perf14_0_2"])
def test_maxima_look_at_corners(name):
    """Both have their largest relative error at small or round operands, which 300 random pairs do not hold."""
    sampled = errors_of(name, sampling=Sampling(300))
    assert sampled.max_red == {"mitchell16": 1 / 9, "perf14_0_2": 1.0}[name]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(2, 6), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_random_tables(a_bits, b_bits, a_signed, b_signed, seed):
    table = stream(seed, "table").integers(-500, 500, (1 << a_bits, 1 << b_bits))
    multiplier = Multiplier.from_table(table, a_signed=a_signed, b_signed=b_signed)
    same(multiplier.metrics(), brute(table.ravel(), multiplier.exact_table().ravel(), np.ones(table.size)))
    assert errors_of(multiplier) == multiplier.metrics()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 10}, "too few"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"confidence": float("nan")}, "between 0 and 1"),
        ({"exhaustive_bits": 30}, "at most 24"),
    ],
)
def test_impossible_samplings_are_refused(change, message):
    with pytest.raises(CircuitError, match=message):
        Sampling(**change)


def test_bad_subjects_are_refused():
    with pytest.raises(RegistryError, match="unknown"):
        errors_of("drumm8_4")
    from laxity.circuits import processing_element

    with pytest.raises(CircuitError, match="inputs a and b"):
        errors_of(processing_element(catalogue.circuit("dadda4"), 16).circuit)
    with pytest.raises(CircuitError, match="unknown metric"):
        errors_of("dadda4").interval("mean")
