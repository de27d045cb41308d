"""Size of the change, wherever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.campaign.scores.score import SCORES, FloatArray, Score, Struck


@SCORES.register("magnitude")
@dataclass(frozen=True)
class Magnitude(Score):
    """``|dw|``; groups are averaged up to a change by 1, which is more than weights of trained networks usually are."""

    kind: ClassVar[str] = "magnitude"
    cap: ClassVar[float] = 1.0

    def of(self, struck: Struck) -> FloatArray:
        """See `Score.of`."""
        return np.abs(struck.change())
