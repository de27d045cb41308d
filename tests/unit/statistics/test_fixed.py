"""Intervals for fixed numbers and plans, against scipy, closed forms and enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from laxity.core.errors import ConfigError, DataError
from laxity.statistics import (
    Interval,
    clopper_pearson,
    exact_trials,
    normal_trials,
    sequential_trials,
    wald,
    wilson,
    zero_failure_bound,
    zero_failure_trials,
)

CASES = [(0, 10), (1, 10), (5, 10), (10, 10), (3, 4000), (1999, 4000)]


@pytest.mark.parametrize(("s", "n"), CASES)
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_scipy_has_the_same_intervals(s: int, n: int, confidence: float) -> None:
    for ours, method in ((clopper_pearson, "exact"), (wilson, "wilson")):
        theirs = binomtest(s, n).proportion_ci(confidence, method)
        mine = ours(s, n, confidence)
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
        assert mine.contains(mine.estimate)


def coverage(method: object, n: int, p: float) -> float:
    found = [method(s, n, 0.99) for s in range(n + 1)]  # type: ignore[operator]
    return math.fsum(float(binom.pmf(s, n, p)) for s, i in enumerate(found) if i.contains(p))


def test_exact_covers_everywhere_and_the_others_do_not() -> None:
    grid = [1e-4, 1e-3, 0.0125, 0.05, 0.2, 0.5]
    assert min(coverage(clopper_pearson, 200, p) for p in grid) >= 0.99
    assert min(coverage(wilson, 200, p) for p in grid) < 0.99
    assert min(coverage(wald, 200, p) for p in grid) < 0.5


@pytest.mark.parametrize("n", [1, 20, 4603])
def test_zero_failures(n: int) -> None:
    bound = zero_failure_bound(n)
    assert (1 - bound) ** n == pytest.approx(0.01)
    assert zero_failure_trials(bound) == n


def test_the_number_of_the_field() -> None:
    assert zero_failure_trials(1e-3) == 4603


def test_published_sample_sizes() -> None:
    assert normal_trials(0.01, 0.95) == 9604
    assert abs(normal_trials(0.01, 0.99) - 16_590) <= 3  # with t rounded to 2.576
    assert normal_trials(0.01, 0.99, population=10**12) == normal_trials(0.01, 0.99)
    small = normal_trials(0.05, 0.95, population=1000)
    half = 1.959964 * math.sqrt(0.25 / small * (1000 - small) / 999)
    assert half == pytest.approx(0.05, rel=2e-3)


@pytest.mark.parametrize(("half_width", "expected"), [(0.05, 0.5), (0.01, 0.0), (0.01, 0.02)])
def test_exact_plans_are_met_and_smallest(half_width: float, expected: float) -> None:
    n = exact_trials(half_width, expected=expected)
    assert clopper_pearson(math.ceil(n * expected), n).half_width <= half_width
    fewer = max(1, int(0.97 * n))
    assert clopper_pearson(math.ceil(fewer * expected), fewer).half_width > half_width


def test_sequential_plans() -> None:
    plan = sequential_trials(0.02, expected=0.1, campaigns=50)
    assert exact_trials(0.02, expected=0.1) < plan.median <= plan.high < 4 * exact_trials(0.02, expected=0.1)
    assert plan.unfinished == 0
    assert sequential_trials(0.02, expected=0.1, campaigns=50) == plan
    assert sequential_trials(0.001, expected=0.5, campaigns=5, limit=500).unfinished == 1


def test_scaling_an_interval() -> None:
    scaled = clopper_pearson(5, 100).scaled(20.0)
    assert scaled.half_width == pytest.approx(20 * clopper_pearson(5, 100).half_width)
    with pytest.raises(ConfigError, match="finite factor"):
        Interval(0.5, 0, 1, 0.99, 1, "").scaled(-1.0)


def test_bad_input() -> None:
    for call in (
        lambda: clopper_pearson(3, 0),
        lambda: wilson(0, 0),
        lambda: wald(4, 3),
        lambda: zero_failure_bound(0),
    ):
        with pytest.raises(DataError):
            call()
    for call in (
        lambda: clopper_pearson(1, 3, 1.0),
        lambda: normal_trials(0.6),
        lambda: normal_trials(0.01, expected=0.0),
        lambda: normal_trials(0.01, population=0),
        lambda: exact_trials(0.01, expected=2),
        lambda: sequential_trials(0.01, expected=-1),
        lambda: zero_failure_trials(0.0),
    ):
        with pytest.raises(ConfigError):
            call()  # type: ignore[operator]


def test_wald_shrinks_to_nothing_where_nothing_failed() -> None:
    assert wald(0, 1000).half_width == 0
    assert np.isclose(wilson(0, 1000).high, 0.0066, atol=1e-4)
