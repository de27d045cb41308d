"""Tables of two operands as few sums of products of functions of one operand each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from laxity.recovery.observation import FloatArray

_ROUNDING = 1e-12
"""Relative error below which a table is met: float64 gives no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """``D[a, w] = sum_r left[r, a] right[r, w]``.

    Attributes:
        left: float32 (rank, left codes); None for a single function that is 1 everywhere.
        right: float32 (rank, right codes); None likewise.
    """

    left: Tensor | None
    right: Tensor | None

    @property
    def rank(self) -> int:
        """Number of terms."""
        return len(self.right) if self.left is None and self.right is not None else len(self.left)  # type: ignore[arg-type]


def factorise(table: FloatArray, tolerance: float) -> Factors:
    """The fewest terms that meet a table; of functions of one operand alone, that function itself.

    Args:
        table: float64 (left codes, right codes).
        tolerance: greatest error in the Frobenius norm, as a fraction of that of the table; 0 for all that float64
            gives.
    """
    return _factorise(np.ascontiguousarray(table, np.float64).tobytes(), table.shape, tolerance)


@lru_cache(maxsize=32)
def _factorise(content: bytes, shape: tuple[int, int], tolerance: float) -> Factors:
    """The sites of a network mostly share their tables, and singular values take long."""
    table = np.frombuffer(content).reshape(shape)
    if (table == table[:1]).all():
        return Factors(None, _single(table[:1]))
    if (table == table[:, :1]).all():
        return Factors(_single(table[:, :1].T), None)
    # by torch, whose threads are limited with everything else's
    left, values, right = (t.numpy() for t in torch.linalg.svd(torch.from_numpy(table.copy()), full_matrices=False))
    missed = np.sqrt(np.append(np.cumsum(values[::-1] ** 2)[::-1], 0.0))
    rank = int(np.argmax(missed <= max(tolerance, _ROUNDING) * missed[0]))
    root = np.sqrt(values[:rank, None])
    return Factors(_single(left[:, :rank].T * root), _single(right[:rank] * root))


def _single(values: FloatArray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
