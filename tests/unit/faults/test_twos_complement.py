"""Two's complement against Python's own conversion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laxity.core.errors import ConfigError, DataError
from laxity.faults.twos_complement import TwosComplement


def test_all_words_of_8_bits():
    words = np.arange(256, dtype=np.uint32)
    values = TwosComplement(8).values(words)
    assert values.tolist() == [int.from_bytes(bytes([w]), "little", signed=True) for w in range(256)]
    assert TwosComplement(8).words(values, np.uint32).tolist() == words.tolist()


@given(st.integers(2, 48), st.integers(-(2**50), 2**50))
def test_too_large_saturates(bits, value):
    layout, half = TwosComplement(bits), 1 << (bits - 1)
    expected = min(max(value, -half), half - 1)
    word = layout.words(float(value))
    assert int(word) == expected % (1 << bits)
    assert float(layout.values(np.array([word]))[0]) == expected


def test_special_words():
    layout = TwosComplement(16)
    assert (int(layout.zero_word), int(layout.largest_word), int(layout.lowest_word)) == (0, 0x7FFF, 0x8000)
    assert layout.words([0.5, 1.5, -0.5]).tolist() == [0, 2, 0]
    assert layout.spacing(np.arange(3, dtype=np.uint32)).tolist() == [1, 1, 1]


def test_bad_input():
    with pytest.raises(ConfigError, match="2 to 48 bits, not 49"):
        TwosComplement(49)
    with pytest.raises(DataError, match="NaN"):
        TwosComplement(8).words(float("nan"))
    with pytest.raises(DataError, match="more than 8 bits"):
        TwosComplement(8).values(np.array([256], np.uint32))
