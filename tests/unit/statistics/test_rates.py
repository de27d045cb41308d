"""Failure rates, redundancy and bit error rates, against enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from laxity.core.errors import ConfigError
from laxity.statistics import (
    Component,
    Interval,
    accuracy_at_rate,
    clopper_pearson,
    component_confidence,
    expected_faults,
    failure_rate,
    memory_failure,
    mission_interval,
    mission_reliability,
    secded_failure,
    secded_failure_small,
    tmr_reliability,
)
from laxity.statistics.error_rates import poisson_error, poisson_weights


def exactly(value: float, confidence: float = 1.0) -> Interval:
    return Interval(value, value, value, confidence, 1, "")


# Failures in time


def test_fit_is_the_product_of_its_factors() -> None:
    sdc = clopper_pearson(20, 1000, component_confidence(2))
    weights = Component("weights", 2e-5, 8_000_000, 0.5, sdc, raw_factor=3.0)
    buffers = Component("buffers", 1e-5, 1_000_000, 0.2, exactly(0.1), raw_factor=1.0)
    found = failure_rate([weights, buffers])
    assert found.fit.estimate == pytest.approx(2e-5 * 8e6 * 0.5 * 0.02 + 1e-5 * 1e6 * 0.2 * 0.1)
    assert found.fit.high == pytest.approx(80 * sdc.high + 0.2)
    assert found.raw_low == pytest.approx(80 * sdc.low / 3 + 0.2)
    assert found.raw_high == pytest.approx(80 * sdc.high * 3 + 0.2)


def test_components_need_enough_confidence_together() -> None:
    part = Component("a", 1e-5, 100, 1.0, clopper_pearson(1, 100, 0.99))
    assert failure_rate([part]).fit.confidence == 0.99
    with pytest.raises(ConfigError, match=r"need 0\.995 each"):
        failure_rate([part, part])


def test_missions() -> None:
    assert mission_reliability(100.0, 1e9) == pytest.approx(math.exp(-100))
    assert mission_reliability(0.0, 1e9) == 1
    found = mission_interval(Interval(10, 5, 20, 0.99, 100, "x"), 1e6)
    assert (found.low, found.high) == pytest.approx((math.exp(-0.02), math.exp(-0.005)))


# Redundancy


@pytest.mark.parametrize("p", [0.5, 0.1, 1e-3])
def test_secded_against_enumeration(p: float) -> None:
    for bits in (2, 8, 72):
        assert secded_failure(p, bits) == pytest.approx(float(binom.sf(1, bits, p)))
    assert secded_failure(p, 2) == pytest.approx(p * p)


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-12, 0.3), st.integers(2, 300))
def test_the_approximation_is_an_upper_bound(p: float, bits: int) -> None:
    exact, small = secded_failure(p, bits), secded_failure_small(p, bits)
    assert exact <= small * (1 + 1e-9)
    assert exact >= small * (1 - bits * p) - 1e-300


def test_the_constant_of_72_bits() -> None:
    assert secded_failure_small(1e-6) == pytest.approx(2556e-12)
    assert secded_failure(1e-9) == pytest.approx(2556e-18, rel=1e-6)


def test_many_words() -> None:
    assert memory_failure(1e-15, 1000) == pytest.approx(1e-12)
    assert memory_failure(0.25, 2) == pytest.approx(1 - 0.75**2)
    assert (memory_failure(1.0, 3), memory_failure(1.0, 0)) == (1, 0)


@pytest.mark.parametrize("r", [0.0, 0.3, 0.5, 0.999, 1.0])
def test_tmr_against_enumeration(r: float) -> None:
    majority = sum(
        math.prod(r if works else 1 - r for works in modules)
        for modules in itertools.product((0, 1), repeat=3)
        if sum(modules) >= 2
    )
    assert tmr_reliability(r) == pytest.approx(majority)
    assert tmr_reliability(r, 0.9) == pytest.approx(0.9 * majority)


# Bit error rates


@pytest.mark.parametrize("rate", [1e-6, 1e-4, 2e-3])
def test_one_campaign_serves_all_rates(rate: float) -> None:
    """Against the binomial number of faults: the interval contains the true mean, and is tight where counts suffice."""
    bits, accuracy = 10_000, [0.9 * 0.97**k for k in range(60)]
    true = math.fsum(float(binom.pmf(k, bits, rate)) * 0.9 * 0.97**k for k in range(200))
    found = accuracy_at_rate([exactly(a) for a in accuracy], rate, bits)
    assert found.contains(true)
    assert found.estimate == pytest.approx(true, abs=poisson_error(rate, bits) + 1e-9)
    assert found.half_width <= poisson_error(rate, bits) + 1e-6


def test_unmeasured_counts_are_not_extrapolated() -> None:
    found = accuracy_at_rate([exactly(0.9), exactly(0.8)], 1e-3, 10_000)
    assert found.low < 0.001
    assert found.high > 0.99


def test_confidence_is_that_of_all_counts() -> None:
    found = accuracy_at_rate([clopper_pearson(90, 100, 0.999)] * 5, 1e-5, 1000)
    assert found.confidence == pytest.approx(0.995)
    assert found.samples == 500


def test_poisson_error_bounds_the_true_distance() -> None:
    for rate, bits in ((0.01, 100), (0.1, 20), (1e-4, 5000)):
        k = np.arange(bits + 1)
        distance = np.abs(binom.pmf(k, bits, rate) - poisson_weights(rate * bits, bits)).sum() / 2
        assert distance <= poisson_error(rate, bits)


def test_no_faults_at_rate_zero() -> None:
    found = accuracy_at_rate([exactly(0.9)], 0.0, 100)
    assert (found.low, found.estimate, found.high) == pytest.approx((0.9, 0.9, 0.9))
    assert expected_faults(1e-3, 5000) == 5


def test_bad_input() -> None:
    sdc = exactly(0.1)
    for call in (
        lambda: Component("a", -1, 1, 0.5, sdc),
        lambda: Component("a", 1, 1, 1.5, sdc),
        lambda: Component("a", 1, 1, 0.5, sdc, raw_factor=0.5),
        lambda: failure_rate([]),
        lambda: component_confidence(0),
        lambda: mission_reliability(-1, 1),
        lambda: secded_failure(2),
        lambda: secded_failure(0.1, 1),
        lambda: memory_failure(-1, 1),
        lambda: tmr_reliability(1.2),
        lambda: accuracy_at_rate([], 0.1, 1),
        lambda: expected_faults(-1, 1),
        lambda: poisson_weights(-1, 1),
    ):
        with pytest.raises(ConfigError):
            call()  # type: ignore[operator]
