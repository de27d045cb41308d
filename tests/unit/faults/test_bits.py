"""Faults of bits: single strikes against Python integers, and what many of them do at a rate."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from laxity.core.errors import ConfigError
from laxity.core.seeds import stream
from laxity.faults import FLOAT32, FLOAT64, BitFlip, Burst, IntegerLayout, MultiFlip, StuckAt

LEAST_P = 1e-3


def struck(fault, layout, words, bits, random=None, dtype=np.uint64):
    """Words after a strike, as Python integers."""
    random = np.zeros((len(words), fault.draws_per_fault), np.uint64) if random is None else random
    return fault.strike(np.array(words, dtype), layout, np.array(bits), random).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 31)), min_size=1, max_size=9))
def test_single_bits(cases):
    words, bits = zip(*cases, strict=True)
    assert struck(BitFlip(0.0), FLOAT32, words, bits) == [w ^ 1 << b for w, b in cases]
    assert struck(StuckAt(0.0, 1), FLOAT32, words, bits) == [w | 1 << b for w, b in cases]
    assert struck(StuckAt(0.0, 0), FLOAT32, words, bits) == [w & ~(1 << b) for w, b in cases]


def test_the_top_bit_of_the_widest_words():
    assert struck(BitFlip(0.0), FLOAT64, [0, 2**64 - 1], [63, 63]) == [2**63, 2**63 - 1]
    assert struck(Burst(0.0, 64), FLOAT64, [0, 0, 0], [0, 1, 63]) == [2**64 - 1, 2**64 - 2, 2**63]


@pytest.mark.parametrize("length", [2, 3, 8, 40])
def test_a_burst_of_all_bits_ends_with_the_word(length):
    words = list(range(8))
    expected = [w ^ sum(1 << b for b in range(w, min(w + length, 8))) for w in words]
    assert struck(Burst(0.0, length), IntegerLayout(8), words, words, dtype=np.uint8) == expected


def test_a_random_burst_has_both_ends_and_any_bits_between():
    rng = stream(7, "bursts")
    fault, count = Burst(0.0, 5, "random"), 6000
    random = rng.integers(0, 2**64, (count, 1), np.uint64)
    found = collections.Counter(struck(fault, IntegerLayout(16), [0] * count, [4] * count, random, np.uint16))
    patterns = [(1 | inner << 1 | 16) << 4 for inner in range(8)]
    assert set(found) == set(patterns)
    assert stats.chisquare([found[p] for p in patterns]).pvalue > LEAST_P
    cut = struck(fault, IntegerLayout(6), [0] * count, [4] * count, random, np.uint8)
    assert set(cut) == {0b010000, 0b110000}


@pytest.mark.parametrize(("count", "width", "bit"), [(2, 8, 3), (3, 6, 0), (4, 7, 6)])
def test_all_sets_of_other_bits_are_equally_likely(count, width, bit):
    n = 12_000
    random = stream(8, "sets", count).integers(0, 2**64, (n, 1), np.uint64)
    found = collections.Counter(struck(MultiFlip(0.0, count), IntegerLayout(width), [0] * n, [bit] * n, random))
    others = itertools.combinations([b for b in range(width) if b != bit], count - 1)
    sets = [1 << bit | sum(1 << b for b in chosen) for chosen in others]
    assert set(found) == set(sets)
    assert stats.chisquare([found[s] for s in sets]).pvalue > LEAST_P


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 8), st.integers(2, 32), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.data())
def test_several_flips_are_distinct_and_hold_the_struck_one(count, width, word, random, data):
    bit, word = data.draw(st.integers(0, width - 1)), word % 2**width
    layout = IntegerLayout(width)
    (found,) = struck(MultiFlip(0.0, count), layout, [word], [bit], np.array([[random]], np.uint64))
    assert (found ^ word) >> bit & 1
    assert (found ^ word).bit_count() == min(count, width)
    assert found >> width == 0


def test_what_bits_a_fault_can_change():
    bits, layout = np.array([0, 5, 7]), IntegerLayout(8)
    assert BitFlip(0.0).reach(layout, bits).tolist() == [1, 32, 128]
    assert Burst(0.0, 3).reach(layout, bits).tolist() == [7, 0b11100000, 128]
    assert MultiFlip(0.0).reach(layout, bits).tolist() == [255] * 3


@pytest.mark.parametrize("rate", [0.01, 0.3])
@pytest.mark.parametrize("value", [0, 1])
def test_cells_that_are_stuck_at_a_rate(rate, value):
    """Of the bits that hold the other value, a binomial number changes; no other does."""
    words = stream(9, "words").integers(0, 2**8, 40_000).astype(np.uint8)
    found = StuckAt(rate, value).corrupt(words, IntegerLayout(8), stream(9, "stuck", value, repr(rate)))
    before, after = np.unpackbits(words), np.unpackbits(found)
    assert np.all(after[before == value] == value)
    changed, candidates = int((before != after).sum()), int((before != value).sum())
    assert stats.binomtest(changed, candidates, rate).pvalue > LEAST_P


def test_every_struck_bit_of_a_word_strikes():
    """At rate 1 every bit of a word is struck once, one after the other."""
    words = np.arange(256, dtype=np.uint8).reshape(16, 16)
    layout, rng = IntegerLayout(8), stream(10)
    assert np.array_equal(StuckAt(1.0, 1).corrupt(words, layout, rng), np.full((16, 16), 255))
    assert np.array_equal(StuckAt(1.0, 0).corrupt(words, layout, rng), np.zeros((16, 16)))
    # A burst of 2 from each of the bits 0 to 7: bit 0 is inverted once, all others twice.
    assert np.array_equal(Burst(1.0, 2).corrupt(words, layout, rng), words ^ 1)


def test_the_same_stream_strikes_the_same_bits_whatever_the_fault():
    words = np.zeros(5000, np.uint32)
    flipped = BitFlip(0.01).corrupt(words, FLOAT32, stream(11))
    assert np.array_equal(StuckAt(0.01, 1).corrupt(words, FLOAT32, stream(11)), flipped)


@pytest.mark.parametrize("fault", [BitFlip(0.02, activity=0.3), StuckAt(0.02, 1, activity=0.3)])
def test_intermittent_faults_at_a_rate(fault):
    words = np.zeros(100_000, np.uint8)
    found = fault.corrupt(words, IntegerLayout(8), stream(12, fault.kind))
    assert stats.binomtest(int(np.unpackbits(found).sum()), 800_000, 0.02 * 0.3).pvalue > LEAST_P


def test_an_intermittent_fault_shows_in_some_inferences_only():
    fault, n = StuckAt(0.0, 1, activity=0.2), 20_000
    assert (fault.draws, fault.draws_per_fault) == (0, 1)
    random = stream(13).integers(0, 2**64, (n, 1), np.uint64)
    found = np.array(struck(fault, FLOAT32, [0] * n, [7] * n, random))
    assert set(found.tolist()) == {0, 128}
    assert stats.binomtest(int((found == 128).sum()), n, 0.2).pvalue > LEAST_P
    assert np.array_equal(found, struck(fault, FLOAT32, [0] * n, [7] * n, random))
    burst = Burst(0.0, 3, "random", activity=0.5)
    assert burst.draws_per_fault == 2
    ends = np.array([[2**64 - 1, 0], [2**64 - 1, 2**64 - 1]], np.uint64)
    assert struck(burst, IntegerLayout(8), [0, 0], [0, 0], ends) == [7, 0]


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: StuckAt(0.1, 2), "0 or 1, not 2"),
        (lambda: StuckAt(0.1, True), "0 or 1, not True"),
        (lambda: MultiFlip(0.1, 1), "2 to 8 bits, not 1"),
        (lambda: MultiFlip(0.1, 9), "2 to 8 bits, not 9"),
        (lambda: MultiFlip(0.1, 2.0), r"not 2\.0"),
        (lambda: Burst(0.1, 1), "2 to 64 bits, not 1"),
        (lambda: Burst(0.1, 65), "not 65"),
        (lambda: Burst(0.1, 2, "some"), "pattern of 'burst' is all or random, not 'some'"),
        (
            lambda: BitFlip(0.1, activity=0.0),
            r"activity of 'bit_flip' is a probability above 0 and at most 1, not 0\.0",
        ),
        (lambda: BitFlip(0.1, activity=float("nan")), "not nan"),
        (lambda: MultiFlip(1.5), "rate_per_bit"),
    ],
)
def test_parameters_that_cannot_be(make, fragment):
    with pytest.raises(ConfigError, match=fragment):
        make()


def test_no_words_are_fine():
    none = np.zeros(0, np.int64)
    for fault in (BitFlip(1.0), StuckAt(1.0), MultiFlip(1.0), Burst(1.0)):
        random = np.zeros((0, fault.draws_per_fault), np.uint64)
        assert fault.strike(np.zeros(0, np.uint32), FLOAT32, none, random).shape == (0,)
