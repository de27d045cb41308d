"""Between which limits the sums of a layer lie, for any input: proven from its weights and the product table."""

from __future__ import annotations

import numpy as np

from laxity.core.parts import Register
from laxity.kernels.analysis import CodeRange, IntArray

Bounds = tuple[IntArray, IntArray]
"""Least and greatest sum of every output, int64 (outputs,)."""


def sum_bounds(table: IntArray, weight: IntArray, right: CodeRange, register: Register | None) -> Bounds:
    """Bounds on all partial sums of products.

    Args:
        table: products ``table[a - left[0], w - right[0]]``, int64.
        weight: weight codes, int64 (outputs, inputs per group, *kernel).
        right: range of weight codes.
        register: how products are added; exactly if None.
    """
    rows = weight.reshape(len(weight), -1)
    lowest, highest = np.minimum(table.min(0), 0), np.maximum(table.max(0), 0)
    least, most = lowest[rows - right[0]].sum(1), highest[rows - right[0]].sum(1)
    limit = 1 << (register.bits - 1) if register is not None else 0
    if register is None or (register.exact and (least >= -limit).all() and (most < limit).all()):
        return least, most
    chains = -(-rows.shape[1] // register.chain) if register.chain else 1
    return np.full(len(rows), -chains * limit), np.full(len(rows), chains * (limit - 1))


def corrected(bounds: Bounds, weight_zero: IntArray, inputs: CodeRange, reduction: int, fraction_bits: int) -> Bounds:
    """Bounds after ``weight_zero * (sum of the input codes)`` was taken off, in units of the sums."""
    ends = np.stack([weight_zero * (code * reduction << fraction_bits) for code in inputs])
    return bounds[0] - ends.max(0), bounds[1] - ends.min(0)
