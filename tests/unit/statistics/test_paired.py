"""Differences and ratios: scipy, and exact coverage by enumeration of all outcomes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, multinomial

from laxity.core.errors import DataError
from laxity.core.seeds import stream
from laxity.statistics import mcnemar_p_value, paired_betting, paired_difference, rate_ratio


@pytest.mark.parametrize(("a", "b"), [(0, 0), (5, 5), (0, 7), (12, 3), (3, 12), (40, 61)])
def test_mcnemar_is_the_sign_test(a: int, b: int) -> None:
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar_p_value(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("chances", [(0.1, 0.1), (0.3, 0.02), (0.0, 0.05), (0.5, 0.5)])
def test_exact_coverage_of_differences(chances: tuple[float, float]) -> None:
    n, truth = 16, chances[0] - chances[1]
    rest = max(0.0, 1 - sum(chances))
    covered = math.fsum(
        float(multinomial.pmf([a, b, n - a - b], n, [*chances, rest]))
        for a in range(n + 1)
        for b in range(n + 1 - a)
        if paired_difference(a, b, n, 0.9).contains(truth)
    )
    assert covered >= 0.9


def test_common_faults_make_differences_narrow() -> None:
    apart = rate = 0.4
    paired = paired_difference(30, 10, 4000)
    assert paired.contains(0.005)
    assert paired.half_width < 2.576 * math.sqrt(2 * rate * (1 - apart) / 4000) / 2


def test_betting_on_differences() -> None:
    random = stream(0, "pairs")
    base = random.random(3000)
    first, second = np.clip(base + 0.03, 0, 1), np.clip(base + random.normal(0, 0.01, 3000), 0, 1)
    found = paired_betting(first, second, horizon=3000)
    assert found.contains(0.03 - 0.03**2 / 2)
    assert found.half_width < 0.01
    assert found.low > 0
    swapped = paired_betting(second, first, horizon=3000)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), abs=1e-3)


@pytest.mark.parametrize("chances", [(0.3, 0.1), (0.05, 0.4), (0.5, 0.5)])
def test_exact_coverage_of_ratios(chances: tuple[float, float]) -> None:
    n, truth = (14, 18), chances[0] / chances[1]
    covered = math.fsum(
        float(binom.pmf(a, n[0], chances[0]) * binom.pmf(b, n[1], chances[1]))
        for a, b in itertools.product(range(n[0] + 1), range(n[1] + 1))
        if rate_ratio((a, n[0]), (b, n[1]), 0.9).contains(truth)
    )
    assert covered >= 0.9


def test_ratios_without_failures() -> None:
    open_above = rate_ratio((5, 100), (0, 100))
    assert open_above.high == math.inf == open_above.estimate
    assert open_above.low > 0
    none = rate_ratio((0, 100), (5, 100))
    assert (none.low, none.estimate) == (0, 0)
    assert none.high < 3


def test_independent_trials_give_narrower_ratios_and_swapping_inverts() -> None:
    found, same = rate_ratio((60, 1000), (30, 1000)), rate_ratio((60, 1000), (30, 1000), paired=True)
    assert same.low < found.low < 2 < found.high < same.high
    swapped = rate_ratio((30, 1000), (60, 1000))
    assert (1 / swapped.high, 1 / swapped.low) == pytest.approx((found.low, found.high))


def test_bad_input() -> None:
    with pytest.raises(DataError, match="parts of 10"):
        paired_difference(7, 4, 10)
    with pytest.raises(DataError, match="at least 0"):
        mcnemar_p_value(-1, 3)
    with pytest.raises(DataError, match="same number"):
        paired_betting([0.1], [0.1, 0.2])
    with pytest.raises(DataError, match="successes"):
        rate_ratio((5, 4), (1, 4))
