"""Size of what a fault does to the values of its own layer, whatever follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from laxity.campaign.scores.score import SCORES, FloatArray, Score, Struck


@SCORES.register("disturbance")
@dataclass(frozen=True)
class Disturbance(Score):
    """``max_p |dw x_p| / max |y|``: the largest change of an output y of the struck layer, relative to its largest one.

    For a neuron, its change relative to the largest activation stored with it. Unlike derivatives, it does not vanish
    where the present value of an activation hides a change that is far larger than this value; unlike the size of the
    change alone, it vanishes where all inputs that the weight meets are 0.
    """

    kind: ClassVar[str] = "disturbance"
    cap: ClassVar[float] = 1.0

    def of(self, struck: Struck) -> FloatArray:
        """See `Score.of`."""
        return struck.disturbance()
