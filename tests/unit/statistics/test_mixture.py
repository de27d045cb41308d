"""The beta-binomial sequence: mean 1 of its martingale, exact coverage by enumeration, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import binom

from laxity.core.errors import ConfigError, DataError
from laxity.core.seeds import stream
from laxity.statistics import BinomialSequence
from laxity.statistics.mixture import log_evidence, mixture_bounds


@pytest.mark.parametrize("p", [1e-3, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("n", [1, 7, 60])
def test_the_evidence_has_mean_one_under_the_truth(p: float, n: int) -> None:
    s = np.arange(n + 1)
    assert (binom.pmf(s, n, p) * np.exp(log_evidence(p, s, n))).sum() == pytest.approx(1)


def test_the_formula() -> None:
    s, n, p, a, b = 3, 40, 0.2, 0.5, 10.0
    stated = betaln(s + a, n - s + b) - betaln(a, b) - s * math.log(p) - (n - s) * math.log(1 - p)
    assert float(log_evidence(p, s, n, a, b)) == pytest.approx(stated)


@pytest.mark.parametrize(("s", "n"), [(0, 50), (3, 40), (40, 40), (12, 20_000)])
def test_ends_are_where_the_evidence_reaches_the_limit(s: int, n: int) -> None:
    low, high = (float(x) for x in mixture_bounds(s, n, 0.99))
    assert low == 0 if s == 0 else float(log_evidence(low, s, n)) == pytest.approx(math.log(100), abs=1e-6)
    assert high == 1 if s == n else float(log_evidence(high, s, n)) == pytest.approx(math.log(100), abs=1e-6)


def ever_missed(p: float, trials: int, confidence: float, a: float, b: float) -> float:
    """Exact probability that the interval excludes p at one of the first trials: all paths, by dynamic programming."""
    alive = np.array([1.0])
    for n in range(1, trials + 1):
        alive = np.append(alive * (1 - p), 0) + np.append(0, alive * p)
        s = np.arange(n + 1)
        alive[log_evidence(p, s, n, a, b) >= -math.log1p(-confidence)] = 0
    return 1 - float(alive.sum())


@pytest.mark.parametrize("p", [1e-3, 0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(("a", "b"), [(0.5, 10.0), (0.5, 0.5), (30.0, 30.0)])
def test_all_paths_of_300_trials(p: float, a: float, b: float) -> None:
    assert ever_missed(p, 300, 0.9, a, b) <= 0.1


def test_a_valid_sequence_is_not_trivial() -> None:
    assert ever_missed(0.1, 1000, 0.9, 0.5, 10.0) > 0.01


@pytest.mark.parametrize("p", [1e-4, 4.5e-3, 0.1, 0.5])
def test_stopping_when_narrow_covers(p: float) -> None:
    """Campaigns that stop when their interval is narrow, which Wald intervals do not survive."""
    random, replicates, batch = stream(0, "stop", str(p)), 1500, max(10, int(0.5 / p))
    s, low, high = np.zeros(replicates), np.zeros(replicates), np.ones(replicates)
    running = np.ones(replicates, bool)
    for n in range(batch, 61 * batch, batch):
        s += random.binomial(batch, p, replicates)
        now = mixture_bounds(s[running], np.full(int(running.sum()), n))
        low[running], high[running] = np.maximum(low[running], now[0]), np.minimum(high[running], now[1])
        running &= high - low > max(0.6 * p, 0.02)
    assert ((low <= p) & (p <= high)).mean() >= 0.99


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8))
def test_updates_shrink_and_contain_the_estimate(batches: list[tuple[int, int]]) -> None:
    state = BinomialSequence()
    for successes, failures in batches:
        after = state.update(successes, successes + failures)
        assert state.low <= after.low <= after.interval().estimate <= after.high <= state.high
        assert after.trials == state.trials + successes + failures
        state = after


def test_looking_more_often_only_helps() -> None:
    outcomes = stream(1, "outcomes").random(500) < 0.05
    often = once = BinomialSequence()
    for outcome in outcomes:
        often = often.update(int(outcome))
    once = once.update(int(outcomes.sum()), outcomes.size)
    assert once.low <= often.low
    assert often.high <= once.high


def test_nothing_seen_says_nothing() -> None:
    interval = BinomialSequence().update(0, 0).interval()
    assert (interval.low, interval.high, interval.samples) == (0, 1, 0)


def test_a_contradiction_leaves_one_point() -> None:
    before = BinomialSequence().update(0, 16)
    after = before.update(29, 29)
    assert after.low == after.high == before.high
    above = BinomialSequence().update(500, 500)
    below = above.update(0, 100_000)
    assert below.low == below.high == above.low


def test_bad_input() -> None:
    with pytest.raises(DataError, match="3 of 2"):
        BinomialSequence().update(3, 2)
    with pytest.raises(ConfigError, match="confidence"):
        BinomialSequence(confidence=99).update(1, 2)
    with pytest.raises(ConfigError, match="prior"):
        BinomialSequence(a=0).update(1, 2)
