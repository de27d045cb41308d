"""Storage protected by a Hsiao code: encoding, syndromes and correction of many code words at once."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from laxity.faults.layout import IntArray
from laxity.faults.protection import Bits, CodedProtection, parity

NOTHING, ALARM = -1, -2
"""What a syndrome asks for besides the position of a wrong bit."""


class HsiaoProtection(CodedProtection):
    """What all protections by Hsiao codes do alike; a subclass says which column each stored bit has.

    An error whose syndrome is a column is taken for a wrong bit there, which is what hardware does; one of weight 3 or
    more may be taken for another one. Any other syndrome but 0 gives the alarm.
    """

    @abstractmethod
    def position_columns(self, width_bits: int) -> IntArray:
        """Column of every bit of the words of a group, int64 (words, width_bits), the least significant bit first."""

    @abstractmethod
    def check_count(self, width_bits: int) -> int:
        """Check bits of a group, wherever they are stored."""

    def syndromes(self, errors: Bits, width_bits: int) -> IntArray:
        """Exclusive or of the columns of all set bits, int64 (groups,), of words uint64 (groups, words)."""
        found = np.zeros(len(errors), np.uint64)
        table = self.position_columns(width_bits)
        for row in range(self.check_count(width_bits)):
            masks = np.bitwise_or.reduce(
                ((table >> row & 1).astype(np.uint64) << np.arange(width_bits, dtype=np.uint64)), axis=1
            )
            ones = parity(np.bitwise_xor.reduce(errors & masks, axis=1))
            found |= ones << np.uint64(row)
        return found.astype(np.int64)

    def left(self, errors: Bits, check_errors: Bits, width_bits: int) -> tuple[Bits, NDArray[np.bool_]]:
        """See `CodedProtection.left`."""
        syndromes = self.syndromes(errors, width_bits) ^ check_errors.astype(np.int64)
        table = self.position_columns(width_bits)
        asked = _asked(tuple(table.reshape(-1).tolist()), self.check_count(width_bits))[syndromes]
        found = errors.copy()
        rows = np.flatnonzero(asked >= 0)
        word, bit = np.divmod(asked[rows], width_bits)
        found[rows, word] ^= np.uint64(1) << bit.astype(np.uint64)
        return found, asked == ALARM


@lru_cache(maxsize=64)
def _asked(columns: tuple[int, ...], check_bits: int) -> IntArray:
    """What each syndrome asks for, int64 (2**check_bits,): the position of a bit, `NOTHING`, or `ALARM`."""
    asked = np.full(1 << check_bits, ALARM, np.int64)
    asked[[0, *(1 << i for i in range(check_bits))]] = NOTHING
    asked[list(columns)] = np.arange(len(columns))
    return asked
