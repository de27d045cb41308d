"""Evaluate many plans, each at most once, on an executor, with every result in the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from laxity.core.errors import RunError
from laxity.core.plan import Plan
from laxity.core.records import Evaluation
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.run.journal import Journal

Progress = Callable[[str, int, int, Evaluation | None], None]

_own: list[Evaluator] = []


def _initialise(setup: Setup) -> None:
    """Load the task once per process."""
    _own[:] = [Evaluator(setup)]


def _evaluate(plan: dict[str, Any], stage: str) -> Evaluation:
    return _own[0].evaluate(Plan.from_json(plan), stage)


class Pool:
    """Runs evaluations; equal requests are answered from the journal.

    Args:
        executor: any executor whose processes were initialised with `initialise`.
        journal: where results are kept.
        progress: called with (what, done, total, latest result).
    """

    initialise = staticmethod(_initialise)

    def __init__(self, executor: Executor, journal: Journal, progress: Progress | None = None) -> None:
        self._executor, self._journal, self._progress = executor, journal, progress

    def run(self, plans: Iterable[Plan], stage: str, what: str) -> list[Evaluation]:
        """Evaluate plans at a stage; results come in the order of the plans.

        Args:
            plans: equal plans are evaluated once.
            stage: as in `Evaluator.evaluate`.
            what: shown with the progress.

        Raises:
            LaxityError: an evaluation failed or the journal cannot be written; finished results are kept.
        """
        wanted = list(plans)
        missing = {p.key: p for p in wanted if self._journal.get(p.key, stage) is None}
        futures = [self._executor.submit(_evaluate, p.to_json(), stage) for p in missing.values()]
        self._tell(what, 0, len(futures), None)
        try:
            for done, future in enumerate(as_completed(futures), 1):
                result = future.result()
                self._journal.append(result)
                self._tell(what, done, len(futures), result)
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process died (out of memory, or killed); run the same command again to resume, "
                "with fewer --workers if memory is short"
            ) from error
        finally:
            for future in futures:
                future.cancel()
        found = [self._journal.get(p.key, stage) for p in wanted]
        return [e for e in found if e is not None]

    def _tell(self, what: str, done: int, total: int, latest: Evaluation | None) -> None:
        if self._progress is not None:
            self._progress(what, done, total, latest)
