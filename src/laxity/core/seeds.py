"""Named random streams derived from one root seed.

A stream depends on the root seed and its labels only, never on worker count, batch size or call order.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4
"""Random words that Philox makes of one count."""


def derive(root: int, *labels: str | int | np.integer[Any]) -> int:
    """Return a 63-bit seed for the stream named by `labels` under `root`."""
    named = (f"{'int' if isinstance(x, np.integer) else type(x).__name__}:{x}" for x in labels)
    text = "\x1f".join([str(int(root)), *named])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(root: int, *labels: str | int | np.integer[Any]) -> np.random.Generator:
    """Return a numpy generator for the stream named by `labels` under `root` (Philox, counter based)."""
    return np.random.Generator(np.random.Philox(derive(root, *labels)))


def numbered(root: int, *labels: str | int | np.integer[Any], first: int, count: int, words: int) -> NDArray[np.uint64]:
    """Random words of the items `first` to ``first + count - 1`` of a numbered stream.

    The words of item i depend on root, labels and i only, so that any part of the stream can be made alone.

    Args:
        root: root seed.
        labels: name of the stream.
        first: number of the first item, at least 0.
        count: of items.
        words: per item, at least 1; all items of a stream have the same number.

    Returns:
        uint64 (count, words), uniform.

    Source: J. K. Salmon et al., SC 2011 (Philox): a word is a function of key and count.
    """
    blocks = -(-words // _BLOCK)
    bits = np.random.Philox(key=derive(root, *labels), counter=first * blocks)
    return bits.random_raw(count * blocks * _BLOCK).reshape(count, -1)[:, :words].copy()


def below(random: NDArray[np.uint64], limits: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Whole numbers from 0 to ``limits - 1`` from random words, each equally likely to within 2**-53 of 1.

    Args:
        random: uint64, any shape.
        limits: at least 1 and at most 2**53, broadcast.
    """
    fractions = (random >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.minimum((fractions * limits).astype(np.int64), np.asarray(limits, np.int64) - 1)
