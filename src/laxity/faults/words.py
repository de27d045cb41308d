"""How integer weights lie in memory: sign and magnitude, or plain unsigned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import DataError

Words = NDArray[np.unsignedinteger[Any]]
"""Stored words: the low bits of each element hold the word, as many as it is wide; all higher bits are zero."""

_WIDEST = 32


def encode(codes: NDArray[Any], bits: int, signed: bool) -> Words:
    """Words of whole numbers.

    Signed codes are stored as sign and magnitude: bit ``bits - 1`` is the sign, the bits below are the absolute value.
    A flipped bit then never leaves the code range, which is symmetric. Zero is stored with sign 0.

    Args:
        codes: whole numbers of any real type and shape; ``|code| < 2**(bits-1)`` if signed, else
            ``0 <= code < 2**bits``.
        bits: width of a word, at most 32, at least 2 if signed.
        signed: which of the two forms.

    Returns:
        uint32, same shape.

    Raises:
        DataError: a code is not whole or does not fit.
    """
    _check_bits(bits, signed)
    with np.errstate(invalid="ignore"):
        whole = np.asarray(codes).astype(np.int64)
    top = (1 << (bits - 1 if signed else bits)) - 1
    if not np.array_equal(whole, codes) or (
        whole.size and (whole.max() > top or whole.min() < (-top if signed else 0))
    ):
        form = "sign and magnitude" if signed else "unsigned"
        raise DataError(f"codes do not fit words of {bits} bits ({form}); they must be whole and at most {top}")
    sign = (whole < 0).astype(np.int64) << (bits - 1)
    return (np.abs(whole) | sign).astype(np.uint32)


def decode(words: Words, bits: int, signed: bool) -> NDArray[np.int64]:
    """Whole numbers of words, the inverse of `encode`; a zero with its sign bit set is 0.

    Raises:
        DataError: a word has more than `bits` bits.
    """
    _check_bits(bits, signed)
    if words.size and int(words.max()) >> bits:
        raise DataError(f"word {int(words.max())} has more than {bits} bits; a fault model must keep words in range")
    plain = words.astype(np.int64)
    if not signed:
        return plain
    magnitude = plain & ((1 << (bits - 1)) - 1)
    return np.where(plain >> (bits - 1), -magnitude, magnitude)


def _check_bits(bits: int, signed: bool) -> None:
    if not 1 + signed <= bits <= _WIDEST:
        raise DataError(f"integer weights have {1 + signed} to {_WIDEST} bits, not {bits}")
