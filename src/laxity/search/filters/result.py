"""What a filter-wise search found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from laxity.core.plan import Plan
from laxity.core.records import Evaluation
from laxity.search.filters.layer import Level
from laxity.search.pareto import front


@dataclass(frozen=True, slots=True)
class Step:
    """One assignment of modes that was judged.

    Attributes:
        evaluation: on the search samples.
        accepted: whether it was within the budget, so that the search went on from there.
    """

    evaluation: Evaluation
    accepted: bool

    @property
    def plan(self) -> Plan:
        """Modes of all filters."""
        return Plan.from_json(self.evaluation.plan)

    @property
    def energy_ratio(self) -> float:
        """Energy over that of the exact 8-bit network on the target."""
        return self.evaluation.energy_ratio

    @property
    def accuracy(self) -> float:
        """On the search samples, a fraction."""
        return self.evaluation.quality.value

    @property
    def drop(self) -> float:
        """Accuracy lost against the original network on the search samples, a fraction."""
        return self.evaluation.drop


@dataclass(frozen=True, slots=True)
class Filterwise:
    """Modes of filters, from the most exact ones on.

    Attributes:
        base: all filters in the most exact mode, on the search samples.
        levels: what each whole layer saves and harms in each mode, by site.
        steps: all assignments that were judged on a way, in order; ways begin with their start.
        chosen: the farthest assignment on the way to the last accepted step that is within the budget on the whole
            validation split too, judged there; of several ways the cheaper one's, None if there is none.
    """

    base: Evaluation
    levels: Mapping[str, tuple[Level, ...]]
    steps: tuple[Step, ...]
    chosen: Evaluation | None

    def best(self, max_drop: float, guard: float = 0.0) -> Evaluation | None:
        """The cheapest of all that was judged, accepted or not, that is within a budget on the search samples.

        Args:
            max_drop: accuracy that may be lost, a fraction; beyond the budget of the search little was judged.
            guard: standard errors that are added to a drop before it is compared.
        """
        found = [e for e in (self.base, *(s.evaluation for s in self.steps)) if e.within(max_drop, guard)]
        return min(found, key=lambda e: e.energy_ratio, default=None)

    def saved(self, max_drop: float, guard: float = 0.0) -> float:
        """Energy that `best` saves against the most exact mode everywhere, a fraction; 0 where nothing is within."""
        found = self.best(max_drop, guard)
        return 0.0 if found is None else 1 - found.energy_ratio / self.base.energy_ratio

    def front(self) -> list[Evaluation]:
        """What nothing else that was judged beats in energy and drop, by rising drop."""
        return front([self.base, *(s.evaluation for s in self.steps)], lambda e: (e.drop, e.energy_ratio))
