"""How far a run is: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from laxity.cli.failures import terminal
from laxity.cli.output import note

if TYPE_CHECKING:
    from laxity.core.records import Evaluation

_HEARTBEAT_S = 30.0
_PULSE_S = 1.0

Words = Callable[["Evaluation | None"], str]
"""What is said after each step, from its result."""


@dataclass
class Stage:
    """A named stretch of work; calls with the same name in a row add up.

    Attributes:
        name: shown to the user.
        done, total: steps.
        before: steps of earlier calls of the same name.
        start_s: when it began, by the monotonic clock.
    """

    name: str
    done: int = 0
    total: int = 0
    before: int = 0
    start_s: float = 0.0


class Display(Protocol):
    """Something that shows stages."""

    def begin(self, stage: Stage) -> None:
        """A stage begins."""

    def show(self, stage: Stage, best: str) -> None:
        """A step is done; `best` tells the best plan so far, or is empty."""

    def end(self, stage: Stage, best: str) -> None:
        """A stage is over."""


class Best:
    """Remembers the best plan within the budget.

    Args:
        max_drop, guard: the budget.
    """

    def __init__(self, max_drop: float, guard: float) -> None:
        self._max_drop, self._guard = max_drop, guard
        self._ratio: float | None = None

    def __call__(self, latest: Evaluation | None) -> str:
        """Take note of a result, and tell the best one."""
        if latest is not None and latest.stage != "sensitivity" and latest.within(self._max_drop, self._guard):
            self._ratio = latest.energy_ratio if self._ratio is None else min(self._ratio, latest.energy_ratio)
        return "" if self._ratio is None else f"best energy ratio in budget {self._ratio:.3f}"


def accuracy(latest: Evaluation | None) -> str:
    """Tell the accuracy of a result."""
    return "" if latest is None else f"accuracy {100 * latest.quality.value:.2f} % on the {latest.quality.split} split"


class Tracker:
    """Turns what a run tells into stages.

    Args:
        display: shows it.
        words: what is said besides.
    """

    def __init__(self, display: Display, words: Words) -> None:
        self._display, self._words = display, words
        self._stage: Stage | None = None
        self._said = ""
        self._lock = threading.RLock()

    def __call__(self, what: str, done: int, total: int, latest: Evaluation | None) -> None:
        """Take note of a step: what is done, how many steps of how many, and the latest evaluation."""
        if total == 0:
            return
        with self._lock:
            self._step(what, done, total, latest)

    def _step(self, what: str, done: int, total: int, latest: Evaluation | None) -> None:
        if self._stage is None or self._stage.name != what:
            self.close()
            self._stage = Stage(what, start_s=time.monotonic())
            self._display.begin(self._stage)
        stage = self._stage
        if done == 0:
            stage.before = stage.done
        stage.done, stage.total = stage.before + done, stage.before + total
        self._said = self._words(latest)
        self._display.show(stage, self._said)

    def pulse(self, news: str) -> None:
        """Show something between two steps."""
        with self._lock:
            if self._stage is not None:
                self._display.show(self._stage, _joined(self._said, news))

    def close(self) -> None:
        """End the present stage."""
        with self._lock:
            if self._stage is not None:
                self._display.end(self._stage, self._said)
                self._stage = None


class Lines:
    """One line where a stage begins and one where it ends; in between one every half minute."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._last_s = self._start_s

    def begin(self, stage: Stage) -> None:
        """Name the stage."""
        self._line(f"{stage.name} ...")

    def show(self, stage: Stage, best: str) -> None:
        """Now and then, tell how far it is."""
        if time.monotonic() - self._last_s >= _HEARTBEAT_S:
            self._line(_joined(f"{stage.name}: {stage.done} of {stage.total}", best))

    def end(self, stage: Stage, best: str) -> None:
        """Tell what was done, and how long it took."""
        self._line(_finished(stage, best))

    def _line(self, text: str) -> None:
        self._last_s = time.monotonic()
        note(f"[{self._last_s - self._start_s:6.1f} s] {text}")


class Bar:
    """A live bar for the present stage; finished stages stay as lines above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[best]}", markup=False),
            console=Console(stderr=True, highlight=False, markup=False),
            transient=True,
        )
        self._row = self._progress.add_task("starting", total=None, best="")

    def __enter__(self) -> Bar:
        """Start the display."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the display and remove the bar."""
        self._progress.stop()

    def begin(self, stage: Stage) -> None:
        """Turn the bar over to a new stage."""
        self._progress.reset(self._row, description=stage.name, total=stage.total)

    def show(self, stage: Stage, best: str) -> None:
        """Move the bar."""
        self._progress.update(self._row, completed=stage.done, total=stage.total, best=best)

    def end(self, stage: Stage, best: str) -> None:
        """Leave a line behind."""
        self._progress.console.print(_finished(stage, best))


def _finished(stage: Stage, best: str) -> str:
    return _joined(f"{stage.name}: {stage.done} done in {time.monotonic() - stage.start_s:.1f} s", best)


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


@contextmanager
def progress(max_drop: float, guard: float, *, quiet: bool) -> Iterator[Tracker | None]:
    """Give the function that a run reports to, or None if nothing is to be shown."""
    with _tracker(Best(max_drop, guard), quiet=quiet) as tracker:
        yield tracker


@contextmanager
def following(*, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Give the function that takes (what, done, total), or None if nothing is to be shown."""
    with _tracker(lambda _: "", quiet=quiet) as tracker:
        yield None if tracker is None else lambda what, done, total: tracker(what, done, total, None)


@contextmanager
def studying(folder: Path, *, quiet: bool) -> Iterator[Tracker | None]:
    """The same for a study of recovery, which also follows the trainings under way in its folder."""
    with _tracker(accuracy, quiet=quiet) as tracker:
        if tracker is None:
            yield None
            return
        done = threading.Event()
        follower = threading.Thread(target=_follow, args=(folder, tracker, done), daemon=True)
        follower.start()
        try:
            yield tracker
        finally:
            done.set()
            follower.join()


@contextmanager
def counting(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Give the function that takes (done, total), or None if nothing is to be shown."""
    with following(quiet=quiet) as tell:
        yield None if tell is None else lambda done, total: tell(what, done, total)


def _follow(folder: Path, tracker: Tracker, done: threading.Event) -> None:
    """Tell how far trainings are, from their checkpoints, until all is done."""
    from laxity.search.journaled import unfinished

    while not done.wait(_PULSE_S):
        curves = unfinished(folder)
        if curves:
            tracker.pulse(", ".join(f"training after epoch {len(c)}: loss {c[-1]['loss']:.4f}" for c in curves))


@contextmanager
def _tracker(words: Words, *, quiet: bool) -> Iterator[Tracker | None]:
    if quiet:
        yield None
    elif not terminal():
        tracker = Tracker(Lines(), words)
        yield tracker
        tracker.close()
    else:
        with Bar() as bar:
            tracker = Tracker(bar, words)
            yield tracker
            tracker.close()
