"""Run a campaign: faults by rounds until the interval is as narrow as wanted, on any executor, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from laxity.campaign.bench import Bench, Source, Subject
from laxity.campaign.outcomes import Outcomes
from laxity.campaign.population import Cells, Part
from laxity.campaign.store import Store
from laxity.core.errors import ConfigError, LaxityError, RunError
from laxity.core.serial import content_key
from laxity.run import Serial
from laxity.statistics import Interval, LookPlan, Stratum, neyman_shares, plan_looks
from laxity.statistics.strata import whole_numbers

CHUNK = 1024
"""Faults of one task of the executor."""

LOOKS = 6
GUESSED = 10_000
"""Trials in which the guessed shares of a plan are written; only the shares matter."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Aim:
    """When a campaign ends.

    Attributes:
        confidence: of the intervals, fraction.
        half_width: of the share of critical faults, fraction.
        faults: exactly so many instead, 0 for as many as the half-width needs.
    """

    confidence: float = 0.99
    half_width: float = 0.005
    faults: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ConfigError(f"confidence is a fraction between 0 and 1, not {self.confidence}")
        if not 0 < self.half_width < 0.5:
            raise ConfigError(f"half_width is a fraction between 0 and 0.5, not {self.half_width}")
        if self.faults < 0:
            raise ConfigError(f"faults is {self.faults}; give a number, or 0 to let the half-width decide")


@dataclass(frozen=True, slots=True, eq=False)
class Campaign:
    """A finished campaign.

    Attributes:
        identity: what decided the outcomes.
        statement: the population in words.
        cells: of the population.
        parts: its strata.
        weights: share of each in the population.
        outcomes: of each, in the order of their numbers.
        plan: of the looks.
        look: at which the campaign ended, 0 first.
        aim: when it was to end.
        exact: whether faults without any effect are recognised by their logits.
    """

    identity: Mapping[str, Any]
    statement: str
    cells: Cells
    parts: tuple[Part, ...]
    weights: tuple[float, ...]
    outcomes: tuple[Outcomes, ...]
    plan: LookPlan
    look: int
    aim: Aim
    exact: bool

    @property
    def key(self) -> str:
        """Content key of what decided the outcomes."""
        return content_key(dict(self.identity))

    def strata(self, property_name: str) -> list[Stratum]:
        """The strata with the outcomes that have a property of `Outcomes`."""
        return _strata(self.parts, self.weights, [getattr(o, property_name) for o in self.outcomes])

    def interval(self, property_name: str = "critical") -> Interval:
        """Interval of the share of faults with a property of `Outcomes`, at the confidence of the aim."""
        return self.plan.interval(self.look, self.strata(property_name))

    @property
    def met(self) -> bool:
        """Whether the share of critical faults is known as well as was wanted."""
        return self.interval().half_width <= self.aim.half_width


