"""No knowledge at all: what every other criterion has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from laxity.core.seeds import stream
from laxity.relevance.channels import channel_count
from laxity.relevance.criterion import CRITERIA, Criterion, Scores, Subject


@CRITERIA.register("random")
@dataclass(frozen=True)
class RandomOrder(Criterion):
    """Numbers drawn uniformly from 0 to 1, by the seed and the site's name."""

    kind: ClassVar[str] = "random"

    def scores(self, subject: Subject) -> Scores:
        """See `Criterion.scores`."""
        return {
            name: stream(subject.seed, "relevance", name).random(channel_count(layer))
            for name, layer in subject.layers.items()
        }
