"""Intervals against scipy's own and against simulation by exact enumeration."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from laxity.core.errors import DataError
from laxity.core.intervals import clopper_pearson, mean_interval, paired_drop_error


@settings(deadline=None, max_examples=60)
@given(trials=st.integers(1, 3000), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_equals_scipy(trials, share, confidence):
    right = round(share * trials)
    wanted = stats.binomtest(right, trials).proportion_ci(confidence, "exact")
    assert clopper_pearson(right, trials, confidence) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_clopper_pearson_covers():
    """Over all outcomes of 25 trials, the interval holds the truth with at least its confidence."""
    for truth in (0.03, 0.3, 0.9):
        covered = sum(
            stats.binom.pmf(k, 25, truth)
            for k in range(26)
            if clopper_pearson(k, 25)[0] <= truth <= clopper_pearson(k, 25)[1]
        )
        assert covered >= 0.95


@pytest.mark.parametrize(("right", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(right, trials):
    with pytest.raises(DataError, match=f"not {right} of {trials}"):
        clopper_pearson(right, trials)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_mean_interval_equals_scipy(values):
    mean, low, high = mean_interval(values)
    spread = np.std(values, ddof=1)
    assert mean == pytest.approx(np.mean(values), abs=1e-6)
    assert low <= mean <= high
    if spread > 1e-9:
        wanted = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (low, high) == pytest.approx(wanted, rel=1e-9, abs=1e-6)


def test_one_value_has_no_interval():
    with pytest.raises(DataError, match="needs at least two trials, not 1"):
        mean_interval([1.0])


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 100))
def test_paired_error_is_that_of_the_mean_of_differences(lost, gained, same):
    samples = lost + gained + same
    if samples == 0:
        with pytest.raises(DataError, match="at least one sample"):
            paired_drop_error(lost, gained, samples)
        return
    differences = np.array([1] * lost + [-1] * gained + [0] * same, float)
    assert paired_drop_error(lost, gained, samples) == pytest.approx(differences.std() / math.sqrt(samples), abs=1e-12)
