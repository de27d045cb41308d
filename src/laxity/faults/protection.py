"""The base classes of protections of stored words: what is stored besides, and what is read in spite of faults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.faults.layout import IntArray, Layout
from laxity.faults.words import Words

Bits = NDArray[np.uint64]

NOWHERE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What protected words are read as after one fault each.

    Attributes:
        words: unsigned (n,), what the struck word itself is read as.
        noticed: faults that the protection notices and cannot correct, bool (n,).
        place: another word that the protection changes by mistake, or `NOWHERE`, int64 (n,); beyond the last word of
            the memory where it changes what is not stored, which has no effect.
        mask: bits that it changes there, uint64 (n,).
    """

    words: Words
    noticed: NDArray[np.bool_]
    place: IntArray
    mask: Bits

    @staticmethod
    def of(words: Words, noticed: NDArray[np.bool_] | None = None) -> Read:
        """Where no other word is touched."""
        count = len(words)
        alarm = np.zeros(count, np.bool_) if noticed is None else noticed
        return Read(words, alarm, np.full(count, NOWHERE, np.int64), np.zeros(count, np.uint64))


class StorageProtection(ABC):
    """How the words of one memory are protected. Plain numpy; knows words and their layout, neither layers nor models.

    Words without a fault are always read as they were written. Three kinds of words: *written* ones, which the network
    computes with; *stored* ones, which lie in memory in their place and may hold check bits where written ones need no
    bit; *check words*, which are stored besides.
    """

    @property
    @abstractmethod
    def form(self) -> str:
        """The protection, in a few words."""

    def written(self, words: Words, layout: Layout, channels: IntArray) -> StorageProtection:
        """The protection of a memory that was filled with these words; itself, unless it depends on them.

        Args:
            words: unsigned (n,).
            layout: of these words.
            channels: output channel that each belongs to, int64 (n,).
        """
        return self

    def stored(self, words: Words, layout: Layout) -> Words:
        """Written words as they lie in memory, the whole memory at once: unsigned (n,), the same type."""
        return words

    def check_width(self, width_bits: int) -> int:
        """Bits per check word, at most 32, for words of so many bits."""
        return 1

    def check_words(self, words: int, width_bits: int) -> int:
        """Check words that are stored besides so many words of so many bits."""
        return 0

    def check_bits(self, words: int, width_bits: int) -> int:
        """Bits that are stored besides; they can be struck as well."""
        return self.check_words(words, width_bits) * self.check_width(width_bits)

    def checks(self, words: Words, layout: Layout) -> Bits:
        """The check words of written words, the whole memory at once: uint64 (check words,)."""
        return np.zeros(0, np.uint64)

    @abstractmethod
    def read(self, stored: Words, struck: Words, layout: Layout, places: IntArray) -> Read:
        """What is read where one word each was struck.

        Args:
            stored: as they lie in memory, unsigned (n,).
            struck: the same words after the fault, (n,).
            layout: of these words.
            places: of these words in the memory, int64 (n,); neighbours share check bits.
        """

    def read_checks(self, flips: Bits, numbers: IntArray, stored: Words, layout: Layout) -> Read:
        """What follows where bits of one check word each are inverted, and all other bits are right.

        Args:
            flips: inverted bits, uint64 (n,).
            numbers: of the check words, int64 (n,).
            stored: the whole memory, unsigned (m,).
            layout: of its words.

        Returns:
            `Read.place` and `Read.mask` are the word that is changed by mistake; `Read.words` has no meaning.
        """
        return Read.of(np.zeros(len(flips), np.uint64))

    def read_all(self, stored: Words, struck: Words, layout: Layout, flips: Bits) -> tuple[Words, NDArray[np.bool_]]:
        """What a whole memory is read as, whatever is wrong with it.

        Here: word by word, for protections in which no word looks at others or at check words.

        Args:
            stored: as they lie in memory, unsigned (n,).
            struck: the same words after all faults, (n,).
            layout: of these words.
            flips: inverted bits of all check words, uint64 (check words,).

        Returns:
            The words that are read, (n,), and where there is an alarm, bool (n,).
        """
        found = self.read(stored, struck, layout, np.arange(len(stored)))
        return found.words, found.noticed


