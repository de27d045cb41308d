"""Rules that stop sampling, and the loop."""

from __future__ import annotations

import pytest

from laxity.core.errors import ConfigError
from laxity.core.seeds import stream
from laxity.statistics import BettingSequence, BinomialSequence, Decided, HalfWidth, Interval, run_until


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.99, 10, "")


def test_rules() -> None:
    assert HalfWidth(0.1).met(interval(0.25, 0.4375))
    assert not HalfWidth(0.1).met(interval(0.2, 0.41))
    rule = Decided(0.01)
    cases = [(0.0, 0.005, "below"), (0.005, 0.02, "open"), (0.02, 0.3, "above"), (0.0, 0.01, "open")]
    for low, high, verdict in cases:
        assert rule.verdict(interval(low, high)) == verdict
        assert rule.met(interval(low, high)) == (verdict != "open")


def test_until_narrow() -> None:
    def draw(batch: int) -> object:
        return stream(0, "draw", batch).beta(2, 5, 50)

    stopped = run_until(BettingSequence(), draw, HalfWidth(0.05), batch=50)
    assert stopped.met
    assert stopped.interval.half_width <= 0.05
    assert stopped.samples == stopped.interval.samples < 100_000
    before = run_until(BettingSequence(), draw, HalfWidth(0.05), batch=50, limit=stopped.samples - 1)
    assert not before.met
    assert before.samples == stopped.samples - 50


class Failures:
    """A binomial sequence that takes rows of outcomes."""

    def __init__(self, state: BinomialSequence) -> None:
        self.state = state

    def update(self, outcomes: list[int], /) -> Failures:
        return Failures(self.state.update(sum(outcomes), len(outcomes)))

    def interval(self) -> Interval:
        return self.state.interval()


@pytest.mark.parametrize(("outcome", "verdict"), [(0, "below"), (1, "above")])
def test_until_decided(outcome: int, verdict: str) -> None:
    rule = Decided(0.01)
    stopped = run_until(Failures(BinomialSequence()), lambda _: [outcome] * 10, rule, batch=10)
    assert rule.verdict(stopped.interval) == verdict
    assert stopped.samples <= (1200 if outcome == 0 else 10)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        run_until(BettingSequence(), lambda _: [0.0], HalfWidth(0.1), batch=0)
