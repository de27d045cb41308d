"""Strata: allocation, combination of evidence, guaranteed intervals, planned looks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from laxity.core.errors import ConfigError, DataError
from laxity.core.seeds import stream
from laxity.statistics import (
    BinomialSequence,
    LookPlan,
    StratifiedSequence,
    Stratum,
    asymptotic_interval,
    clopper_pearson,
    next_round,
    neyman_shares,
    plan_looks,
    stratified_interval,
)
from laxity.statistics.combination import Curve, largest, smallest_sum
from laxity.statistics.looks import spend
from laxity.statistics.strata import whole_numbers
from laxity.statistics.stratified import METHODS


def two(a: tuple[int, int], b: tuple[int, int], weight: float = 0.25) -> tuple[Stratum, Stratum]:
    return Stratum("a", weight, *a), Stratum("b", 1 - weight, *b)


# Allocation


def test_neyman_is_the_cheapest_allocation() -> None:
    w, s, c = np.array([0.03, 0.6, 0.37]), np.array([0.5, 0.02, 0.1]), np.array([1.0, 4.0, 2.0])
    best = neyman_shares(w, s, c)

    def price(shares: np.ndarray) -> float:
        """Cost of reaching one given variance."""
        return float((w**2 * s**2 / shares).sum() * (shares * c).sum())

    random = stream(0, "shares")
    others = [best * np.exp(random.normal(0, 0.3, 3)) for _ in range(200)]
    assert price(best) <= min(map(price, others))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=6), st.integers(0, 500))
def test_whole_numbers_add_up(pull: list[float], total: int) -> None:
    shares = np.array(pull) / sum(pull)
    counts = whole_numbers(shares, total)
    assert counts.sum() == total
    assert np.all(np.abs(counts - shares * total) < 1 + 1e-9)


def test_rounds_approach_the_allocation_and_leave_certified_strata_out() -> None:
    strata = [Stratum("hot", 0.1), Stratum("cold", 0.4), Stratum("dead", 0.5, certified=True)]
    rates, random = {"hot": 0.5, "cold": 0.02}, stream(1, "rounds")
    for _ in range(30):
        counts = next_round(strata, 100, least=2)
        assert sum(counts.values()) == 100
        strata = [
            Stratum(s.name, s.weight, s.successes + int(random.binomial(n, rates[s.name])), s.trials + n)
            if (n := counts.get(s.name, 0))
            else s
            for s in strata
        ]
    wanted = neyman_shares([0.1, 0.4], [0.5, 0.14])
    assert strata[0].trials / 3000 == pytest.approx(wanted[0], abs=0.05)
    assert strata[2].trials == 0


# Combination


def brute(curves: list[Curve], budget: float) -> float:
    sums = [
        math.fsum(float(c.values[k]) for c, k in zip(curves, ks, strict=True))
        for ks in itertools.product(*(range(c.values.size) for c in curves))
        if math.fsum(float(c.evidence[k]) for c, k in zip(curves, ks, strict=True)) <= budget
    ]
    return max(sums)


@pytest.mark.parametrize("curves", [1, 2, 3])
def test_combination_bounds_brute_force_tightly(curves: int) -> None:
    made = []
    for k in range(curves):
        values = np.linspace(0, 1 / (k + 1), 41)
        made.append(Curve(values, (k + 1) * 30 * (values - 0.1 * k) ** 2))
    exact = brute(made, 3.0)
    assert exact <= largest(made, 3.0) <= exact + 0.05 * curves
    mirrored = [Curve(-c.values[::-1], c.evidence[::-1]) for c in made]
    assert smallest_sum(mirrored, 3.0) == -largest(made, 3.0)


# Intervals


@pytest.mark.parametrize(("s", "n"), [(0, 30), (4, 30), (29, 30), (1, 3000)])
def test_one_stratum_has_the_plain_intervals(s: int, n: int) -> None:
    only = [Stratum("all", 1.0, s, n)]
    exact, mixture = clopper_pearson(s, n), BinomialSequence().update(s, n).interval()
    for method, plain in (
        ("fisher", exact),
        ("exact_bonferroni", exact),
        ("bonferroni", mixture),
        ("product", mixture),
    ):
        found = stratified_interval(only, 0.99, method)
        assert plain.low - 0.01 * plain.half_width <= found.low <= plain.low + 1e-9
        assert plain.high - 1e-9 <= found.high <= plain.high + 0.01 * plain.half_width


def test_closed_forms_of_bonferroni_and_the_normal_interval() -> None:
    strata = two((10, 40), (3, 200))
    parts = [clopper_pearson(10, 40, 0.995), clopper_pearson(3, 200, 0.995)]
    found = stratified_interval(strata, 0.99, "exact_bonferroni")
    assert found.high == pytest.approx(0.25 * parts[0].high + 0.75 * parts[1].high)
    assert found.estimate == pytest.approx(0.25 * 0.25 + 0.75 * 0.015)
    p = [10.5 / 41, 3.5 / 201]
    error = math.sqrt(0.0625 * p[0] * (1 - p[0]) / 40 + 0.5625 * p[1] * (1 - p[1]) / 200)
    assert asymptotic_interval(strata, 0.95).half_width == pytest.approx(1.959964 * error, rel=1e-6)


def test_putting_evidence_together_is_narrower_than_bonferroni() -> None:
    strata = two((480, 1200), (1, 3400), 1 / 32)
    width = {m: stratified_interval(strata, 0.99, m).half_width for m in METHODS}
    assert width["fisher"] < 0.85 * width["exact_bonferroni"]
    assert width["fisher"] < width["product"]


def test_many_strata() -> None:
    strata = [Stratum(f"bit {b}", 1 / 16, 40 if b == 14 else 0, 100) for b in range(16)]
    for method in METHODS:
        found = stratified_interval(strata, 0.99, method)
        assert found.low <= 0.4 / 16 <= found.high
    assert stratified_interval(strata).high < stratified_interval(strata, method="exact_bonferroni").high


@pytest.mark.parametrize("method", ["fisher", "exact_bonferroni"])
@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_exact_coverage_of_two_small_strata(method: str, weight: float) -> None:
    n = (9, 14)
    found = {
        (a, b): stratified_interval(two((a, n[0]), (b, n[1]), weight), 0.9, method)
        for a, b in itertools.product(range(n[0] + 1), range(n[1] + 1))
    }
    for p in itertools.product((0.0, 0.02, 0.3, 0.7, 1.0), (0.0, 0.05, 0.4, 0.9)):
        truth = weight * p[0] + (1 - weight) * p[1]
        covered = math.fsum(
            float(binom.pmf(a, n[0], p[0]) * binom.pmf(b, n[1], p[1]))
            for (a, b), i in found.items()
            if i.low - 1e-12 <= truth <= i.high + 1e-12
        )
        assert covered >= 0.9


def test_certified_strata_count_as_zero() -> None:
    sampled = stratified_interval([Stratum("a", 1.0, 5, 100)])
    half = stratified_interval([Stratum("a", 0.5, 5, 100), Stratum("dead", 0.5, certified=True)])
    assert (half.estimate, half.low, half.high) == pytest.approx(
        (sampled.estimate / 2, sampled.low / 2, sampled.high / 2)
    )
    nothing = stratified_interval([Stratum("dead", 1.0, certified=True)])
    assert (nothing.low, nothing.high, nothing.samples) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["product", "bonferroni"])
def test_adaptive_sequences_cover_at_any_time(method: str) -> None:
    """Rounds that look at everything seen, and a miss at any round counts."""
    rates, missed = {"a": 0.4, "b": 0.003}, 0
    truth = 0.05 * 0.4 + 0.95 * 0.003
    for replicate in range(60):
        random = stream(2, method, replicate)
        state = StratifiedSequence((Stratum("a", 0.05), Stratum("b", 0.95)), 0.9, method)
        for _ in range(8):
            counts = next_round(state.strata, 150, least=5)
            after = state.update({k: (int(random.binomial(n, rates[k])), n) for k, n in counts.items()})
            assert state.low <= after.low <= after.high <= state.high
            state = after
        missed += not state.interval().contains(truth)
    assert missed <= 6


def test_a_contradiction_leaves_one_point_inside() -> None:
    before = StratifiedSequence((Stratum("a", 0.5), Stratum("b", 0.5))).update({"a": (0, 900), "b": (0, 900)})
    after = before.update({"a": (900, 900), "b": (900, 900)})
    assert after.low == after.high == before.high


def test_sequences_refuse_what_is_not_valid_at_any_time() -> None:
    state = StratifiedSequence((Stratum("a", 1.0),), method="fisher")
    with pytest.raises(ConfigError, match="fixed before"):
        state.update({"a": (0, 1)})
    with pytest.raises(ConfigError, match="no stratum 'b'"):
        StratifiedSequence((Stratum("a", 1.0),)).update({"b": (0, 1)})
    with pytest.raises(DataError, match="certified"):
        StratifiedSequence((Stratum("a", 0.5), Stratum("z", 0.5, certified=True))).update({"z": (0, 1)})


# Looks


def test_looks_spend_the_error_probability() -> None:
    for looks in (1, 2, 5):
        assert math.fsum(spend(looks, 0.99)) == pytest.approx(0.01)
        assert len(spend(looks, 0.99)) == looks


def test_plans_meet_their_half_width_at_the_expected_shares() -> None:
    pilot = two((40_000, 100_000), (25, 100_000), 1 / 32)
    plan = plan_looks(pilot, 0.002)
    assert plan.confidence == pytest.approx(0.99)
    first = [Stratum(s.name, s.weight, round(n * s.share), n) for s, n in zip(pilot, plan.trials[0], strict=True)]
    assert plan.interval(0, first).half_width <= 0.002
    assert sum(plan.trials[0]) < 6000
    bonferroni = plan_looks(pilot, 0.002, method="exact_bonferroni")
    assert sum(plan.trials[0]) < sum(bonferroni.trials[0])


def test_plans_with_certified_strata_need_less() -> None:
    pilot = [Stratum("a", 1 / 32, 400, 1000), Stratum("b", 31 / 32, 0, 1000)]
    dead = [*pilot[:1], Stratum("b", 8 / 32, 0, 1000), Stratum("dead", 23 / 32, certified=True)]
    assert sum(plan_looks(dead, 0.002).trials[0]) < 0.6 * sum(plan_looks(pilot, 0.002).trials[0])


def test_looks_are_held_to_their_plan() -> None:
    plan = LookPlan(("a", "b"), ((10, 10), (20, 20)), (0.005, 0.005))
    with pytest.raises(DataError, match="planned"):
        plan.interval(0, two((1, 10), (1, 11)))
    with pytest.raises(ConfigError, match="fall"):
        LookPlan(("a",), ((10,), (5,)), (0.005, 0.005))
    with pytest.raises(ConfigError, match="every stratum"):
        LookPlan(("a",), ((10, 3),), (0.01,))
    with pytest.raises(ConfigError, match="as many"):
        LookPlan(("a",), ((10,),), (0.005, 0.005))
    with pytest.raises(ConfigError, match="fisher"):
        plan_looks(two((1, 10), (1, 10)), 0.01, method="product")
    with pytest.raises(ConfigError, match="growth"):
        plan_looks(two((1, 10), (1, 10)), 0.01, growth=1.0)


@pytest.mark.slow
def test_looks_cover_a_published_population(campaigns: Any) -> None:
    """Pilot, plan, fresh samples, early stopping, on the faults of ResNet-20 with one image each."""
    campaign = campaigns["ResNet20"]
    parts = [campaign.sdc[campaign.bits == 30], campaign.sdc[campaign.bits != 30]]
    truth, weight = float(campaign.sdc.mean()), parts[0].size / campaign.bits.size
    missed = 0
    for replicate in range(40):
        random = stream(3, "looks", replicate)

        def seen(h: int, n: int, random: Any = random) -> int:
            return int((random.random(n) < parts[h][random.integers(0, parts[h].size, n)]).sum())

        plan = plan_looks(two((seen(0, 150), 150), (seen(1, 350), 350), weight), 0.002)
        counts, trials = [0, 0], (0, 0)
        for look, wanted in enumerate(plan.trials):
            counts = [c + seen(h, wanted[h] - trials[h]) for h, c in enumerate(counts)]
            trials = (wanted[0], wanted[1])
            interval = plan.interval(look, two((counts[0], trials[0]), (counts[1], trials[1]), weight))
            if interval.half_width <= 0.002:
                break
        missed += not interval.contains(truth)
    assert missed <= 1


def test_bad_strata() -> None:
    with pytest.raises(ConfigError, match=r"add up to 0\.9"):
        stratified_interval([Stratum("a", 0.4, 1, 2), Stratum("b", 0.5, 1, 2)])
    with pytest.raises(ConfigError, match="same name"):
        stratified_interval([Stratum("a", 0.5, 1, 2), Stratum("a", 0.5, 1, 2)])
    with pytest.raises(DataError, match="'b' has no trials"):
        stratified_interval(two((1, 2), (0, 0)))
    with pytest.raises(ConfigError, match="did you mean 'fisher'"):
        stratified_interval(two((1, 2), (1, 2)), method="fischer")
    with pytest.raises(DataError, match="3 successes in 2"):
        Stratum("a", 1.0, 3, 2)
    with pytest.raises(DataError, match="certified"):
        Stratum("a", 1.0, 0, 2, certified=True)
    with pytest.raises(ConfigError, match="costs"):
        Stratum("a", 1.0, cost=0)
    with pytest.raises(ConfigError, match="weight"):
        Stratum("a", 1.5)
    with pytest.raises(ConfigError, match="round of 1"):
        next_round(two((1, 2), (1, 2)), 1, least=1)
