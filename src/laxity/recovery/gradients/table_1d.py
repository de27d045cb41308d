"""Gradients by one slope per code of the other operand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laxity.core.errors import PlanError
from laxity.emulate.slots import Slots
from laxity.recovery.gradients.gradient import GRADIENTS, Gradient
from laxity.recovery.gradients.tables import ProductTable, TableAtSite
from laxity.recovery.observation import FloatArray, SiteObservation

_WEIGHTINGS = ("uniform", "histogram")


@GRADIENTS.register("table_1d")
@dataclass(frozen=True, slots=True)
class Table1D(Gradient):
    """Each row of the table is replaced by its least-squares line, whose slope is the derivative everywhere on it.

    One slope per weight code is the derivative with respect to the activation, one per activation code that with
    respect to the weight, so that the backward pass costs what a straight-through one costs, and two look-ups.

    Attributes:
        weighting: ``uniform``, all codes of a row count alike, or ``histogram``, as often as the site sees them.

    Source: idea published by C. Meng, W. Burleson, G. De Micheli, "Gradient estimation methods of approximate
    multipliers for high-accuracy retraining of deep learning models", arXiv:2509.10519, 2025 (LUT-1D); slopes for both
    operands, shifted and signed codes, and weighting by histograms are this package's own.
    """

    weighting: str = "uniform"

    def __post_init__(self) -> None:
        if self.weighting not in _WEIGHTINGS:
            raise PlanError(f"weighting of gradient 'table_1d' is {' or '.join(_WEIGHTINGS)}, not {self.weighting!r}")

    @property
    def observes(self) -> bool:
        """Histograms are observed."""
        return self.weighting == "histogram"

    def at(self, layer: Slots, seen: SiteObservation | None) -> TableAtSite:
        """See `Gradient.at`."""
        table = ProductTable.of(layer)
        weights = (None, None) if seen is None or not self.observes else (seen.histogram, seen.right_histogram)
        of_left = line_slopes(table.products, table.left, weights[0])
        of_right = line_slopes(table.products.T, table.right, weights[1])
        shape = table.products.shape
        return TableAtSite(layer, np.broadcast_to(of_left, shape), np.broadcast_to(of_right[:, None], shape))


def line_slopes(rows: FloatArray, codes: FloatArray, weights: FloatArray | None) -> FloatArray:
    """Slopes of the least-squares lines (with intercept) through the columns of a table.

    Args:
        rows: float64 (codes, n).
        codes: float64 (codes,).
        weights: how much each code counts, float64 (codes,), or None for all alike; that is also what counts where
            weights are on one code only, through which there are many lines.

    Returns:
        float64 (n,).
    """
    share = np.ones_like(codes) if weights is None or np.count_nonzero(weights) < 2 else weights
    centred = codes - (share @ codes) / share.sum()
    slopes: FloatArray = ((share * centred) @ rows) / (share @ centred**2)
    return slopes
