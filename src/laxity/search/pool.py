"""Evaluate many plans, each at most once, on an executor, with every result in the journal."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import Any

from laxity.core.errors import RunError
from laxity.core.plan import Plan
from laxity.core.records import Evaluation
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.run import Journal, Serial

Progress = Callable[[str, int, int, Evaluation | None], None]

_own: list[Evaluator] = []


def _initialise(setup: Setup) -> None:
    """Load the task once per process."""
    _own[:] = [Evaluator(setup)]


def _evaluate(plan: dict[str, Any], stage: str) -> Evaluation:
    return _own[0].evaluate(Plan.from_json(plan), stage)


def _price(plan: dict[str, Any]) -> float:
    return _own[0].price(Plan.from_json(plan))


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
        calls = [(plan.to_json(), stage) for plan in missing.values()]
        self._tell(what, 0, len(calls), None)
        with closing(self._results(_evaluate, calls)) as results:
            for done, (_, result) in enumerate(results, 1):
                self._journal.append(result)
                self._tell(what, done, len(calls), result)
        found = [self._journal.get(p.key, stage) for p in wanted]
        return [e for e in found if e is not None]

    def prices(self, plans: Iterable[Plan], what: str) -> list[float]:
        """Energies of plans that differ from the exact 8-bit network in circuits only, as `Evaluator.price` says them.

        Args:
            plans: priced without being run; nothing is kept in the journal.
            what: shown with the progress.

        Raises:
            LaxityError: a plan cannot be priced.
        """
        calls = [(plan.to_json(),) for plan in plans]
        found = [0.0] * len(calls)
        self._tell(what, 0, len(calls), None)
        with closing(self._results(_price, calls)) as results:
            for done, (place, price) in enumerate(results, 1):
                found[place] = price
                self._tell(what, done, len(calls), None)
        return found

    def _results(
        self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
    ) -> Generator[tuple[int, Any], None, None]:
        """Place and result of every call, as they come.

        Where calls run in this process, each result is handed over before the next call begins.
        """
        if isinstance(self._executor, Serial):
            for place, call in enumerate(calls):
                yield place, self._executor.submit(function, *call).result()
            return
        places = {self._executor.submit(function, *call): place for place, call in enumerate(calls)}
        try:
            for future in as_completed(places):
                yield places[future], future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process died (out of memory, or killed); run the same command again to resume, "
                "with fewer --workers if memory is short"
            ) from error
        except BaseException:
            # Cancelling the futures from here would clash with the executor where its processes were killed.
            self._executor.shutdown(wait=False, cancel_futures=True)
            raise

    def _tell(self, what: str, done: int, total: int, latest: Evaluation | None) -> None:
        if self._progress is not None:
            self._progress(what, done, total, latest)
