"""Integer weights as words: all codes survive the way there and back, and each bit means what it should."""

import numpy as np
import pytest

from laxity.core.errors import DataError
from laxity.faults import decode, encode


def all_codes(bits, signed):
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return np.arange(-top if signed else 0, top + 1)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(2, 13))
def test_all_codes_come_back(bits, signed):
    codes = all_codes(bits, signed)
    words = encode(codes, bits, signed)
    assert words.dtype == np.uint32
    assert int(words.max()) < 2**bits
    assert len(np.unique(words)) == len(codes)
    assert np.array_equal(decode(words, bits, signed), codes)
    assert np.array_equal(encode(codes.astype(np.float32), bits, signed), words)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(2, 9))
def test_every_word_is_a_code_so_that_no_flip_leaves_the_range(bits, signed):
    decoded = decode(np.arange(2**bits, dtype=np.uint32), bits, signed)
    assert set(decoded.tolist()) == set(all_codes(bits, signed).tolist())


@pytest.mark.parametrize(
    ("code", "after"),
    [
        (5, [4, 7, 1, 13, 21, 37, 69, -5]),
        (-5, [-4, -7, -1, -13, -21, -37, -69, 5]),
        (0, [1, 2, 4, 8, 16, 32, 64, 0]),
        (-1, [0, -3, -5, -9, -17, -33, -65, 1]),
        (127, [126, 125, 123, 119, 111, 95, 63, -127]),
    ],
)
def test_each_single_flip_of_an_8_bit_sign_magnitude_code(code, after):
    word = encode(np.array([code]), 8, True)
    flipped = [int(decode(word ^ np.uint32(1 << bit), 8, True)[0]) for bit in range(8)]
    assert flipped == after


def test_each_single_flip_of_a_4_bit_unsigned_code():
    word = encode(np.array([10]), 4, False)
    assert [int(decode(word ^ np.uint32(1 << bit), 4, False)[0]) for bit in range(4)] == [11, 8, 14, 2]


@pytest.mark.parametrize(
    ("codes", "bits", "signed"),
    [([-128], 8, True), ([128], 8, True), ([-1], 8, False), ([256], 8, False), ([0.5], 8, True), ([np.inf], 8, True)],
)
def test_codes_that_do_not_fit_are_refused(codes, bits, signed):
    with pytest.raises(DataError, match="codes do not fit words of 8 bits"):
        encode(np.array(codes), bits, signed)


def test_words_that_are_too_wide_are_refused():
    with pytest.raises(DataError, match="word 16 has more than 4 bits"):
        decode(np.array([3, 16], np.uint32), 4, True)


@pytest.mark.parametrize(("bits", "signed"), [(1, True), (0, False), (33, False)])
def test_widths_out_of_range_are_refused(bits, signed):
    with pytest.raises(DataError, match="integer weights have"):
        encode(np.array([0]), bits, signed)


def test_no_weights_are_fine():
    assert decode(encode(np.zeros(0), 8, True), 8, True).shape == (0,)
