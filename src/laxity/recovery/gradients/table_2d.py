"""Gradients by differences of the smoothed table, for every pair of codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laxity.core.errors import PlanError
from laxity.emulate.slots import Slots
from laxity.recovery.gradients.gradient import GRADIENTS, Gradient
from laxity.recovery.gradients.tables import ProductTable, TableAtSite, check_tolerance
from laxity.recovery.observation import FloatArray, SiteObservation


@GRADIENTS.register("table_2d")
@dataclass(frozen=True, slots=True)
class Table2D(Gradient):
    """Each row of the table is smoothed by a moving average, and its central differences are the derivatives.

    Codes whose averages would reach beyond the row get the row's average slope. The tables of derivatives are
    factored within a tolerance, so that native operations apply them; their rank is what they cost.

    Attributes:
        window: half-window h of the average over 2h + 1 operands of the circuit; where codes are shifted up by s bits,
            it is h / 2^s codes, rounded down.
        tolerance: greatest error of the factored tables, as a fraction of their Frobenius norm; 0 for full rank.

    Source: idea published by C. Meng, W. Burleson, G. De Micheli, "Gradient estimation methods of approximate
    multipliers for high-accuracy retraining of deep learning models", arXiv:2509.10519, 2025 (LUT-2D); the factored
    form and the treatment of shifted and signed codes are this package's own.
    """

    window: int = 16
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.window < 0:
            raise PlanError(f"window of gradient 'table_2d' is a half-window from 0 on, not {self.window}")
        check_tolerance("table_2d", self.tolerance)

    def at(self, layer: Slots, seen: SiteObservation | None) -> TableAtSite:
        """See `Gradient.at`."""
        table = ProductTable.of(layer)
        dx = smoothed_slopes(table.products, self.window >> table.shifts[0])
        dw = smoothed_slopes(table.products.T, self.window >> table.shifts[1]).T
        return TableAtSite(layer, dx, dw, self.tolerance)


def smoothed_slopes(rows: FloatArray, window: int) -> FloatArray:
    """``(S[b + 1] - S[b - 1]) / 2`` along the first dimension, S the average over `window` codes on either side.

    Most of both sums is the same and is not computed, so that slopes of straight lines are exact.

    Args:
        rows: float64 (codes, n).
        window: half-window, in codes.

    Returns:
        float64 (codes, n); where b - 1 - window or b + 1 + window is no code, the average slope from end to end.
    """
    codes, reach = len(rows), window + 1
    out = np.tile((rows[-1] - rows[0]) / (codes - 1), (codes, 1))
    inner = codes - 2 * reach
    if inner > 0:
        starts = (2 * reach, 2 * reach - 1, 1, 0)
        far, near, low, least = (rows[start : start + inner] for start in starts)
        out[reach : reach + inner] = (far + near - low - least) / (4 * window + 2)
    return out
