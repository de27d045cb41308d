"""Bit flips follow the distribution that they claim: binomial counts, uniform places, independent bits."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from laxity.core.errors import ConfigError
from laxity.core.seeds import stream
from laxity.faults import FLOAT32, FLOAT64, BitFlip, IntegerLayout, bit_mask

SPARSE, DENSE = 0.01, 0.2
LEAST_P = 1e-3


def popcounts(words):
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8)).sum()


@pytest.mark.parametrize("rate", [SPARSE, DENSE])
def test_the_number_of_flips_is_binomial(rate):
    words, draws = np.zeros(50, np.uint32), 3000
    rng = stream(3, "counts", repr(rate))
    counts = np.array([popcounts(BitFlip(rate).corrupt(words, IntegerLayout(8), rng)) for _ in range(draws)])
    exact = stats.binom(50 * 8, rate)
    edges = np.unique(exact.ppf(np.linspace(0.05, 0.95, 10)))
    expected = np.diff([0, *exact.cdf(edges), 1]) * draws
    observed = np.histogram(counts, [-np.inf, *(edges + 0.5), np.inf])[0]
    assert expected.min() > 20
    assert stats.chisquare(observed, expected).pvalue > LEAST_P


@pytest.mark.parametrize("rate", [SPARSE, DENSE])
@pytest.mark.parametrize(("dtype", "width"), [(np.uint32, 8), (np.uint8, 5), (np.uint32, 32), (np.uint64, 64)])
def test_every_bit_of_every_word_is_struck_equally_often(rate, dtype, width):
    size, draws = 12, 4000
    rng = stream(4, "places", repr(rate), width)
    hits = np.zeros((size, width), np.int64)
    shifts = np.arange(width).astype(dtype)
    for _ in range(draws):
        mask = bit_mask(np.zeros(size, dtype), width, rate, rng)
        hits += ((mask[:, None] >> shifts) & dtype(1)).astype(np.int64)
    deviations = (hits - draws * rate) / np.sqrt(draws * rate * (1 - rate))
    statistic = float((deviations**2).sum())
    assert stats.chi2(hits.size).sf(statistic) > LEAST_P
    assert stats.chi2(hits.size).cdf(statistic) > LEAST_P


@pytest.mark.parametrize("rate", [0.029, 0.031, 0.5])
def test_all_patterns_of_two_words_have_their_exact_probability(rate):
    """Three bits in two words: 64 patterns, each with the product of its bits' probabilities."""
    draws, rng = 40_000, stream(5, "patterns", repr(rate))
    words = np.zeros(2, np.uint8)
    seen = np.zeros(64, np.int64)
    for _ in range(draws):
        low, high = bit_mask(words, 3, rate, rng)
        seen[int(low) + 8 * int(high)] += 1
    ones = np.array([sum(bits) for bits in itertools.product((0, 1), repeat=6)])
    expected = rate**ones * (1 - rate) ** (6 - ones) * draws
    common = expected >= 5
    observed = [*seen[common], seen[~common].sum()]
    wanted = [*expected[common], expected[~common].sum()]
    if wanted[-1] == 0:
        observed, wanted = observed[:-1], wanted[:-1]
    assert stats.chisquare(observed, wanted).pvalue > LEAST_P


class Most(np.random.Generator):
    """Draws the largest number of flips that is possible."""

    def binomial(self, n, p):
        return n


@pytest.mark.parametrize("size", [1, 40, 4000])
def test_no_bit_is_struck_twice(size):
    mask = bit_mask(np.zeros(size, np.uint16), 11, SPARSE, Most(np.random.Philox(1)))
    assert mask.tolist() == [2**11 - 1] * size


def test_rate_zero_changes_nothing_and_rate_one_inverts_every_stored_bit():
    words = np.arange(64, dtype=np.uint32).reshape(8, 8)
    assert np.array_equal(BitFlip(0.0).corrupt(words, IntegerLayout(6), stream(0)), words)
    assert np.array_equal(BitFlip(1.0).corrupt(words, IntegerLayout(6), stream(0)), 63 - words)
    full = np.array([0, 5, 2**64 - 1], np.uint64)
    assert np.array_equal(BitFlip(1.0).corrupt(full, FLOAT64, stream(0)), ~full)


def test_the_given_words_are_left_alone():
    words = np.arange(1000, dtype=np.uint32)
    words.flags.writeable = False
    struck = BitFlip(0.1).corrupt(words, FLOAT32, stream(1))
    assert not np.shares_memory(struck, words)
    assert np.array_equal(words, np.arange(1000))
    assert not np.array_equal(struck, words)


def test_rare_faults_in_many_words_need_little_memory():
    words = np.zeros(1_000_000, np.uint32)
    tracemalloc.start()
    struck = BitFlip(1e-6).corrupt(words, FLOAT32, stream(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    low, high = stats.binom(32_000_000, 1e-6).interval(0.9999)
    assert low <= popcounts(struck) <= high
    assert peak < 3 * words.nbytes


@pytest.mark.parametrize("rate", [-1e-9, 1.0001, float("nan"), float("inf"), True, "0.1"])
def test_a_rate_must_be_a_probability(rate):
    with pytest.raises(ConfigError, match="rate_per_bit of 'bit_flip'"):
        BitFlip(rate)


@pytest.mark.parametrize(("words", "width"), [(np.zeros(2, np.uint8), 9), (np.zeros(2, np.int64), 8), (np.zeros(2), 8)])
def test_words_must_fit_an_unsigned_type(words, width):
    with pytest.raises(ConfigError, match="unsigned type"):
        BitFlip(0.5).corrupt(words, IntegerLayout(width), stream(0))
