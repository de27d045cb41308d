"""The base class of protections of stored words: what is stored besides, and what is read in spite of a fault."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.faults.layout import IntArray, Layout
from laxity.faults.words import Words

NOWHERE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What protected words are read as after one fault each.

    Attributes:
        words: unsigned (n,), what the struck word itself is read as.
        noticed: faults that the protection notices and cannot correct, bool (n,).
        place: another word that the protection changes by mistake, or `NOWHERE`, int64 (n,).
        mask: bits that it changes there, uint64 (n,).
    """

    words: Words
    noticed: NDArray[np.bool_]
    place: IntArray
    mask: NDArray[np.uint64]

    @staticmethod
    def of(words: Words, noticed: NDArray[np.bool_] | None = None) -> Read:
        """Where no other word is touched."""
        count = len(words)
        alarm = np.zeros(count, np.bool_) if noticed is None else noticed
        return Read(words, alarm, np.full(count, NOWHERE, np.int64), np.zeros(count, np.uint64))


class StorageProtection(ABC):
    """How the words of one memory are protected. Plain numpy; knows words and their layout, neither layers nor models.

    Words without a fault are always read as they were stored.
    """

    @abstractmethod
    def check_bits(self, words: int, width_bits: int) -> int:
        """Bits that are stored besides so many words of so many bits; they can be struck as well."""

    @abstractmethod
    def read(self, stored: Words, struck: Words, layout: Layout, places: IntArray) -> Read:
        """What is read where one word each was struck.

        Args:
            stored: as written, unsigned (n,).
            struck: the same words after the fault, (n,).
            layout: of these words.
            places: of these words in the memory, int64 (n,); neighbours share check bits.
        """

    def noticed_in_check(self, flips: IntArray) -> NDArray[np.bool_]:
        """Whether so many inverted bits among the check bits of one word are noticed and cannot be corrected.

        Stored words are read as they are: a fault of check bits alone changes none of them.

        Args:
            flips: int64 (n,), at least 1.
        """
        return np.zeros(len(flips), np.bool_)
