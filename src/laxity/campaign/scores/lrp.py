"""Relevance of the struck filter or neuron, whatever the change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from laxity.campaign.scores.score import SCORES, FloatArray, Score, Struck
from laxity.core.errors import ConfigError
from laxity.relevance import LrpEpsilon, LrpZPlus

RULES = {"epsilon": LrpEpsilon, "zplus": LrpZPlus}


@SCORES.register("lrp")
@dataclass(frozen=True)
class Lrp(Score):
    """Layer-wise relevance of the struck filter or neuron, mean over the images of its absolute value.

    Attributes:
        rule: ``"zplus"``, as Schorn et al. describe it, or ``"epsilon"``.

    Raises:
        ConfigError: there is no such rule.

    Source: C. Schorn, A. Guntoro, G. Ascheid, "Accurate neuron resilience prediction for a flexible reliability
    management in neural network accelerators", DATE 2018; reconstructed from a description of it.
    """

    kind: ClassVar[str] = "lrp"

    rule: str = "zplus"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(f"rule of score 'lrp' is {' or '.join(map(repr, RULES))}, not {self.rule!r}")

    def of(self, struck: Struck) -> FloatArray:
        """See `Score.of`."""
        return struck.relevance(RULES[self.rule]().method())
