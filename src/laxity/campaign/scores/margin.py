"""Distance of the two largest logits: which images are close to another prediction, whatever is struck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.campaign.scores.score import SCORES, FloatArray, Score, Struck


@SCORES.register("margin")
@dataclass(frozen=True)
class Margin(Score):
    """``1 / (z_1 - z_2)``, z_1 and z_2 the largest logits of the image."""

    kind: ClassVar[str] = "margin"

    def of(self, struck: Struck) -> FloatArray:
        """See `Score.of`."""
        margin = struck.margin()
        return np.where(margin > 0, 1 / np.where(margin > 0, margin, 1), np.inf)
