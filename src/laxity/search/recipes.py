"""Which recovery repairs which plan, found by trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from laxity.core.errors import PlanError
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.core.slots import Level, Slot
from laxity.core.space import Space
from laxity.search.pool import Pool

_WHAT = "ways of repair"


@dataclass(frozen=True, slots=True)
class Trial:
    """Several recoveries of one plan.

    Attributes:
        question: what was to be found out.
        found: each recovery with the repaired plan.
        chosen: the one after which the plan was nearest to the original network.
    """

    question: str
    found: tuple[tuple[Recovery, Evaluation], ...]
    chosen: Recovery


@dataclass(frozen=True, slots=True)
class Recipes:
    """How plans are repaired thoroughly.

    Attributes:
        usual: for all plans that the other one is not for.
        circuits: for plans whose approximate circuits are multipliers of whole-number codes; None for the usual one.
        trials: how both were found.
    """

    usual: Recovery
    circuits: Recovery | None = None
    trials: tuple[Trial, ...] = field(default=(), compare=False)

    def of(self, plan: Plan) -> Recovery:
        """The recovery of a plan."""
        return self.circuits if self.circuits is not None and estimable(plan) else self.usual

    def apply(self, plan: Plan, *, times: int = 1) -> Plan:
        """The plan with its recovery, trained so many times as long."""
        recovery = self.of(plan)
        return plan.with_recovery(replace(recovery, epochs=times * recovery.epochs))


def estimable(plan: Plan) -> bool:
    """Whether a plan has approximate multipliers and errors of single products are all the errors of its circuits."""
    multipliers = [choice for _, slot, choice in plan if slot is Slot.MULTIPLIER]
    operands = [choice for _, slot, choice in plan if slot is Slot.OPERAND]
    inexact = any(slot is Slot.ACCUMULATOR for _, slot, _ in plan)
    kinds = all(c.kind == "multiplier" for c in multipliers) and all(c.kind == "integer" for c in operands)
    return bool(multipliers) and kinds and not inexact


def choose(space: Space, pool: Pool, recoveries: Sequence[Recovery], gradients: Sequence[str]) -> Recipes:
    """Repair plans of middling strength in every way offered and take the ways that bring them nearest.

    Of several recoveries the best is found on a plan that approximates data; on one that approximates multipliers it
    then competes with itself by other gradients.

    Args:
        space: what may be chosen.
        pool: runs the trials.
        recoveries: for all plans, at least one.
        gradients: names of gradient estimators for plans with approximate multipliers.

    Raises:
        LaxityError: a trial failed.
    """
    usual, trials = recoveries[0], []
    if len(recoveries) > 1:
        narrow = space.restrict([Level.DATA])
        trials.append(_try("recovery of all plans", narrow if narrow.variables else space, pool, recoveries))
        usual = trials[0].chosen
    circuits = Space(tuple(v for v in space.variables if v.slot is Slot.MULTIPLIER), space.base)
    others = [g for g in gradients if g != usual.gradient]
    if (
        usual.epochs == 0
        or usual.modelled
        or not others
        or not circuits.variables
        or not estimable(_middling(circuits))
    ):
        return Recipes(usual, trials=tuple(trials))
    ways = [usual, *(replace(usual, gradient=g) for g in others)]
    try:
        trials.append(_try("gradient of approximate multipliers", circuits, pool, ways))
    except PlanError:  # a site of the network has no estimate: a transposed convolution, or codes too wide to table
        return Recipes(usual, trials=tuple(trials))
    return Recipes(usual, trials[-1].chosen, tuple(trials))


def _middling(space: Space) -> Plan:
    return space.plan([2 * (len(v.candidates) - 1) // 3 for v in space.variables])


def _try(question: str, space: Space, pool: Pool, recoveries: Sequence[Recovery]) -> Trial:
    """Repair a plan of middling strength in every way."""
    plan = _middling(space)
    results = pool.run([plan.with_recovery(r) for r in recoveries], "recovery", _WHAT)
    found = tuple(zip(recoveries, results, strict=True))
    return Trial(question, found, min(found, key=lambda pair: pair[1].divergence)[0])
