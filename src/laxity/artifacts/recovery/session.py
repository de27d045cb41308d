"""Studies of recovery from beginning to end: run, judge on unseen data, write everything down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from laxity.artifacts.recovery import documents
from laxity.artifacts.recovery.folder import COMPARISON, LADDER, RANKING, RecoveryFolder
from laxity.artifacts.recovery.render import write_recovery
from laxity.core.approximation import Approximation
from laxity.core.plan import Plan, Recovery
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.recovery import rank_multipliers
from laxity.recovery.ranking import SAMPLES
from laxity.search.pool import Progress
from laxity.search.treat import treat
from laxity.search.uniform import uniform
from laxity.techniques import CircuitMultiplier, Integer

Steps = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a study is about.

    Attributes:
        setup: task, target, device and the first seed; its folder is not used.
        operands: choice for all sites.
        folder: where results, journals, weights and the page are kept.
        command: that carries the study out, for the record.
        workers: processes.
    """

    setup: Setup
    operands: Integer
    folder: Path
    command: str
    workers: int = 1

    def plan(self, evaluator: Evaluator, *choices: Approximation) -> Plan:
        """The operands, and further choices, at every site."""
        return Plan.assign([s for s in evaluator.prepared.sites if s.slots], [self.operands, *choices])


def compare_treatments(
    subject: Subject,
    multiplier: str,
    treatments: Mapping[str, Recovery | Approximation | None],
    seeds: Sequence[int],
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """One multiplier everywhere, under several treatments and seeds; judged on the test split at the end.

    The same call again goes on where it was ended, and computes nothing that is there.

    Args:
        subject: task, operands and folder.
        multiplier: in the catalogue.
        treatments: recoveries by name; None is the plan as it is, and a choice stands in the multiplier's place.
        seeds: root seeds, at least one.
        progress: called with (what, done, total, latest result).

    Returns:
        The content of ``comparison.json``.

    Raises:
        LaxityError: bad input, or an evaluation failed; finished ones are kept.
    """
    with _at_work(subject) as (folder, evaluator):
        ways = {n: subject.plan(evaluator, w) if isinstance(w, Approximation) else w for n, w in treatments.items()}
        found = treat(
            subject.setup,
            subject.plan(evaluator, CircuitMultiplier(multiplier)),
            ways,
            seeds,
            test=True,
            folder=subject.folder,
            workers=subject.workers,
            progress=progress,
        )
        head = documents.head(evaluator, subject, folder.created(), seeds)
        document = head | {"multiplier": multiplier} | documents.comparison(found)
        _finish(folder, COMPARISON, document)
    return document


def climb(
    subject: Subject,
    names: Sequence[str] | None,
    recipe: Recovery,
    *,
    max_drop: float,
    guard: float = 0.0,
    whole: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The uniform methodology: ever stronger multipliers at all sites, each treated, the last within the budget.

    Args:
        subject: task, operands and folder.
        names: multipliers of the catalogue; all of 8 bits that are not exact if None.
        recipe: how every network is treated.
        max_drop: accuracy that may be lost against the original network, a fraction.
        guard: standard errors that are added to a drop before it is compared.
        whole: treat all multipliers.
        progress: called with (what, done, total, latest result).

    Returns:
        The content of ``ladder.json``.

    Raises:
        LaxityError: bad input, or an evaluation failed; finished ones are kept.
    """
    with _at_work(subject) as (folder, evaluator):
        found = uniform(
            subject.setup,
            names,
            max_drop=max_drop,
            guard=guard,
            recipe=recipe,
            operands=subject.operands,
            whole=whole,
            test=True,
            folder=subject.folder,
            workers=subject.workers,
            progress=progress,
        )
        head = documents.head(evaluator, subject, folder.created(), [subject.setup.seed])
        asked = {"max_drop": max_drop, "guard": guard, "whole": whole, "recovery": recipe}
        document = head | documents.plain(asked) | documents.ladder(found)
        _finish(folder, LADDER, document)
    return document


def rank(
    subject: Subject,
    names: Sequence[str] | None,
    *,
    refine: int = 0,
    keep: bool = True,
    progress: Steps | None = None,
) -> dict[str, Any]:
    """Predict what each multiplier would do to the network if it were used everywhere, and what its circuit costs.

    Args:
        subject: task and operands; its folder is only written where `keep` is set.
        names: multipliers of the catalogue; all of 8 bits that are not exact if None.
        refine: how many of the least harmful are predicted again by the modelled forward pass.
        keep: write ``ranking.json`` and the page.
        progress: called with (multipliers done, multipliers).

    Returns:
        The content of ``ranking.json``.

    Raises:
        LaxityError: bad input.
    """
    start = time.perf_counter()

    def predicted(evaluator: Evaluator) -> dict[str, Any]:
        task, plan, seed = evaluator.task, subject.plan(evaluator), subject.setup.seed
        samples = min(SAMPLES, len(task.validation))
        found = rank_multipliers(task, plan, names, samples=samples, refine=refine, seed=seed, progress=progress)
        return documents.ranking(found)

    if not keep:
        evaluator = Evaluator(replace(subject.setup, folder=None))
        document = predicted(evaluator)
        head = documents.head(evaluator, subject, "", [subject.setup.seed])
        return head | document | {"seconds": time.perf_counter() - start}
    with _at_work(subject) as (folder, evaluator):
        document = predicted(evaluator)
        head = documents.head(evaluator, subject, folder.created(), [subject.setup.seed])
        document = head | document | {"seconds": time.perf_counter() - start}
        _finish(folder, RANKING, document)
    return document


@contextmanager
def _at_work(subject: Subject) -> Iterator[tuple[RecoveryFolder, Evaluator]]:
    """Hold the folder of a study."""
    evaluator = Evaluator(replace(subject.setup, folder=None))
    folder = RecoveryFolder(subject.folder)
    folder.adopt(documents.subject(evaluator))
    with folder.held():
        folder.created()
        folder.log(f"start: {subject.command}")
        yield folder, evaluator


def _finish(folder: RecoveryFolder, name: str, document: dict[str, Any]) -> None:
    folder.write(name, document)
    write_recovery(folder.path)
    folder.log(f"done: {name}")
