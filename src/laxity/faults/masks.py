"""Random masks over the bits of stored words, in time proportional to the faults where these are rare."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import ConfigError
from laxity.faults.words import Words

_DENSE = 0.03
"""Rate above which drawing every bit is no slower than drawing distinct positions."""


def check_width(words: Words, width_bits: int) -> None:
    """Check that words of `width_bits` bits fit the array's type.

    Raises:
        ConfigError: the array is not of unsigned integers, or too narrow.
    """
    if words.dtype.kind != "u" or not 1 <= width_bits <= 8 * words.dtype.itemsize:
        raise ConfigError(f"words of {width_bits} bits need an unsigned type that holds them, not {words.dtype}")


def one_bit(bits: NDArray[np.int64], dtype: np.dtype[Any]) -> Words:
    """Masks of one bit each: unsigned of the given type, in the shape of `bits`."""
    masks: Words = np.left_shift(np.ones((), dtype), bits.astype(dtype))
    return masks


def full_word(width_bits: int) -> int:
    """The word of all ones."""
    return (1 << width_bits) - 1


def bit_mask(words: Words, width_bits: int, rate_per_bit: float, rng: np.random.Generator) -> Words:
    """Draw a mask in which each of the low `width_bits` bits of each word is 1 with the given probability.

    All bits are independent. For small rates the number of ones is drawn from its binomial distribution and then that
    many distinct positions uniformly, which gives the same joint distribution.

    Args:
        words: gives shape and type of the mask; unsigned integers.
        width_bits: bits per word.
        rate_per_bit: probability, 0 to 1.
        rng: source of randomness.

    Returns:
        A new array of the shape and type of `words`.

    Raises:
        ConfigError: the words do not fit the array's type.
    """
    check_width(words, width_bits)
    draw = _every_bit if rate_per_bit > _DENSE else _few_bits
    return draw(words.size, words.dtype, width_bits, rate_per_bit, rng).reshape(words.shape)


def struck_positions(count: int, rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which of `count` things are struck, each with the given probability, independently: distinct, in no order."""
    if rate > _DENSE:
        return np.flatnonzero(rng.random(count) < rate)
    struck = int(rng.binomial(count, rate))
    return rng.choice(count, struck, replace=False, shuffle=False) if struck else np.zeros(0, np.int64)


def mask_at(positions: NDArray[np.int64], size: int, width_bits: int, dtype: np.dtype[Any]) -> Words:
    """Words (size,) whose bits at some positions are 1; positions count all bits of the first word, then the next."""
    mask = np.zeros(size, dtype)
    np.bitwise_xor.at(mask, positions // width_bits, one_bit(positions % width_bits, dtype))
    return mask


def _few_bits(size: int, dtype: np.dtype[Any], width_bits: int, rate: float, rng: np.random.Generator) -> Words:
    return mask_at(struck_positions(size * width_bits, rate, rng), size, width_bits, dtype)


def _every_bit(size: int, dtype: np.dtype[Any], width_bits: int, rate: float, rng: np.random.Generator) -> Words:
    mask = np.zeros(size, dtype)
    for bit in range(width_bits):
        mask |= np.left_shift((rng.random(size) < rate).astype(dtype), np.asarray(bit, dtype))
    return mask
