"""GUARD: a site is computed two or three times, and results are compared or voted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.guarding import Guarding
from laxity.core.op import Site
from laxity.core.registry import did_you_mean
from laxity.core.slots import Slot
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.guard import Evidence, OutputGuard, Place

RESPONSES = ("alarm", "recompute")


@TECHNIQUES.register("redundancy")
@dataclass(frozen=True)
class Redundancy(Approximation):
    """Every output of a site is computed `copies` times; what compares and votes is taken to be free of faults.

    A fault strikes one copy: a product, a sum or an output that is wrong once. Copies read the same activations and,
    unless `weights` is set, the same stored weights, and give the same wrong result for a fault there.

    Attributes:
        copies: 2: copies are compared (dual modular redundancy). 3: the majority is taken (triple), which corrects.
        weights: each copy has stored weights of its own.
        response: of two copies that differ: ``alarm``, or ``recompute``, which computes a third time and corrects what
            happened once in the computation. Two copies of stored weights do not tell which one is right.
    """

    kind: ClassVar[str] = "redundancy"
    slot: ClassVar[Slot] = Slot.GUARD

    copies: int = 2
    weights: bool = False
    response: str = "alarm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.copies not in (2, 3):
            raise PlanError(f"copies of 'redundancy' are 2 or 3, not {self.copies}")
        if self.response not in RESPONSES:
            raise PlanError(
                f"response of 'redundancy' cannot be {self.response!r}{did_you_mean(self.response, RESPONSES)}; use "
                f"one of {RESPONSES}"
            )
        if self.copies == 3 and self.response != "alarm":
            raise PlanError("three copies of 'redundancy' vote and never compute again; leave response out")

    def label(self) -> str:
        """For example ``TMR with weights``."""
        words = ["DMR" if self.copies == 2 else "TMR"] + ["with weights"] * self.weights
        return " ".join(words + [self.response] * (self.response != "alarm"))

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Give every layer its guard."""
        for layer in layers:
            layer.guard = RedundancyGuard(self)

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """So many copies of every product and sum, and of stored weights where they have their own."""
        return replace(demand, guard=Guarding(copies=self.copies, copied_weights=self.weights))

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """Two copies, and three."""
        return [cls(2), cls(3)]


class RedundancyGuard(OutputGuard):
    """Compares copies; see `Redundancy`."""

    notices_faults: ClassVar[bool] = True
    wants_differences: ClassVar[bool] = True

    def __init__(self, choice: Redundancy) -> None:
        super().__init__()
        self.choice = choice

    def sees(self, place: Place) -> bool:
        """Whether copies differ after a fault there."""
        return place is Place.COMPUTATION or (place is Place.WEIGHTS and self.choice.weights)

    def notices(self, evidence: Evidence) -> Tensor:
        """See `OutputGuard.notices`."""
        return evidence.differs if self.sees(evidence.place) else super().notices(evidence)

    def corrects(self, place: Place) -> bool:
        """See `OutputGuard.corrects`."""
        if self.choice.copies == 3:
            return self.sees(place)
        return place is Place.COMPUTATION and self.choice.response == "recompute"
