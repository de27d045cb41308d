"""When to stop sampling, and a loop that does.

Stopping rules may look at everything seen so far. That is sound with intervals that hold at any time, and unsound with
intervals for a number of outcomes fixed in advance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from laxity.core.errors import ConfigError
from laxity.statistics.interval import Interval


class AnytimeSequence(Protocol):
    """An interval that is updated with outcomes: `BinomialSequence`, `BettingSequence`, `StratifiedSequence`."""

    def update(self, outcomes: Any, /) -> Self:
        """The state after further outcomes."""
        ...

    def interval(self) -> Interval:
        """The interval at this moment."""
        ...


class StoppingRule(Protocol):
    """Says whether an interval is good enough."""

    def met(self, interval: Interval) -> bool:
        """Whether sampling may stop."""
        ...


@dataclass(frozen=True, slots=True)
class HalfWidth:
    """Stop when the half-width is at most `target`, in the unit of the interval."""

    target: float

    def met(self, interval: Interval) -> bool:
        """Whether the interval is that narrow."""
        return interval.half_width <= self.target


@dataclass(frozen=True, slots=True)
class Decided:
    """Stop when the interval lies on one side of `threshold`."""

    threshold: float

    def met(self, interval: Interval) -> bool:
        """Whether the threshold is outside the interval."""
        return not interval.contains(self.threshold)

    def verdict(self, interval: Interval) -> str:
        """``below``, ``above`` or, while undecided, ``open``."""
        if interval.high < self.threshold:
            return "below"
        return "above" if interval.low > self.threshold else "open"


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a sequence ended.

    Attributes:
        interval: at the end.
        met: whether the rule was met; False where the limit of outcomes came first.
        samples: outcomes drawn.
    """

    interval: Interval
    met: bool
    samples: int


def run_until(
    sequence: AnytimeSequence, draw: Callable[[int], Any], rule: StoppingRule, *, batch: int = 100, limit: int = 100_000
) -> Stopped:
    """Draw batches until the rule is met or the limit is reached.

    Args:
        sequence: state before the first outcome.
        draw: from the number of a batch, 0 first, to what `sequence.update` takes.
        rule: when to stop.
        batch: outcomes that `draw` makes each time.
        limit: outcomes drawn at most; the last batch is left out where it would go beyond.

    Raises:
        ConfigError: a batch or limit below 1.
    """
    if batch < 1 or limit < 1:
        raise ConfigError(f"batch and limit are at least 1, not {batch} and {limit}")
    drawn = 0
    while not rule.met(sequence.interval()) and drawn + batch <= limit:
        sequence = sequence.update(draw(drawn // batch))
        drawn += batch
    interval = sequence.interval()
    return Stopped(interval, rule.met(interval), drawn)
