"""Gradients of the exact product on what the codes stand for."""

from __future__ import annotations

from dataclasses import dataclass

from laxity.emulate.slots import Slots
from laxity.recovery.gradients.gradient import GRADIENTS, Gradient
from laxity.recovery.observation import SiteObservation


@GRADIENTS.register("straight_through")
@dataclass(frozen=True, slots=True)
class StraightThrough(Gradient):
    """The error of the multiplier has no derivative: what emulated operations do by themselves.

    Source: straight-through estimator, Y. Bengio et al., arXiv:1308.3432.
    """

    def at(self, layer: Slots, seen: SiteObservation | None) -> None:
        """See `Gradient.at`."""
