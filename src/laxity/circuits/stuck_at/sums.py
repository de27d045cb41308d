"""What is counted of a fault, and how differences of output bits become differences of results."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from laxity.circuits.error_sums import FloatArray, IntArray
from laxity.circuits.simulate import Words
from laxity.circuits.stuck_at.program import Program
from laxity.core.seeds import stream

COUNTS = ("shown", "fault_distance", "fault_worst", "fault_error", "wrong", "distance", "worst", "error")
"""Columns of `Sums.counts`.

`shown`: pairs with another result than without fault; `fault_...`: sums of |d| and of d, and the largest |d|, of d =
result with minus result without fault; `wrong`, `distance`, `worst`, `error`: pairs with e != 0, and the same of e =
result with fault minus exact result.
"""

Results = npt.NDArray[Any]
"""Signed integers of 32 bits where results and exact results have at most 24 bits, else of 64 bits."""

_NARROW_BITS = 24  # 64 errors of so many bits are added in 32 bits

SIGNATURE_WORDS = 2
"""64-bit words of a signature."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Integers over all operand pairs, for each of some faults.

    Attributes:
        counts: int64 (faults, 8), see `COUNTS`.
        changed: output bits that some pair shows, one bit each, uint64 (faults,).
        signatures: hash of the differences of the outputs, uint64 (faults, 2): equal for equal results; 0 without any.
    """

    counts: IntArray
    changed: Words
    signatures: Words

    @staticmethod
    def empty(faults: int) -> Sums:
        """Zeros for so many faults."""
        return Sums(
            np.zeros((faults, len(COUNTS)), dtype=np.int64),
            np.zeros(faults, dtype=np.uint64),
            np.zeros((faults, SIGNATURE_WORDS), dtype=np.uint64),
        )


def signature_keys(bits: int, words: int) -> Words:
    """Keys of the signature, uint64 (2, bits, words): two 32-bit keys in each word, the same everywhere.

    The signature of output differences x is, for each key k, the sum over all words of
    ((x_low + k_low) mod 2^32) ((x_high + k_high) mod 2^32) - k_low k_high, modulo 2^64. Two different results share
    both sums with probability 2^-64 over random keys.

    Source: J. Black, S. Halevi, H. Krawczyk, T. Krovetz, P. Rogaway, "UMAC: fast and secure message authentication",
        CRYPTO 1999 (the hash NH).
    """
    generator = stream(0, "signature of stuck-at faults")
    return np.stack([generator.integers(0, 1 << 64, (bits, words), dtype=np.uint64) for _ in range(SIGNATURE_WORDS)])


_SWAPS = ((1, 0x5555555555555555), (2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F))
"""Distances between planes and masks that transpose 8 x 8 bits (H. S. Warren, Hacker's Delight, section 7-3)."""


class Lanes:
    """Results of all pairs in the order in which eight bit planes become bytes: pair 8 i + j of a word at [j, word, i].

    Args:
        program: the circuit and its pairs.
    """

    def __init__(self, program: Program) -> None:
        bits, stimuli = program.device.bits, program.stimuli
        self.bits, self.signed = bits, program.device.signed
        narrow = bits <= _NARROW_BITS and int(np.abs(stimuli.exact).max()) < 1 << _NARROW_BITS
        self.dtype = np.int32 if narrow else np.int64
        self.words, self.pairs = stimuli.mask.size, stimuli.pairs
        every = {place: program.golden[net] for place, net in enumerate(program.outputs.tolist())}
        self.codes = self.combine({bit: plane & stimuli.mask for bit, plane in every.items()}, self.words)
        self.golden = self.values(self.codes)
        self.exact = self._placed(stimuli.exact).astype(self.dtype)
        equal = np.full(self.pairs, 1 / self.pairs)
        self.weights = self._placed(equal if stimuli.weights is None else stimuli.weights)

    def combine(self, planes: dict[int, Words], words: int) -> Results:
        """Integers (8, words, 8) of which some bits are given as planes (words,), all others are 0."""
        found = np.zeros((8, words, 8), dtype=self.dtype)
        octets = found.view(np.uint8).reshape(8, words, 8, found.itemsize)
        for group in sorted({bit // 8 for bit in planes}):
            rows = [planes.get(8 * group + k) for k in range(8)]
            octets[..., group if sys.byteorder == "little" else found.itemsize - 1 - group] = transposed(rows, words)
        return found

    def values(self, codes: Results) -> Results:
        """Results of codes: themselves, or two's complement."""
        if not self.signed:
            return codes
        sign = self.dtype(1 << (self.bits - 1))
        return (codes ^ sign) - sign

    def changed(self, planes: dict[int, Words]) -> Results:
        """Results of which some bits differ from those without fault, as planes (words,) say."""
        return self.values(self.codes ^ self.combine(planes, self.words)) if planes else self.golden

    def _placed(self, natural: IntArray | FloatArray) -> npt.NDArray[Any]:
        padded = np.zeros(self.words * 64, dtype=natural.dtype)
        padded[: natural.size] = natural
        return np.ascontiguousarray(padded.reshape(self.words, 8, 8).transpose(2, 0, 1))


def transposed(rows: list[Words | None], words: int) -> npt.NDArray[np.uint8]:
    """Eight bit planes as bytes (8, words, 8): byte [j, w, i] has bit 8 i + j of word w of each plane."""
    zeros = np.zeros(words, dtype=np.uint64)
    matrix = [zeros if row is None else row for row in rows]
    for distance, mask in _SWAPS:
        shift, kept = np.uint64(distance), np.uint64(mask)
        for low in range(8):
            if low & distance:
                continue
            first, second = matrix[low], matrix[low | distance]
            if first is zeros and second is zeros:
                continue
            swapped = ((first >> shift) ^ second) & kept
            matrix[low], matrix[low | distance] = first ^ (swapped << shift), second ^ swapped
    return np.stack(matrix).astype("<u8", copy=False).view(np.uint8).reshape(8, words, 8)
