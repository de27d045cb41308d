"""Named random streams derived from one root seed.

A stream depends on the root seed and its labels only, never on worker count, batch size or call order.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def derive(root: int, *labels: str | int | np.integer[Any]) -> int:
    """Return a 63-bit seed for the stream named by `labels` under `root`."""
    named = (f"{'int' if isinstance(x, np.integer) else type(x).__name__}:{x}" for x in labels)
    text = "\x1f".join([str(int(root)), *named])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(root: int, *labels: str | int | np.integer[Any]) -> np.random.Generator:
    """Return a numpy generator for the stream named by `labels` under `root` (Philox, counter based)."""
    return np.random.Generator(np.random.Philox(derive(root, *labels)))
