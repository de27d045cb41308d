"""First-order change of the distance of the two largest logits, in units of this distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.campaign.scores.score import SCORES, FloatArray, Score, Struck


@SCORES.register("taylor_margin")
@dataclass(frozen=True)
class TaylorMargin(Score):
    """``|d(z_1 - z_2)/dw dw| / (z_1 - z_2)``, z_1 and z_2 the largest logits of the image.

    Where the network is linear, the second class takes over exactly at 1, if the change is towards it.

    Attributes:
        signed: count a change that widens the distance as 0.
    """

    kind: ClassVar[str] = "taylor_margin"
    cap: ClassVar[float] = 1.0

    signed: bool = False

    def of(self, struck: Struck) -> FloatArray:
        """See `Score.of`."""
        change = struck.slope_of_margin() * struck.change()
        size = np.maximum(-change, 0) if self.signed else np.abs(change)
        margin = struck.margin()
        return np.where(margin > 0, size / np.where(margin > 0, margin, 1), np.inf)
