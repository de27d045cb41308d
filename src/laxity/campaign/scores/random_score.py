"""Chance: what every score has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from laxity.campaign.scores.score import SCORES, FloatArray, Score, Struck
from laxity.core.seeds import stream


@SCORES.register("random")
@dataclass(frozen=True)
class Random(Score):
    """Uniform numbers drawn by the seed, one per filter or neuron, so that groups have an order too."""

    kind: ClassVar[str] = "random"

    def of(self, struck: Struck) -> FloatArray:
        """See `Score.of`."""
        units = struck.unit()
        found = stream(struck.seed, "scores", "random").random((len(struck.names), int(units.max(initial=0)) + 1))
        return found[struck.place, units]
