"""Netlists that protected weights pass: what they compute, against definitions and against what memories read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from laxity.circuits.hsiao import check_bits
from laxity.circuits.protection import reader, syndrome_columns
from laxity.circuits.simulate import evaluate
from laxity.core.errors import CircuitError

CODES = [("hsiao8x8", 8, 8), ("hsiao32x2", 32, 2), ("hsiao8x2", 8, 2), ("hsiao6x10", 6, 10), ("inplace8x8", 8, 8)]


def decoded(name: str, bits: int, weights: int, patterns: list[tuple[int, ...]]) -> tuple[NDArray[np.int64], ...]:
    """Written weights, weights that are read, and alarms, with some wrong positions of code words."""
    in_place = name.startswith("inplace")
    columns = syndrome_columns(bits, weights, in_place=in_place)
    rows = 7 if in_place else check_bits(bits * weights)
    words = np.random.default_rng(0).integers(0, 1 << bits, (len(patterns), weights))
    checks = np.zeros(len(patterns), np.int64)
    if in_place:
        words[:, :7] &= ~64
    for i, word, bit in itertools.product(range(len(patterns)), range(weights), range(bits)):
        if words[i, word] >> bit & 1:
            checks[i] ^= columns[word][bit]
    struck, struck_checks = words.copy(), checks.copy()
    if in_place:
        struck[:, :7] |= (checks[:, None] >> np.arange(7) & 1) << 6
    for i, pattern in enumerate(patterns):
        for position in pattern:
            if position < bits * weights:
                struck[i, position // bits] ^= 1 << position % bits
            else:
                struck_checks[i] ^= 1 << (position - bits * weights)
    given = {f"w{k}": struck[:, k] for k in range(weights)} | ({} if in_place else {"check": struck_checks})
    found = evaluate(reader(name), given)
    assert rows == (7 if in_place else reader(name).port("check").width)
    return words, np.stack([found[f"r{k}"] for k in range(weights)], 1), found["alarm"]


@pytest.mark.parametrize(("name", "bits", "weights"), CODES)
def test_decoders_correct_single_errors_and_notice_double_ones(name: str, bits: int, weights: int) -> None:
    total = bits * weights + (0 if name.startswith("inplace") else check_bits(bits * weights))
    words, read, alarm = decoded(name, bits, weights, [(), *((p,) for p in range(total))])
    assert np.array_equal(read, words)
    assert not alarm.any()
    *_, alarm = decoded(name, bits, weights, list(itertools.combinations(range(total), 2)))
    assert alarm.all()


@pytest.mark.parametrize(("name", "bits", "weights"), CODES)
def test_decoders_read_what_memories_of_a_network_read(name: str, bits: int, weights: int) -> None:
    """Any number of wrong bits: the storage that campaigns use has to be this hardware."""
    from laxity.faults import IntegerLayout
    from laxity.techniques.protection.in_place_ecc import InPlaceStorage
    from laxity.techniques.protection.secded import SecdedStorage

    in_place, rng, layout = name.startswith("inplace"), np.random.default_rng(1), IntegerLayout(bits)
    storage = InPlaceStorage() if in_place else SecdedStorage(bits * weights)
    words = rng.integers(0, 1 << bits, 600 * weights).astype(np.uint64)
    if in_place:
        words[np.arange(len(words)) % 8 < 7] &= ~np.uint64(64)
    stored = storage.stored(words, layout)
    struck = stored.copy()
    for _ in range(2):
        struck ^= (rng.random(len(words)) < 0.2) * np.uint64(1) << rng.integers(0, bits, len(words), np.uint64)
    checks = storage.checks(words, layout)
    flips = (rng.random(len(checks)) < 0.3) * rng.integers(
        0, 1 << max(1, storage.check_width(bits)), len(checks), np.uint64
    )
    wanted, noticed = storage.read_all(stored, struck, layout, flips)
    groups = struck.reshape(-1, weights).astype(np.int64)
    given = {f"w{k}": groups[:, k] for k in range(weights)}
    if not in_place:
        given["check"] = (checks ^ flips).astype(np.int64)
    found = evaluate(reader(name), given)
    assert np.array_equal(np.stack([found[f"r{k}"] for k in range(weights)], 1).reshape(-1), wanted)
    assert np.array_equal(found["alarm"], noticed[::weights])
    assert 0 < noticed.mean() < 1


def test_parity_trees() -> None:
    values = np.random.default_rng(0).integers(0, 256, (500, 3))
    check = np.random.default_rng(1).integers(0, 2, 500)
    odd = np.array([(sum(int(v).bit_count() for v in row) + c) % 2 for row, c in zip(values, check, strict=True)])
    found = evaluate(reader("parity8x3"), {"w0": values[:, 0], "w1": values[:, 1], "w2": values[:, 2], "check": check})
    assert np.array_equal(found["alarm"], odd)
    odd = np.array([(int(v).bit_count() + c) % 2 for v, c in zip(values[:, 0], check, strict=True)])
    found = evaluate(reader("parityzero8x1"), {"w0": values[:, 0], "check": check})
    assert np.array_equal(found["r0"], np.where(odd, 0, values[:, 0]))


def test_voters() -> None:
    copies = np.array(list(itertools.product(range(8), repeat=3)))
    found = evaluate(reader("majority8x3"), dict(zip(("first", "second", "third"), copies.T, strict=True)))["voted"]
    bits = copies[:, :, None] >> np.arange(3) & 1
    assert np.array_equal(found, ((bits.sum(1) > 1) << np.arange(3)).sum(1))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_comparators(bits: int) -> None:
    half = 1 << (bits - 1)
    rng = np.random.default_rng(bits)
    word, low, high = (
        np.arange(2 * half).repeat(60),
        rng.integers(0, half, 120 * half),
        rng.integers(0, half, 120 * half),
    )
    limit = np.where(word >= half, low, high)
    beyond = word % half > limit
    for then, instead in (("zero", np.zeros_like(word)), ("saturate", limit + half * (word >= half))):
        found = evaluate(reader(f"range{then}{bits}x1"), {"w0": word, "low": low, "high": high})
        assert np.array_equal(found["alarm"], beyond)
        assert np.array_equal(found["r0"], np.where(beyond, instead, word))


def test_comparators_of_floats_stop_what_is_not_finite() -> None:
    numbers = np.array([0.5, -0.5, 1.5, -1.5, np.inf, -np.inf, np.nan, 1e-30], np.float32)
    limits = {name: np.full(8, np.float32(x).view(np.uint32)) for name, x in (("low", 0.75), ("high", 1.25))}
    found = evaluate(reader("rangezero32x1"), {"w0": numbers.view(np.uint32), **limits})
    read = found["r0"].astype(np.uint32).view(np.float32)
    assert read.tolist() == [0.5, -0.5, 0, 0, 0, 0, 0, np.float32(1e-30)]


@pytest.mark.parametrize(
    "name",
    ["hsiao", "hsiao8x0", "hsiao64x1", "parityzero8x2", "inplace8x4", "rangezero1x1", "rangezero8x2", "hsiao32x8"],
)
def test_unknown_readers_are_refused(name: str) -> None:
    with pytest.raises(CircuitError):
        reader(name)
