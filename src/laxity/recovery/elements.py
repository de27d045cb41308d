"""Errors of single products: the element table of a multiplier over the codes of a site, and its moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from laxity.circuits.wide import Core
from laxity.core.errors import PlanError
from laxity.kernels import Products
from laxity.recovery.observation import FloatArray, SiteObservation
from laxity.techniques.data.codes import IntegerOperands
from laxity.techniques.data.operands import Operands

WIDEST_TABLE = 1 << 20
"""Most entries of an element table."""


@dataclass(frozen=True, slots=True, eq=False)
class ElementErrors:
    """``e(x, w) = AM(x, w) - x w`` for every pair of codes of a site, in units of (input code) x (weight code).

    Codes that are narrower than the multiplier's operands enter its upper bits, as in the emulated layer; errors are
    brought back to the units of the codes, so that they may be fractions.

    Attributes:
        table: float64 (left codes, right codes), from the least codes on.
        left: least and greatest left code.
        right: least and greatest right code.
    """

    table: FloatArray
    left: tuple[int, int]
    right: tuple[int, int]

    @classmethod
    def of(cls, operand: Operands, multiplier: Core | None, site: str) -> ElementErrors:
        """The errors of a multiplier at a site; without one, of exact products.

        Raises:
            PlanError: the codes are no whole numbers, are too many for a table, or do not fit the multiplier.
        """
        scalar = operand.scalar(multiplier, site)
        if scalar is None or not isinstance(operand, IntegerOperands):
            raise PlanError(
                f"site {site!r} has no product of two whole-number codes in one step; errors are tabled for integer "
                "operands that the multiplier takes at once"
            )
        (low, high), (least, most) = operand.input.code_range, operand.weight.code_range
        x, w = np.arange(low, high + 1)[:, None], np.arange(least, most + 1)[None]
        if x.size * w.size > WIDEST_TABLE:
            raise PlanError(
                f"site {site!r} has {x.size} x {w.size} pairs of codes, too many for a table of errors; use operands "
                "of at most 10 bits"
            )
        return cls(scalar.compute(x, w) * 2.0 ** -sum(scalar.shifts) - x * w, (low, high), (least, most))

    @property
    def exact(self) -> bool:
        """Whether there are no errors."""
        return not self.table.any()

    def moments(self, histogram: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of e(x, w) for every w, over x.

        Args:
            histogram: float64 (left codes,), adds up to 1.

        Returns:
            ``mu(w) = sum_x h(x) e(x, w)`` and ``sigma^2(w) = sum_x h(x) e(x, w)^2 - mu(w)^2``, float64 (right codes,).
        """
        mean = histogram @ self.table
        variance = np.einsum("x,xw->w", histogram, (self.table - mean) ** 2)
        return mean, variance

    def sums(self, seen: SiteObservation, kernel: tuple[Products, float] | None = None) -> Tensor:
        """Errors of the sums at the sampled outputs: float64 (matrices, places, columns).

        Args:
            seen: operands of the site.
            kernel: that computes sums of the multiplier's products for these codes, with the factor that brings these
                to units of codes; without it the table itself is summed, which takes longer.
        """
        if self.exact:
            return torch.zeros_like(seen.sums)
        if kernel is not None:
            return sums_by(kernel, seen) - seen.left.double() @ seen.right.double()
        table = torch.from_numpy(self.table)
        x, w = (seen.left - self.left[0]).long(), (seen.right - self.right[0]).long()
        found = torch.zeros_like(seen.sums)
        for d in range(seen.reduction):
            found += table[x[:, :, d, None], w[:, None, d]]
        return found


def sums_by(kernel: tuple[Products, float], seen: SiteObservation) -> Tensor:
    """Sums of a multiplier's products at the sampled outputs in units of codes: float64 (matrices, places, columns)."""
    products, unshift = kernel
    if len(seen.left) == 1:  # kernels take a single matrix more quickly without a batch
        return products.matmul(seen.left[0], seen.right[0])[None].double() * unshift
    return products.matmul(seen.left, seen.right).double() * unshift
