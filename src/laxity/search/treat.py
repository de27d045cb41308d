"""One plan under several treatments and seeds: accuracy before and after each of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from laxity.core.errors import ConfigError
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.core.slots import Slot
from laxity.evaluation.evaluator import Setup
from laxity.search.journaled import journaled
from laxity.search.pool import Progress

Treatments = Mapping[str, Recovery | Plan | None]
"""Recoveries by name; None is the plan as it is, and a plan is taken as it is in the other's place."""

UNTREATED = "none"
GRADIENT = "error_slope"
_CIRCUITS = (Slot.MULTIPLIER, Slot.ACCUMULATOR)


@dataclass(frozen=True, slots=True)
class Treated:
    """One plan after one treatment.

    Attributes:
        name: of the treatment.
        recovery: what it is; None for nothing at all, or for another plan without one.
        evaluations: one per seed, on the validation split.
        tested: one per seed, on the test split; empty where that was not asked for.
    """

    name: str
    recovery: Recovery | None
    evaluations: tuple[Evaluation, ...]
    tested: tuple[Evaluation, ...] = ()

    @property
    def accuracies(self) -> tuple[float, ...]:
        """On the validation split, fractions, one per seed."""
        return tuple(e.quality.value for e in self.evaluations)

    @property
    def mean(self) -> float:
        """Mean accuracy over seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracy over seeds; NaN for a single one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else math.nan

    @property
    def energy_ratio(self) -> float:
        """Mean energy over seeds, over that of the exact 8-bit network; training changes operands a little."""
        return statistics.fmean(e.energy_ratio for e in self.evaluations)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One plan under several treatments.

    Attributes:
        plan: without recovery.
        exact: the same network with exact circuits, untreated: what treatments may hope to regain.
        before: the plan untreated.
        after: each treatment, in the order that was asked for.
    """

    plan: Plan
    exact: Treated
    before: Treated
    after: tuple[Treated, ...]

    @property
    def energy_ratio(self) -> float:
        """Energy of the untreated plan over that of the exact 8-bit network."""
        return self.before.evaluations[0].energy_ratio


def baselines(recovery: Recovery, gradients: Sequence[str] = (GRADIENT,)) -> dict[str, Recovery | None]:
    """The usual treatments of one length, learning rate and temperature, from nothing to everything.

    Args:
        recovery: what they have in common; its treatments are left out.
        gradients: names of gradient estimators; all but that of the error model are named with the treatment.
    """
    usual = replace(recovery.plain(), reestimate=True)
    labels = replace(usual, distil=0.0)
    found: dict[str, Recovery | None] = {
        UNTREATED: None,
        "batch-norm re-estimation": Recovery(),
        "bias compensation": Recovery(reestimate=False, compensate=True),
        "fine-tuning": labels,
        "alpha regularisation": replace(labels, alpha=0.05),
        "hardware-aware regularisation": replace(labels, regularise=0.05),
        "distillation": usual,
    }
    staged = replace(usual, quantised_epochs=usual.epochs, teacher="quantised")
    for name, way in (
        ("gradient", labels),
        ("distillation + gradient", usual),
        ("two-stage distillation + gradient", staged),
    ):
        for gradient in dict.fromkeys(gradients):
            own = "" if gradient == GRADIENT else f" ({gradient})"
            found[name + own] = replace(way, gradient=gradient)
    found["error model"] = replace(usual, modelled=True)
    return found


def treat(
    setup: Setup,
    plan: Plan,
    treatments: Treatments,
    seeds: Sequence[int],
    *,
    test: bool = False,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Apply treatments to a plan and judge each on the whole validation split.

    With a folder, every evaluation is in the journal of its seed there, beside trained weights and unfinished
    trainings; the same call again goes on where it was ended, and other plans of the task may use the folder too.

    Args:
        setup: task, target and device; its seed and folder are not used.
        plan: its own recovery is left out.
        treatments: recoveries by name, see `baselines`; None is the plan as it is, a plan stands for itself.
        seeds: root seeds, at least one.
        test: judge everything on the test split too, after all treatments of a seed; for final figures only.
        folder: where everything is kept, or None.
        workers: processes.
        progress: called with (what, done, total, latest result).

    Raises:
        ConfigError: there are no seeds.
        LaxityError: an evaluation failed; finished ones are kept.
    """
    if not seeds:
        raise ConfigError("treatments need at least one seed; give seeds=[0, 1, 2]")
    bare = plan.with_recovery(None)
    exact = Plan(tuple(c for c in bare.choices if c[1] not in _CIRCUITS))
    ways = [way if isinstance(way, Plan) else bare.with_recovery(way) for way in treatments.values()]
    wanted = [exact, bare, *ways]
    columns, tested = [], []
    for seed in seeds:
        with journaled(setup, seed, folder, workers, progress) as pool:
            columns.append(pool.run(wanted, "recovery", f"treatments, seed {seed}"))
            if test:
                tested.append(pool.run(wanted, "test", f"test split, seed {seed}"))
    names = ["exact", UNTREATED, *treatments]
    recoveries = [plan.recovery for plan in wanted]
    first, second, *rest = (
        Treated(name, recovery, tuple(c[i] for c in columns), tuple(c[i] for c in tested))
        for i, (name, recovery) in enumerate(zip(names, recoveries, strict=True))
    )
    return Comparison(bare, first, second, tuple(rest))
