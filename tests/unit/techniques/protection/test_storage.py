"""What protected memories of any width and length are read as, word by word and as a whole, by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from laxity.faults import BFLOAT16, FLOAT16, FLOAT32, FloatLayout, IntegerLayout, Layout
from laxity.faults.protection import NOWHERE, StorageProtection
from laxity.techniques.protection.in_place_ecc import InPlaceStorage
from laxity.techniques.protection.parity import ParityStorage, ZeroingStorage
from laxity.techniques.protection.secded import SecdedStorage
from laxity.techniques.protection.tmr import VotedStorage
from laxity.techniques.protection.weight_clip import ClippedStorage

LAYOUTS: tuple[Layout, ...] = (
    IntegerLayout(8, signed=True),
    IntegerLayout(4, signed=True),
    IntegerLayout(12, signed=True),
    IntegerLayout(7),
    FloatLayout(4, 3, specials="nan"),
    BFLOAT16,
    FLOAT16,
    FLOAT32,
)


def memory(layout: Layout, count: int, seed: int) -> NDArray[np.uint32]:
    """Words of numbers around 0, all of them finite."""
    rng = np.random.default_rng(seed)
    largest = 20.0 if layout.width_bits > 5 else 5.0
    return layout.words(rng.normal(0, largest, count), np.uint32).astype(np.uint32)


def protections(layout: Layout, count: int) -> list[StorageProtection]:
    width = layout.width_bits
    channels = np.arange(count) % 3
    words = memory(layout, count, 0)
    found: list[StorageProtection] = [SecdedStorage(64), SecdedStorage(max(8, width)), ParityStorage(1)]
    found += [ParityStorage(5), ZeroingStorage(), VotedStorage(tuple(range(width))), VotedStorage((0, width - 1))]
    if not isinstance(layout, IntegerLayout) or layout.signed:
        clips = [ClippedStorage(c, s, n) for c, s, n in ((True, False, False), (False, True, True))]
        found += [clip.written(words, layout, channels) for clip in clips]
    return found


@settings(max_examples=60, deadline=None)
@given(layout=st.sampled_from(LAYOUTS), count=st.integers(1, 40), faults=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_single_words_and_whole_memories_agree(layout: Layout, count: int, faults: int, seed: int) -> None:
    """Wherever only one word, or one check word, is wrong; and nothing is wrong without a fault."""
    words, rng = memory(layout, count, 0), np.random.default_rng(seed)
    place = int(rng.integers(count))
    for protection in protections(layout, count):
        stored = protection.stored(words, layout)
        none = np.zeros(protection.check_words(count, layout.width_bits), np.uint64)
        same, alarms = protection.read_all(stored, stored, layout, none)
        assert np.array_equal(same, words)
        assert not alarms.any()
        struck = stored.copy()
        for bit in rng.integers(0, layout.width_bits, faults):
            struck[place] ^= np.uint32(1 << int(bit))
        read = protection.read(stored[[place]], struck[[place]], layout, np.array([place]))
        found = words.copy()
        found[place] = read.words[0]
        if read.place[0] != NOWHERE and read.place[0] < count:
            found[read.place[0]] ^= np.uint32(read.mask[0])
        wanted, noticed = protection.read_all(stored, struck, layout, none)
        assert np.array_equal(found, wanted)
        assert noticed[place] == read.noticed[0]
        if len(none):
            _check_words(protection, layout, words, rng)


def _check_words(protection: StorageProtection, layout: Layout, words: NDArray[Any], rng: np.random.Generator) -> None:
    count = protection.check_words(len(words), layout.width_bits)
    width = protection.check_width(layout.width_bits)
    checks = protection.checks(words, layout)
    assert checks.shape == (count,)
    assert int(checks.max()) < 1 << width
    assert protection.check_bits(len(words), layout.width_bits) == count * width
    flips = np.zeros(count, np.uint64)
    number = int(rng.integers(count))
    flips[number] = rng.integers(1, 1 << width, dtype=np.uint64) if width > 1 else 1
    stored = protection.stored(words, layout)
    wanted, noticed = protection.read_all(stored, stored, layout, flips)
    read = protection.read_checks(flips[[number]], np.array([number]), stored, layout)
    found = words.copy()
    if read.place[0] != NOWHERE and read.place[0] < len(words):
        found[read.place[0]] ^= np.uint32(read.mask[0])
    assert np.array_equal(found, wanted)
    assert noticed.any() == read.noticed[0]


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_in_place_memories_of_any_length_survive_any_wrong_bit(count: int, seed: int) -> None:
    layout, protection = IntegerLayout(8, signed=True), InPlaceStorage()
    words = np.random.default_rng(seed).integers(0, 256, count).astype(np.uint32)
    words[np.arange(count) % 8 < 7] &= ~np.uint32(64)
    stored = protection.stored(words, layout)
    assert np.array_equal(protection.plain(stored, np.arange(count), 8), words)
    checks = protection.check_words(count, 8)
    assert checks == {0: 0, 7: 0}.get(count % 8, 7 - count % 8)
    for position in range(8 * count + checks):
        struck, flips = stored.copy(), np.zeros(checks, np.uint64)
        if position < 8 * count:
            struck[position // 8] ^= np.uint32(1 << position % 8)
        else:
            flips[position - 8 * count] = 1
        found, noticed = protection.read_all(stored, struck, layout, flips)
        assert np.array_equal(found, words)
        assert not noticed.any()


def test_check_bits_in_place_are_those_stored_besides_where_words_lack() -> None:
    """A memory of three words is one of eight whose others are 0, cut off."""
    layout, protection = IntegerLayout(8, signed=True), InPlaceStorage()
    words = np.array([35, 128 + 3, 60], np.uint32)
    whole = protection.stored(np.concatenate([words, np.zeros(5, np.uint32)]), layout)
    assert np.array_equal(protection.stored(words, layout), whole[:3])
    assert np.array_equal(protection.checks(words, layout), whole[3:7] >> 6)


def test_parity_is_that_of_all_bits_of_a_group() -> None:
    words = np.array([1, 3, 7, 0, 255], np.uint32)
    checks = ParityStorage(2).checks(words, IntegerLayout(8))
    assert checks.tolist() == [1, 1, 0]
    assert ZeroingStorage().checks(words, IntegerLayout(8)).tolist() == [1, 0, 1, 0, 0]


@pytest.mark.parametrize("positions", [(30,), (0, 3, 7), tuple(range(8))])
def test_votes_are_majorities(positions: tuple[int, ...]) -> None:
    """Of three copies with random errors, bit by bit."""
    rng, width = np.random.default_rng(4), 32 if 30 in positions else 8
    layout = FLOAT32 if width == 32 else IntegerLayout(8, signed=True)
    words = rng.integers(0, 1 << width, 400).astype(np.uint32)
    protection = VotedStorage(positions)
    struck = words ^ rng.integers(0, 1 << width, 400).astype(np.uint32)
    flips = rng.integers(0, 1 << len(positions), 800).astype(np.uint64)
    checks = protection.checks(words, layout) ^ flips
    found, noticed = protection.read_all(words, struck, layout, flips)
    assert not noticed.any()
    for i in range(400):
        wanted = int(struck[i])
        for k, position in enumerate(positions):
            votes = [int(struck[i]) >> position & 1, *(int(checks[2 * i + c]) >> k & 1 for c in (0, 1))]
            wanted = wanted & ~(1 << position) | (sum(votes) > 1) << position
        assert int(found[i]) == wanted


@pytest.mark.parametrize("by_channel", [True, False])
@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("layout", [FLOAT32, BFLOAT16, IntegerLayout(8, signed=True)], ids=["fp32", "bf16", "int8"])
def test_what_is_out_of_range_is_clipped(layout: Layout, saturate: bool, by_channel: bool) -> None:
    """By the values of words: against the least and the greatest value, or 0, of the channel or of all."""
    count, channels = 60, np.arange(60) % 4
    words = memory(layout, count, 5)
    words[channels == 1] |= np.uint32(1 << (layout.width_bits - 1))  # a channel of negative weights only
    clip = ClippedStorage(by_channel, saturate, notice=True).written(words, layout, channels)
    values = layout.values(words)
    for place in range(0, count, 3):
        own = values[channels == channels[place]] if by_channel else values
        low, high = min(0.0, own.min()), max(0.0, own.max())
        masks = np.random.default_rng(place).integers(1, 1 << layout.width_bits, 200).astype(np.uint32)
        struck = words[place] ^ masks
        read = clip.read(np.full(200, words[place]), struck, layout, np.full(200, place))
        now, got = layout.values(struck), layout.values(read.words)
        negative = struck >> np.uint32(layout.width_bits - 1) != 0
        out = ~((now >= low) & (now <= high))
        assert np.array_equal(read.noticed, out)
        assert np.array_equal(read.words[~out], struck[~out])
        assert np.array_equal(got[out], np.where(negative, low, high)[out] if saturate else np.zeros(out.sum()))
        assert out.any()
    assert not clip.read(words, words, layout, np.arange(count)).noticed.any()


def test_words_that_were_never_finite_set_no_limit() -> None:
    words = np.array([1.5, np.inf, -np.nan, -0.25], np.float32).view(np.uint32)
    clip = ClippedStorage(by_channel=False).written(words, FLOAT32, np.zeros(4, np.int64))
    assert np.array_equal(clip.read(words, words, FLOAT32, np.arange(4)).words, words)
    large = np.full(1, 1.75, np.float32).view(np.uint32)
    assert clip.read(words[:1], large, FLOAT32, np.array([0])).words[0] == 0
