"""How a product table is laid out for look-up in vector registers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from laxity.kernels.analysis import CodeRange, IntArray

MOST_ROWS = 256
MOST_ENTRIES = 256


class Entries(IntEnum):
    """How indices address a row; the numbers are those of the compiled module."""

    UP_TO_64 = 0
    UP_TO_128 = 1
    UP_TO_256 = 2
    SIGN_MAGNITUDE = 3

    @property
    def count(self) -> int:
        """Entries stored per row."""
        return (64, 128, 256, 128)[self]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A table cut into planes of bytes, one row per weight code.

    Products of a row are stored as what they exceed the row's least product by, `planes` times `bits` bits wide. With
    `SIGN_MAGNITUDE` they are stored in two's complement with the sign bit flipped; a set upper bit of the index flips
    all bits, which is the negative less one. The sum of a row of zeros, taken off every sum, corrects for that.

    Attributes:
        entries: how indices address a row.
        planes: number of planes.
        bits: width of one plane, 6 to 8.
        rows: number of rows; with `SIGN_MAGNITUDE` the last is a row of zeros.
        table: uint8, pairs of planes after each other: (rows, 2, entries) each, the last may have one plane.
        least: int64 (weight codes,), least product of each row; zeros with `SIGN_MAGNITUDE`.
        index: uint8 (256,), index for each activation code less the least code, or None where they are the same.
    """

    entries: Entries
    planes: int
    bits: int
    rows: int
    table: Tensor
    least: Tensor
    index: Tensor | None

    @property
    def numbers(self) -> list[int]:
        """Rows, kind of entries, planes, bits and the number of the row of zeros, as the operators take them."""
        return [self.rows, int(self.entries), self.planes, self.bits, self.rows - 1]


def layout_of(table: IntArray, left: CodeRange, *, by_sign: bool = True) -> Layout | None:
    """Lay out products ``table[a - left[0], w - right[0]]``, int64, or return None where it does not fit.

    Args:
        table: (activation codes, weight codes), at most 256 x 256.
        left: range of activation codes.
        by_sign: allow look-up by sign and magnitude where the table is odd in the activation.
    """
    codes, rows = table.shape
    if codes > MOST_ENTRIES or rows > MOST_ROWS:
        return None
    if by_sign and codes > Entries.UP_TO_128.count and rows < MOST_ROWS and is_odd(table, left):
        magnitudes = table[-left[0] :]
        bits = int(np.abs(magnitudes).max()).bit_length() + 1
        if bits <= 2 * 8:
            return _by_sign(magnitudes.T, bits, left)
    least = table.min(axis=0)
    return plain_layout((table - least).T, least)


def plain_layout(excess: IntArray, least: IntArray) -> Layout:
    """Lay out rows of non-negative values (rows, codes); `least` is what was taken off each row."""
    entries = next(e for e in (Entries.UP_TO_64, Entries.UP_TO_128, Entries.UP_TO_256) if excess.shape[1] <= e.count)
    planes, bits = _planes(max(1, int(excess.max()).bit_length()))
    return Layout(
        entries, planes, bits, len(excess), _cut(excess, entries, planes, bits), torch.from_numpy(least), None
    )


def is_odd(table: IntArray, left: CodeRange) -> bool:
    """Whether the activation's sign is the product's: ``T[-a, w] == -T[a, w]`` for all a but 0."""
    if left[0] != -left[1]:
        return False
    top = left[1]
    return bool(np.array_equal(table[:top][::-1], -table[top + 1 :]))


def _planes(total: int) -> tuple[int, int]:
    """Number and width of planes for values of `total` bits: as narrow as their number allows."""
    planes = -(-total // 8)
    return planes, max(6, -(-total // planes)) if planes <= 2 else 8


def _by_sign(magnitudes: IntArray, total: int, left: CodeRange) -> Layout:
    planes, bits = _planes(total)
    with_zeros = np.vstack([magnitudes, np.zeros((1, magnitudes.shape[1]), np.int64)])
    flipped = with_zeros + (1 << (planes * bits - 1))
    codes = np.arange(left[0], left[1] + 1)
    index = np.zeros(256, np.uint8)
    index[: codes.size] = np.abs(codes) | (codes < 0) << 7
    entries = Entries.SIGN_MAGNITUDE
    table = _cut(flipped, entries, planes, bits)
    least = torch.zeros(len(magnitudes), dtype=torch.int64)
    return Layout(entries, planes, bits, len(with_zeros), table, least, torch.from_numpy(index))


def _cut(values: IntArray, entries: Entries, planes: int, bits: int) -> Tensor:
    """Planes of non-negative values (rows, codes), one after the other."""
    rows, codes = values.shape
    parts = []
    for first in range(0, planes, 2):
        count = min(2, planes - first)
        pair = np.zeros((rows, count, entries.count), np.uint8)
        for i in range(count):
            pair[:, i, :codes] = values >> (bits * (first + i)) & ((1 << bits) - 1)
        parts.append(pair.reshape(-1))
    return torch.from_numpy(np.concatenate(parts)).clone()  # torch's memory is aligned to whole vectors
