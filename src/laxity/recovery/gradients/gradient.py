"""What a way to find gradients is, and where it is found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod

from laxity.core.registry import Registry
from laxity.emulate.slots import Slots
from laxity.recovery.gradients.site import SiteGradient
from laxity.recovery.observation import SiteObservation


class Gradient(ABC):
    """A way to find gradients of operations with approximate multipliers; a dataclass whose fields are its options.

    Raises:
        PlanError: an option has no such value.
    """

    @property
    def observes(self) -> bool:
        """Whether it has to know what operands the sites see."""
        return False

    @abstractmethod
    def at(self, layer: Slots, seen: SiteObservation | None) -> SiteGradient | None:
        """Gradients of one operation with its present multiplier; None where they are straight-through.

        Args:
            layer: emulated and calibrated, with a multiplier.
            seen: what `observe` found at this site; not None where `observes`.

        Raises:
            PlanError: there are none for this site; names it and says why.
        """


GRADIENTS: Registry[type[Gradient]] = Registry("gradient", "laxity.gradients")
