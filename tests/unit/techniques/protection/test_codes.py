"""Hsiao codes as they protect memories: all single and double errors, and others as a decoder bit by bit reads them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from laxity.circuits import hsiao
from laxity.core.errors import CircuitError
from laxity.faults import FLOAT32, IntegerLayout, Layout
from laxity.faults.protection import NOWHERE, CodedProtection
from laxity.techniques.protection.in_place_ecc import InPlaceStorage
from laxity.techniques.protection.secded import SecdedStorage

INT8, INT6 = IntegerLayout(8, signed=True), IntegerLayout(6, signed=True)
CODES: dict[str, tuple[CodedProtection, Layout]] = {
    "(72, 64) of 8-bit words": (SecdedStorage(64), INT8),
    "(72, 64) of float32": (SecdedStorage(64), FLOAT32),
    "(39, 32) of 8-bit words": (SecdedStorage(32), INT8),
    "(22, 16) of 8-bit words": (SecdedStorage(16), INT8),
    "(13, 8) of one word": (SecdedStorage(8), INT8),
    "(68, 60) of 6-bit words": (SecdedStorage(64), INT6),
    "(64, 57) in place": (InPlaceStorage(), INT8),
}


def written(protection: CodedProtection, layout: Layout, groups: int, seed: int = 0) -> NDArray[np.uint64]:
    """Random words that the protection can carry."""
    words = np.random.default_rng(seed).integers(
        0, 1 << layout.width_bits, groups * protection.group(layout.width_bits), np.uint64
    )
    if isinstance(protection, InPlaceStorage):
        words[np.arange(len(words)) % 8 < 7] &= ~np.uint64(64)
    return words


class Bits:
    """One code word as a list of bits, with a parity-check matrix that is learnt by encoding unit words."""

    def __init__(self, protection: CodedProtection, layout: Layout) -> None:
        self.width, self.size = layout.width_bits, protection.group(layout.width_bits)
        self.in_place = isinstance(protection, InPlaceStorage)
        self.check_count = 7 if self.in_place else protection.check_width(self.width)
        self.columns: list[tuple[int, ...]] = []
        for position in range(self.width * self.size):
            word, bit = divmod(position, self.width)
            if self.in_place and bit == 6 and word < 7:
                self.columns.append(tuple(int(i == word) for i in range(7)))
                continue
            unit = np.zeros(self.size, np.uint64)
            unit[word] = 1 << bit
            if self.in_place:
                stored = protection.stored(unit, layout)
                self.columns.append(tuple(int(stored[i]) >> 6 & 1 for i in range(7)))
            else:
                check = int(protection.checks(unit, layout)[0])
                self.columns.append(tuple(check >> i & 1 for i in range(self.check_count)))
        self.stored_bits = len(self.columns)
        if not self.in_place:
            self.columns += [tuple(int(i == j) for i in range(self.check_count)) for j in range(self.check_count)]

    def decode(self, wrong: tuple[int, ...]) -> tuple[set[int], bool]:
        """Wrong positions of the data that is read, and whether there is an alarm, where some positions are wrong."""
        syndrome = [0] * self.check_count
        for position in wrong:
            for row in range(self.check_count):
                syndrome[row] = (syndrome[row] + self.columns[position][row]) % 2
        left, alarm = set(wrong), False
        if any(syndrome):
            hits = [p for p, column in enumerate(self.columns) if list(column) == syndrome]
            alarm = not hits
            left ^= set(hits)
        return {p for p in left if p < self.stored_bits and not self._is_check(p)}, alarm

    def _is_check(self, position: int) -> bool:
        return self.in_place and position % self.width == 6 and position // self.width < 7


def read_group(
    protection: CodedProtection, layout: Layout, patterns: list[tuple[int, ...]]
) -> list[tuple[set[int], bool]]:
    """The same from `read_all`, one pattern of wrong positions per group of one memory."""
    width, size = layout.width_bits, protection.group(layout.width_bits)
    words = written(protection, layout, len(patterns))
    stored = protection.stored(words, layout)
    struck, flips = stored.copy(), np.zeros(protection.check_words(len(words), width), np.uint64)
    for group, pattern in enumerate(patterns):
        for position in pattern:
            if position < width * size:
                struck[group * size + position // width] ^= np.uint64(1 << position % width)
            else:
                flips[group] ^= np.uint64(1 << (position - width * size))
    found, noticed = protection.read_all(stored, struck, layout, flips)
    wrong = (found ^ words).reshape(-1, size)
    return [
        (
            {word * width + bit for word in range(size) for bit in range(width) if int(row[word]) >> bit & 1},
            bool(noticed[group * size]),
        )
        for group, row in enumerate(wrong)
    ]


@pytest.mark.parametrize("name", CODES)
def test_the_minimum_distance_is_four(name: str) -> None:
    """No sum of one, two or three columns is 0, and some sum of four is."""
    columns = [sum(bit << i for i, bit in enumerate(c)) for c in Bits(*CODES[name]).columns]
    assert 0 not in columns
    assert len(set(columns)) == len(columns)
    pairs = {a ^ b for a, b in itertools.combinations(columns, 2)}
    assert pairs.isdisjoint(columns)
    assert len(pairs) < len(columns) * (len(columns) - 1) // 2


@pytest.mark.parametrize("name", CODES)
def test_single_errors_are_corrected_and_double_errors_noticed(name: str) -> None:
    protection, layout = CODES[name]
    total = len(Bits(protection, layout).columns)
    assert read_group(protection, layout, [(p,) for p in range(total)]) == [(set(), False)] * total
    pairs = list(itertools.combinations(range(total), 2))
    found = read_group(protection, layout, pairs)
    assert all(alarm for _, alarm in found)
    assert all(left <= set(pair) for (left, _), pair in zip(found, pairs, strict=True)), "nothing else is changed"


@pytest.mark.parametrize("name", CODES)
def test_more_errors_are_read_as_bit_by_bit(name: str) -> None:
    protection, layout = CODES[name]
    reference, rng = Bits(protection, layout), np.random.default_rng(1)
    total = len(reference.columns)
    patterns = [tuple(rng.choice(total, size, replace=False).tolist()) for size in (3, 4, 5, 6) for _ in range(400)]
    found = read_group(protection, layout, patterns)
    assert found == [reference.decode(pattern) for pattern in patterns]
    assert any(left and not alarm for left, alarm in found), "some are corrected wrongly"


@pytest.mark.parametrize("name", CODES)
def test_single_words_are_read_as_whole_memories_are(name: str) -> None:
    """Up to five wrong bits of one word, one trial each, with what they do to other words of the group."""
    protection, layout = CODES[name]
    width, rng = layout.width_bits, np.random.default_rng(2)
    words = written(protection, layout, 3)
    stored = protection.stored(words, layout)
    places = rng.integers(0, len(words), 300)
    masks = np.array(
        [sum(1 << int(b) for b in rng.choice(width, rng.integers(1, 6), replace=False)) for _ in places], np.uint64
    )
    read = protection.read(stored[places], stored[places] ^ masks, layout, places)
    none = np.zeros(protection.check_words(len(words), width), np.uint64)
    for i, (place, mask) in enumerate(zip(places, masks, strict=True)):
        struck = stored.copy()
        struck[place] ^= mask
        wanted, noticed = protection.read_all(stored, struck, layout, none)
        found = words.copy()
        found[place] = read.words[i]
        if read.place[i] != NOWHERE:
            found[read.place[i]] ^= read.mask[i]
        assert np.array_equal(found, wanted)
        assert read.noticed[i] == noticed[place]


@pytest.mark.parametrize("name", [name for name in CODES if "place" not in name])
def test_wrong_check_words_are_read_as_whole_memories_are(name: str) -> None:
    protection, layout = CODES[name]
    width, rng = protection.check_width(layout.width_bits), np.random.default_rng(3)
    words = written(protection, layout, 3)
    numbers, flips = rng.integers(0, 3, 200), rng.integers(1, 1 << width, 200, np.uint64)
    read = protection.read_checks(flips, numbers, words, layout)
    for i in range(200):
        all_flips = np.zeros(3, np.uint64)
        all_flips[numbers[i]] = flips[i]
        wanted, noticed = protection.read_all(words, words, layout, all_flips)
        found = words.copy()
        if read.place[i] != NOWHERE:
            found[read.place[i]] ^= read.mask[i]
        assert np.array_equal(found, wanted)
        assert read.noticed[i] == noticed[numbers[i] * protection.group(layout.width_bits)]
    singles = np.bitwise_count(flips) == 1
    assert not read.noticed[singles].any()
    assert read.noticed[np.bitwise_count(flips) == 2].all()


@pytest.mark.parametrize(("data", "check"), [(4, 4), (8, 5), (16, 6), (26, 6), (32, 7), (57, 7), (64, 8), (120, 8)])
def test_numbers_of_check_bits_are_those_of_the_literature(data: int, check: int) -> None:
    assert hsiao.check_bits(data) == check
    assert len(hsiao.columns(data)) == data


def test_columns_are_of_least_weight_and_rows_even() -> None:
    """As Hsiao's (72, 64) code: 56 columns of three ones, 8 of five, 27 ones in each row with the check bit's."""
    columns = hsiao.columns(64)
    assert [sum(c.bit_count() == ones for c in columns) for ones in (3, 5)] == [56, 8]
    assert [1 + sum(c >> row & 1 for c in columns) for row in range(8)] == [27] * 8


def test_impossible_codes_are_refused() -> None:
    for bits in (0, 248):
        with pytest.raises(CircuitError, match=f"not {bits}"):
            hsiao.check_bits(bits)
    assert hsiao.check_bits(247) == 9
