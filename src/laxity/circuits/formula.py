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


def fraction(x: IntArray, bits: int) -> IntArray:
    """The first `bits` bits of f in x = 2^k (1 + f), as an integer; 0 for 0."""
    power = np.maximum(top_power(x), 1)
    return np.where(x > 0, ((x - power) << bits) // power, 0)


def antilogarithm(scale: Any, total: Any, one: Any, correction: Any = 0) -> Any:
    """Mitchell's antilogarithm ``scale * (1 + s + c)`` where s < 1, else ``scale * (2 s + c)``, rounded down.

    Args:
        scale: 2^(ka + kb), or 0 for products that are 0.
        total: s in units of 1 / one.
        one: a power of two.
        correction: c in the same units.
    """
    return scale * (one + total + correction + (total - one).clip(0)) // one


def limited(products: Any, top: Any) -> Any:
    """Products with those above `top` replaced by it; written with operators, which take arrays for `top` too."""
    return products - (products - top).clip(0)


def constant(x: IntArray, value: int) -> IntArray:
    """A feature that does not depend on the operand: closed forms get their constants this way."""
    return np.full_like(x, value)


def dropped_left(a: IntArray, width: int, vbl: int, hbl: int) -> list[IntArray]:
    """Features of operand a for an array of partial products without some cells, see `dropped_cells`."""
    return [*((a >> (vbl - j)) << (vbl - j) for j in range(hbl, min(vbl, width))), a]


def dropped_right(b: IntArray, width: int, vbl: int, hbl: int) -> list[IntArray]:
    """Features of operand b, likewise."""
    whole = max(min(vbl, width), hbl)
    return [*(b & (1 << j) for j in range(hbl, min(vbl, width))), (b >> whole) << whole]


def dropped_cells(levels: Callable[..., tuple[int, int]]) -> Formula:
    """The formula of an array of partial products a_i b_j without the cells i + j < vbl and without the rows j < hbl.

    Rows that lose columns are terms of their own, all others make one term together.

    Args:
        levels: from the parameters of the family to (vbl, hbl).
    """
    return Formula(
        lambda a, width, *parameters: dropped_left(a, width, *levels(*parameters)),
        lambda b, width, *parameters: dropped_right(b, width, *levels(*parameters)),
    )
