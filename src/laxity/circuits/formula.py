"""Closed forms of multiplier families, for operands that are too wide for a table of products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from laxity.core.demand import IntArray

FeatureFunction = Callable[..., Sequence[IntArray]]
"""Called as f(x, width, *parameters) with magnitudes, int64; returns features, int64 of the same shape."""


@dataclass(frozen=True, slots=True)
class Formula:
    """The product of a family as a function of features of its operands.

    Tests compare every formula with the netlist of its family, which remains the definition.

    Attributes:
        left: features of operand a.
        right: features of operand b.
        combine: from both lists of features, which broadcast against each other, to products. It is made of operators
            and the method ``clip`` only, so that it serves arrays of numpy and of torch alike. None stands for
            ``sum_r left[r] * right[r]``.
    """

    left: FeatureFunction
    right: FeatureFunction
    combine: Callable[[Sequence[Any], Sequence[Any]], Any] | None = None

    def product(self, a: IntArray, b: IntArray, width: int, parameters: Sequence[int]) -> IntArray:
        """Products of magnitudes below ``2**width``, int64; a and b broadcast against each other."""
        left, right = self.left(a, width, *parameters), self.right(b, width, *parameters)
        if self.combine is not None:
            return np.asarray(self.combine(left, right), dtype=np.int64)
        return np.asarray(sum(f * g for f, g in zip(left, right, strict=True)), dtype=np.int64)


def itself(x: IntArray, _: int, *__: int) -> list[IntArray]:
    """The operand as its only feature."""
    return [x]


EXACT = Formula(itself, itself)
"""The exact product."""


def top_power(x: IntArray) -> IntArray:
    """The largest power of two that is not above `x`, 0 for 0; `x` below 2**53."""
    _, exponents = np.frexp(x.astype(np.float64))
    return np.where(x > 0, np.int64(1) << np.maximum(exponents - 1, 0).astype(np.int64), 0)


def dropped_cells(levels: Callable[..., tuple[int, int]]) -> Formula:
    """The formula of an array of partial products a_i b_j without the cells i + j < vbl and without the rows j < hbl.

    Rows that lose columns are terms of their own, all others make one term together.

    Args:
        levels: from the parameters of the family to (vbl, hbl).
    """

    def left(a: IntArray, width: int, *parameters: int) -> list[IntArray]:
        vbl, hbl = levels(*parameters)
        return [*((a >> (vbl - j)) << (vbl - j) for j in range(hbl, min(vbl, width))), a]

    def right(b: IntArray, width: int, *parameters: int) -> list[IntArray]:
        vbl, hbl = levels(*parameters)
        whole = max(min(vbl, width), hbl)
        return [*(b & (1 << j) for j in range(hbl, min(vbl, width))), (b >> whole) << whole]

    return Formula(left, right)
