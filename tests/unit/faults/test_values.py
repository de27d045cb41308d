"""Faults of whole words: what is read instead, and how often at a rate."""

import numpy as np
import pytest
from scipy import stats

from laxity.core.errors import ConfigError
from laxity.core.seeds import stream
from laxity.faults import (
    FLOAT16,
    FLOAT32,
    Dead,
    FixedValue,
    FloatLayout,
    IntegerLayout,
    ListedLayout,
    Noise,
    RandomValue,
    Saturated,
)

LEAST_P = 1e-3
SIGNED, UNSIGNED = IntegerLayout(8, True), IntegerLayout(8)
AFFINE = IntegerLayout(8, zero=np.array([0, 100, 255, 7]))
E4M3 = FloatLayout(4, 3, specials="nan")


def struck(fault, layout, words, dtype=np.uint32, random=None):
    given = np.array(words, dtype)
    random = np.zeros((len(given), fault.draws_per_fault), np.uint64) if random is None else random
    found = fault.strike(given, layout, np.full(len(given), -1), random)
    assert found.dtype == given.dtype
    return found


def floats(values):
    return np.array(values, np.float32).view(np.uint32)


def test_dead_words_read_zero():
    assert struck(Dead(0.0), SIGNED, [0, 127, 255]).tolist() == [0, 0, 0]
    assert struck(Dead(0.0), AFFINE, [9, 9, 9, 9]).tolist() == [0, 100, 255, 7]
    assert struck(Dead(0.0), AFFINE.at(np.array([2, 1])), [9, 9]).tolist() == [255, 100]
    assert struck(Dead(0.0), FLOAT32, floats([3.5, -2.0, np.nan])).tolist() == [0, 0, 0]
    assert struck(Dead(0.0), ListedLayout(np.array([1.0, -4.0, 0.0, 4.0])), [0, 3], np.uint8).tolist() == [2, 2]


def test_saturated_words_read_the_largest_value_of_a_sign():
    top = np.finfo(np.float32).max
    words = floats([3.5, -2.0, 0.0, np.nan, -np.inf])
    expected = {"own": [top, -top, top, top, -top], "positive": [top] * 5, "negative": [-top] * 5}
    for sign, values in expected.items():
        assert struck(Saturated(0.0, sign), FLOAT32, words).view(np.float32).tolist() == values
    assert SIGNED.values(struck(Saturated(0.0), SIGNED, [5, 128 + 5, 128])).tolist() == [127, -127, 127]
    assert E4M3.values(struck(Saturated(0.0), E4M3, [0x01, 0x81], np.uint8)).tolist() == [448, -448]
    assert struck(Saturated(0.0), AFFINE, [3, 99, 255, 6]).tolist() == [255, 0, 255, 0]
    assert struck(Saturated(0.0, "negative"), UNSIGNED, [3]).tolist() == [0]


def test_fixed_values_are_in_units_of_codes():
    assert struck(FixedValue(0.0, -3.0), SIGNED, [0, 99]).tolist() == [131, 131]
    assert struck(FixedValue(0.0, -3.4), AFFINE, [0, 0, 0, 0]).tolist() == [0, 97, 252, 4]
    assert struck(FixedValue(0.0, 1e9), SIGNED, [0]).tolist() == [127]
    assert struck(FixedValue(0.0, -0.1), FLOAT32, [1]).view(np.float32)[0] == np.float32(-0.1)
    assert struck(FixedValue(0.0, 300.0), E4M3, [1], np.uint8).tolist() == [0x79]


def test_random_values_are_uniform():
    n = 25_600
    random = stream(20).integers(0, 2**64, (n, 1), np.uint64)
    found = struck(RandomValue(0.0), UNSIGNED, [77] * n, np.uint16, random)
    assert stats.chisquare(np.bincount(found, minlength=256)).pvalue > LEAST_P


