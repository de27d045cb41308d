"""Errors of single products: the element table of a multiplier over the codes of a site, and its moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels import Products
from laxity.recovery.observation import FloatArray, SiteObservation
from laxity.techniques.data.codes import IntegerOperands
from laxity.techniques.data.operands import Operands
from laxity.techniques.hardware.arrangement import Arrangement, Circuits, products_of, single

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
        kernel: sums products of codes as the layer does, with the factor that brings these sums to units of codes.
    """

    table: FloatArray
    left: tuple[int, int]
    right: tuple[int, int]
    kernel: tuple[Products, float]

    @classmethod
    def of(cls, operand: Operands, multiplier: Circuits | None, site: str) -> ElementErrors:
        """The errors of a multiplier at a site; without one, of exact products.

        Raises:
            PlanError: the codes are no whole numbers, are too many for a table, or do not fit the multiplier; or there
                is more than one circuit.
        """
        core = single(multiplier, site, "tables of errors")
        scalar = operand.scalar(core, site)
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
        table = scalar.compute(x, w) * 2.0 ** -sum(scalar.shifts) - x * w
        return cls(table, (low, high), (least, most), operand.products(core, None, site))

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

    def sums(self, seen: SiteObservation) -> Tensor:
        """Errors of the sums at the sampled outputs of a site: float64 (matrices, places, columns)."""
        return sums_by(self.kernel, seen) - seen.left.double() @ seen.right.double()


def sums_by(kernel: tuple[Products, float], seen: SiteObservation) -> Tensor:
    """Sums of a multiplier's products at the sampled outputs in units of codes: float64 (matrices, places, columns)."""
    products, unshift = kernel
    if len(seen.left) == 1:  # kernels take a single matrix more quickly without a batch
        return products.matmul(seen.left[0], seen.right[0])[None].double() * unshift
    return products.matmul(seen.left, seen.right).double() * unshift


def errors_of_sums(seen: SiteObservation, multiplier: Circuits | None) -> Tensor:
    """Errors of the sums at the sampled outputs of a site: float64 (matrices, places, columns).

    Raises:
        PlanError: as `ElementErrors.of`, but several circuits may share the columns.
    """
    if not isinstance(multiplier, Arrangement):
        return ElementErrors.of(seen.operand, multiplier, seen.site).sums(seen)
    kernel = products_of(seen.operand, multiplier, None, seen.site)
    return sums_by(kernel, seen) - seen.left.double() @ seen.right.double()