def run_campaign(
    source: Source,
    subject: Subject,
    aim: Aim,
    *,
    folder: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Campaign:
    """Try faults until the aim is met.

    Faults are drawn within the strata of the population, each with an image of its own. The looks at which the
    campaign may end are planned before the first fault; if none meets the half-width, the last one's interval stands.
    Outcomes depend on the network, the data, the subject and the seed only, not on executor, interruptions or looks.

    Args:
        source: of network and task; called once in every process, and picklable where these are several.
        subject: what is struck, and by what.
        aim: when to end.
        folder: keeps outcomes; the same call again goes on where it was ended. None keeps nothing.
        executor: any; None for this process.
        progress: called with (what, done, total) after every task.

    Raises:
        LaxityError: as `Bench` and `Store`, or a worker was lost; finished outcomes are kept in the folder.
    """
    bench = Bench(source, subject)
    store = Store(folder, bench.identity)
    weights = tuple(bench.weight(p) for p in range(len(bench.parts)))
    plan = _plan(bench.parts, weights, aim)
    open_parts = [p for p, part in enumerate(bench.parts) if not part.certified]
    tasks = _Tasks(bench, source, subject, executor or Serial(), store)
    for look, trials in enumerate(plan.trials):
        chunks = [(p, *c) for p, n in zip(open_parts, trials, strict=True) for c in store.missing(p, n, CHUNK)]
        done = sum(trials) - sum(c[2] for c in chunks)
        for tried in tasks.run(chunks):
            done += tried
            if progress is not None:
                progress("faults", done, sum(trials))
        counts = dict(zip(open_parts, trials, strict=True))
        outcomes = tuple(store.rows(p, counts.get(p, 0)) for p in range(len(bench.parts)))
        found = Campaign(
            bench.identity,
            bench.population.statement,
            bench.population.cells,
            bench.parts,
            weights,
            outcomes,
            plan,
            look,
            aim,
            bench.population.exact,
        )
        if found.met:
            break
    return found


def _plan(parts: Sequence[Part], weights: Sequence[float], aim: Aim) -> LookPlan:
    """From the guesses of the parts."""
    strata = [
        Stratum(p.name, w, certified=True) if p.certified else Stratum(p.name, w, round(p.guess * GUESSED), GUESSED)
        for p, w in zip(parts, weights, strict=True)
    ]
    if not aim.faults:
        return plan_looks(strata, aim.half_width, aim.confidence, looks=LOOKS)
    open_strata = [s for s in strata if not s.certified]
    if aim.faults < len(open_strata):
        raise ConfigError(f"{aim.faults} faults are too few for {len(open_strata)} strata; each needs one")
    spread = [max(s.share * (1 - s.share), 1e-6) ** 0.5 for s in open_strata]
    shares = neyman_shares([s.weight for s in open_strata], spread)
    counts = whole_numbers(shares, aim.faults - len(open_strata)) + 1
    return LookPlan(tuple(s.name for s in open_strata), (tuple(counts.tolist()),), (1 - aim.confidence,))


def _strata(parts: Sequence[Part], weights: Sequence[float], hits: Sequence[Any]) -> list[Stratum]:
    return [
        Stratum(p.name, w, certified=True) if p.certified else Stratum(p.name, w, int(h.sum()), len(h))
        for p, w, h in zip(parts, weights, hits, strict=True)
    ]


class _Tasks:
    """Chunks of faults on an executor; the own process uses the bench that is there."""

    def __init__(self, bench: Bench, source: Source, subject: Subject, executor: Executor, store: Store) -> None:
        self._own = bench if isinstance(executor, Serial) else None
        self._source, self._subject, self._executor, self._store = source, subject, executor, store
        self._key = content_key(dict(bench.identity))

    def run(self, chunks: Sequence[tuple[int, int, int]]) -> Iterator[int]:
        """Try chunks of (part, first, count), keep their outcomes, and say how many faults each had."""
        if self._own is not None:
            for part, first, count in chunks:
                with _one_thread():
                    rows = self._own.try_out(part, first, count)
                self._store.add(part, rows)
                yield count
            return
        waiting: dict[Future[Outcomes], tuple[int, int, int]] = {
            self._executor.submit(_work, self._source, self._subject, self._key, *chunk): chunk for chunk in chunks
        }
        try:
            for done in as_completed(waiting):
                part, _, count = waiting[done]
                self._store.add(part, done.result())
                yield count
        except LaxityError:
            raise
        except Exception as error:  # executors have exceptions of their own for lost workers
            raise RunError(f"a worker was lost ({error}); run the same command again to go on") from error
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _one_thread() -> Iterator[None]:
    """As workers compute, so that sums are added in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_benches: dict[str, Bench] = {}


def _work(source: Source, subject: Subject, key: str, part: int, first: int, count: int) -> Outcomes:
    """Try a chunk in a worker, which keeps the bench of the last campaign."""
    if key not in _benches:
        torch.set_num_threads(1)
        bench = Bench(source, subject)
        if content_key(bench.identity) != key:
            raise RunError("a worker has another network, data or version of laxity than the process that asked it")
        _benches.clear()
        _benches[key] = bench
    return _benches[key].try_out(part, first, count)