class CodedProtection(StorageProtection):
    """A protection by check bits that neighbouring words share, of whose errors only the pattern matters.

    The words ``[g k, g k + k)`` and the check bits of group g make one code word; words that the last group lacks are
    zero. A subclass says how many words a group has, and which errors its decoder leaves.
    """

    @abstractmethod
    def group(self, width_bits: int) -> int:
        """Words per group."""

    @abstractmethod
    def left(self, errors: Bits, check_errors: Bits, width_bits: int) -> tuple[Bits, NDArray[np.bool_]]:
        """Errors that decoding leaves or makes in groups, and groups with an error that is noticed only.

        Args:
            errors: inverted bits of every word, uint64 (groups, words).
            check_errors: inverted check bits of every group, uint64 (groups,).
            width_bits: of a word.

        Returns:
            Wrong bits of the words that are read, uint64 (groups, words), and bool (groups,).
        """

    def check_places(self, numbers: IntArray, words: int, width_bits: int) -> tuple[IntArray, IntArray]:
        """Group of check words, and where their bits stand among its check bits; here each group has one check word."""
        return numbers, np.zeros_like(numbers)

    def plain(self, stored: Words, places: IntArray, width_bits: int) -> Words:
        """Stored words without check bits."""
        return stored

    def read(self, stored: Words, struck: Words, layout: Layout, places: IntArray) -> Read:
        """See `StorageProtection.read`."""
        width = layout.width_bits
        group, own = np.divmod(places, self.group(width))
        rows = np.arange(len(places))
        errors = np.zeros((len(places), self.group(width)), np.uint64)
        errors[rows, own] = stored.astype(np.uint64) ^ struck.astype(np.uint64)
        left, noticed = self.left(errors, np.zeros(len(places), np.uint64), width)
        words = self.plain(stored, places, width) ^ left[rows, own].astype(stored.dtype)
        left[rows, own] = 0
        return Read(words, noticed, *_elsewhere(left, group))

    def read_checks(self, flips: Bits, numbers: IntArray, stored: Words, layout: Layout) -> Read:
        """See `StorageProtection.read_checks`."""
        width = layout.width_bits
        group, shift = self.check_places(numbers, len(stored), width)
        errors = np.zeros((len(flips), self.group(width)), np.uint64)
        left, noticed = self.left(errors, flips << shift.astype(np.uint64), width)
        return Read(np.zeros(len(flips), np.uint64), noticed, *_elsewhere(left, group))

    def read_all(self, stored: Words, struck: Words, layout: Layout, flips: Bits) -> tuple[Words, NDArray[np.bool_]]:
        """See `StorageProtection.read_all`; group by group."""
        width, size = layout.width_bits, self.group(layout.width_bits)
        groups = -(-len(stored) // size)
        errors = self.grouped(stored ^ struck, width)
        check_errors = np.zeros(groups, np.uint64)
        wrong = np.flatnonzero(flips)
        group, shift = self.check_places(wrong, len(stored), width)
        np.bitwise_xor.at(check_errors, group, flips[wrong] << shift.astype(np.uint64))
        found = self.plain(stored, np.arange(len(stored)), width).copy()
        some = np.flatnonzero(errors.any(1) | (check_errors != 0))
        noticed = np.zeros((groups, size), np.bool_)
        if len(some):
            left, alarm = self.left(errors[some], check_errors[some], width)
            errors[some], noticed[some] = left, alarm[:, None]
        found ^= errors.reshape(-1)[: len(stored)].astype(stored.dtype)
        return found, noticed.reshape(-1)[: len(stored)]

    def grouped(self, words: Words, width_bits: int) -> Bits:
        """Words of a whole memory by groups, uint64 (groups, words), zeros where the last group has none."""
        size = self.group(width_bits)
        padded = np.zeros(-(-len(words) // size) * size, np.uint64)
        padded[: len(words)] = words
        return padded.reshape(-1, size)


def parity(words: Bits) -> Bits:
    """Whether words have an odd number of ones: uint64 of 0 and 1, same shape."""
    odd: Bits = np.bitwise_count(words).astype(np.uint64) & np.uint64(1)
    return odd


def _elsewhere(left: Bits, group: IntArray) -> tuple[IntArray, Bits]:
    """The other word of each group that is changed, and how; decoders change one at most."""
    column = (left != 0).argmax(1)
    mask = left[np.arange(len(left)), column]
    return np.where(mask != 0, group * left.shape[1] + column, NOWHERE), mask
