"""Betting sequences: capital has mean 1 by enumeration, ends agree with a fine grid, coverage by simulation."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import ConfigError, DataError
from laxity.core.seeds import stream
from laxity.statistics import BettingSequence, BinomialSequence
from laxity.statistics.betting import Moments, conditional_means, log_growth, plug_in_bets


def capitals(values: np.ndarray, m: float, horizon: int | None = None, population: int | None = None) -> np.ndarray:
    """Final capital of both gamblers against one mean."""
    bets = plug_in_bets(values, 0.99, horizon)
    means = conditional_means(np.array([m]), values, population, Moments())
    return np.exp(np.stack(log_growth(values, means, bets)).sum(2)[:, 0])


@pytest.mark.parametrize("horizon", [None, 20])
def test_capital_has_mean_one_with_replacement(horizon: int | None) -> None:
    levels, chances = np.array([0.0, 0.3, 1.0]), np.array([0.5, 0.3, 0.2])
    mean, total = float(levels @ chances), np.zeros(2)
    for path in itertools.product(range(3), repeat=6):
        total += chances[list(path)].prod() * capitals(levels[list(path)], mean, horizon)
    assert total == pytest.approx([1, 1])


def test_capital_has_mean_one_without_replacement() -> None:
    population = np.array([0.0, 0.0, 0.1, 0.4, 1.0, 0.7])
    paths = list(itertools.permutations(population, 5))
    mean = sum(capitals(np.array(p), float(population.mean()), population=6) for p in paths) / len(paths)
    assert mean == pytest.approx([1, 1])


@pytest.mark.parametrize("options", [{}, {"horizon": 300}, {"population": 400}])
@pytest.mark.parametrize("shape", [(0.05, 1.0), (3.0, 3.0)])
def test_ends_are_those_of_a_fine_grid(options: dict[str, int], shape: tuple[float, float]) -> None:
    values = stream(2, "beta", str(shape)).beta(*shape, 300)
    state = BettingSequence(**options)  # type: ignore[arg-type]
    for part in np.split(values, 6):
        state = state.update(part)
    grid = np.linspace(0, 1, 4001)
    means = conditional_means(grid, values, options.get("population"), Moments())
    growth = np.stack(log_growth(values, means, plug_in_bets(values, 0.99, options.get("horizon"))))
    alive = grid[(growth.cumsum(2).max(2) < math.log(200)).all(0)]
    if "population" in options:
        alive = alive[(alive * 400 >= values.sum()) & (alive * 400 <= values.sum() + 100)]
    width = state.high - state.low
    assert state.low <= alive[0] <= state.low + width / 64 + 1 / 4000
    assert state.high - width / 64 - 1 / 4000 <= alive[-1] <= state.high


def test_the_whole_population_is_known_exactly() -> None:
    values = stream(3, "all").random(50)
    state = BettingSequence(population=50).update(values)
    assert state.low == pytest.approx(values.mean(), abs=1e-12)
    assert state.high == pytest.approx(values.mean(), abs=1e-12)
    with pytest.raises(DataError, match="without replacement from 50"):
        state.update([0.5])


def test_a_contradiction_leaves_one_point_inside() -> None:
    before = BettingSequence().update(np.zeros(300))
    after = before.update(np.ones(300))
    assert after.low == after.high == before.high


def test_small_variance_gives_narrow_intervals() -> None:
    values = 0.3 + 0.02 * stream(4, "narrow").random(2000)
    fractions = BettingSequence(horizon=2000).update(values).interval()
    binary = BinomialSequence().update(620, 2000).interval()
    assert fractions.half_width < binary.half_width / 5
    assert fractions.contains(0.31)


def missed(draw: Any, mean: float, steps: int, replicates: int = 10_000, horizon: int | None = None) -> float:
    """Share of replicates in which the mean is ever excluded, all replicates at once."""
    total, squares, capital, peak = (np.zeros(s) for s in (replicates, replicates, (2, replicates), (2, replicates)))
    for t in range(1, steps + 1):
        x = draw(replicates)
        times = t * math.log1p(t) if horizon is None else horizon
        bets = np.sqrt(2 * math.log(200) / ((0.25 + squares) / t * times))
        capital += np.stack(log_growth(x, np.full(replicates, mean), bets))
        peak = np.maximum(peak, capital)
        total += x
        squares += (x - (0.5 + total) / (t + 1)) ** 2
    return float((peak >= math.log(200)).any(0).mean())


@pytest.mark.parametrize("horizon", [None, 400])
@pytest.mark.parametrize("p", [0.0045, 0.1, 0.5])
def test_any_stopping_covers_binary_outcomes(p: float, horizon: int | None) -> None:
    random = stream(5, "binary", str(p))
    assert missed(lambda n: (random.random(n) < p).astype(float), p, 1000, horizon=horizon) <= 0.01


@pytest.mark.slow
def test_any_stopping_covers_published_populations(campaigns: Any) -> None:
    for campaign in campaigns.values():
        random, sdc = stream(6, campaign.name), campaign.sdc
        share = missed(lambda n, r=random, y=sdc: y[r.integers(0, y.size, n)], float(sdc.mean()), 2000)
        assert share <= 0.01


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=40), min_size=1, max_size=4))
def test_updates_shrink_and_contain_the_estimate(batches: list[list[float]]) -> None:
    state = BettingSequence()
    for batch in batches:
        after = state.update(batch)
        assert state.low <= after.low <= after.interval().estimate <= after.high <= state.high
        state = after


def test_bad_input() -> None:
    with pytest.raises(DataError, match="fractions"):
        BettingSequence().update([0.5, 1.2])
    with pytest.raises(DataError, match="fractions"):
        BettingSequence().update([float("nan")])
    with pytest.raises(ConfigError, match="caution"):
        BettingSequence(caution=1.0).update([0.5])
    with pytest.raises(ConfigError, match="horizon"):
        BettingSequence(horizon=0).update([0.5])