@pytest.mark.parametrize("relative_to", ["value", "step"])
@pytest.mark.parametrize("sigma", [0.01, 3.0])
def test_noise_is_gaussian(relative_to, sigma):
    """In float64, where rounding is too fine to be seen."""
    n, value = 20_000, -5.0
    layout = FloatLayout(11, 52)
    unit = abs(value) if relative_to == "value" else np.spacing(abs(value))
    if relative_to == "step":
        sigma *= 2.0**30
    random = stream(21, relative_to).integers(0, 2**64, (n, 2), np.uint64)
    words = np.full(n, value).view(np.uint64)
    found = struck(Noise(0.0, sigma, relative_to), layout, words, np.uint64, random).view(np.float64)
    assert stats.kstest((found - value) / (sigma * unit), "norm").pvalue > LEAST_P


def test_noise_on_integers_is_rounded_to_codes():
    """Probabilities of codes are differences of the normal distribution at half codes; ends collect what is beyond."""
    n, sigma = 40_000, 2.0
    random = stream(22).integers(0, 2**64, (n, 2), np.uint64)
    found = SIGNED.values(struck(Noise(0.0, sigma, "step"), SIGNED, [128 + 124] * n, random=random))
    codes = np.arange(-127, -116)
    edges = stats.norm.cdf(np.array([*(codes[1:] - 0.5), np.inf]) + 124, scale=sigma)
    probability = np.diff([0.0, *edges])
    observed = [int((found == c).sum()) for c in codes[:-1]]
    assert stats.chisquare([*observed, n - sum(observed)], probability * n).pvalue > LEAST_P


def test_noise_relative_to_the_value_leaves_zero_and_words_without_a_value():
    words = floats([0.0, np.nan, np.inf, -np.inf])
    random = stream(23).integers(0, 2**64, (4, 2), np.uint64)
    assert np.array_equal(struck(Noise(0.0, 0.5), FLOAT32, words, random=random), words)
    assert np.array_equal(struck(Noise(0.0, 0.5, "step"), FLOAT32, words, random=random)[1:], words[1:])


def test_noise_saturates():
    biggest = np.array([np.finfo(np.float64).max]).view(np.uint64)
    up = np.array([[2**63, 0]], np.uint64)  # the cosine is 1, so the noise is positive
    layout = FloatLayout(11, 52)
    assert struck(Noise(0.0, 5.0), layout, biggest, np.uint64, up).tolist() == biggest.tolist()
    assert struck(Noise(0.0, 5.0), SIGNED, [120], random=up).tolist() == [127]


@pytest.mark.parametrize("rate", [0.002, 0.3])
@pytest.mark.parametrize(("layout", "dtype"), [(SIGNED, np.uint32), (FLOAT16, np.uint16)])
def test_a_word_is_struck_when_any_of_its_bits_is(rate, layout, dtype):
    n = 60_000
    words = np.ones((200, 300), dtype)
    found = Dead(rate).corrupt(words, layout, stream(24, layout.form, repr(rate)))
    assert found.shape == words.shape
    probability = 1 - (1 - rate) ** layout.width_bits
    assert stats.binomtest(int((found == 0).sum()), n, probability).pvalue > LEAST_P


def test_a_word_is_struck_once_however_many_of_its_bits_are():
    words = np.ones(20_000, np.uint8)
    found = Dead(1.0, activity=0.3).corrupt(words, UNSIGNED, stream(26))
    assert stats.binomtest(int((found == 0).sum()), len(words), 0.3).pvalue > LEAST_P


def test_words_keep_their_own_zero_points_at_a_rate():
    zeros = np.arange(256)
    layout = IntegerLayout(8, zero=zeros)
    words = np.full(256, 11, np.uint8)
    found = Dead(0.1).corrupt(words, layout, stream(25))
    hit = found != 11
    assert 100 < hit.sum() < 200
    assert np.array_equal(found[hit], zeros[hit])


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: FixedValue(0.1, float("inf")), "finite number, not inf"),
        (lambda: FixedValue(0.1, True), "not True"),
        (lambda: Noise(0.1, 0.0), r"above 0, not 0\.0"),
        (lambda: Noise(0.1, 0.1, "range"), "value or step, not 'range'"),
        (lambda: Saturated(0.1, "up"), "own, positive or negative, not 'up'"),
    ],
)
def test_parameters_that_cannot_be(make, fragment):
    with pytest.raises(ConfigError, match=fragment):
        make()
