"""First-order change of the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from laxity.campaign.scores.score import SCORES, FloatArray, Score, Struck


@SCORES.register("gradient")
@dataclass(frozen=True)
class Gradient(Score):
    """``|dL/dw dw|``, L the cross-entropy of the predicted class.

    Groups are averaged up to ln 2: the loss of a prediction that changes is at least that.
    """

    kind: ClassVar[str] = "gradient"
    cap: ClassVar[float] = math.log(2)

    def of(self, struck: Struck) -> FloatArray:
        """See `Score.of`."""
        return np.abs(struck.slope_of_loss() * struck.change())
