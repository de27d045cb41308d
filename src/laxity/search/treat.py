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

Treatments = Mapping[str, Recovery | None]

UNTREATED = "none"
_CIRCUITS = (Slot.MULTIPLIER, Slot.ACCUMULATOR)


@dataclass(frozen=True, slots=True)
class Treated:
    """One plan after one treatment.

    Attributes:
        name: of the treatment.
        recovery: what it is; None for nothing at all.
        evaluations: one per seed.
    """

    name: str
    recovery: Recovery | None
    evaluations: tuple[Evaluation, ...]

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


def baselines(recovery: Recovery) -> dict[str, Recovery | None]:
    """The usual treatments of one length, learning rate and temperature, from nothing to everything.

    Args:
        recovery: what they have in common; its treatments are left out.
    """
    usual = replace(recovery.plain(), reestimate=True)
    labels = replace(usual, distil=0.0)
    return {
        UNTREATED: None,
        "batch-norm re-estimation": Recovery(),
        "bias compensation": Recovery(reestimate=False, compensate=True),
        "fine-tuning": labels,
        "alpha regularisation": replace(labels, alpha=0.05),
        "hardware-aware regularisation": replace(labels, regularise=0.05),
        "distillation": usual,
        "gradient": replace(labels, gradient="error_slope"),
        "distillation + gradient": replace(usual, gradient="error_slope"),
        "two-stage distillation + gradient": replace(
            usual, gradient="error_slope", quantised_epochs=usual.epochs, teacher="quantised"
        ),
        "error model": replace(usual, modelled=True),
    }


def treat(
    setup: Setup,
    plan: Plan,
    treatments: Treatments,
    seeds: Sequence[int],
    *,
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
        treatments: recoveries by name, see `baselines`; None is the plan as it is.
        seeds: root seeds, at least one.
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
    wanted = [exact, bare, *(bare.with_recovery(r) for r in treatments.values())]
    columns = []
    for seed in seeds:
        with journaled(setup, seed, folder, workers, progress) as pool:
            columns.append(pool.run(wanted, "recovery", f"treatments, seed {seed}"))
    rows = [tuple(column[i] for column in columns) for i in range(len(wanted))]
    names = ["exact", UNTREATED, *treatments]
    recoveries = [None, None, *treatments.values()]
    first, second, *rest = (Treated(n, r, e) for n, r, e in zip(names, recoveries, rows, strict=True))
    return Comparison(bare, first, second, tuple(rest))
