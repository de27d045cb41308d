"""Importance sampling and prediction-powered estimates: unbiased by enumeration, bounded, covering."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from laxity.core.errors import ConfigError, DataError
from laxity.core.seeds import stream
from laxity.statistics import (
    BettingSequence,
    best_coefficient,
    defensive_proposal,
    prediction_powered_asymptotic,
    prediction_powered_interval,
    weighted_interval,
)


@pytest.mark.parametrize("defensive", [0.05, 0.5, 1.0])
def test_weighted_outcomes_are_unbiased_and_bounded(defensive: float) -> None:
    random = stream(0, "population")
    outcomes, scores = random.random(200), random.random(200) ** 4
    proposal = defensive_proposal(scores, defensive)
    weights = proposal.weights(np.arange(200))
    assert proposal.probabilities.sum() == pytest.approx(1)
    assert (proposal.probabilities * weights * outcomes).sum() == pytest.approx(outcomes.mean())
    assert weights.max() <= 1 / defensive + 1e-9


def test_draws_follow_the_proposal() -> None:
    proposal = defensive_proposal([0, 1, 3, 0], 0.2)
    assert proposal.probabilities == pytest.approx([0.05, 0.25, 0.65, 0.05])
    drawn = np.bincount(proposal.draw(stream(1, "draw"), 20_000), minlength=4) / 20_000
    assert drawn == pytest.approx(proposal.probabilities, abs=0.012)
    assert defensive_proposal([0, 0], 0.2).probabilities == pytest.approx([0.5, 0.5])


def hot_population() -> tuple[np.ndarray, np.ndarray]:
    """1 of 32 faults fails often, like bit 30 of fp32 weights; scores know it roughly."""
    hot = np.arange(3200) % 32 == 30
    outcomes = np.where(hot, stream(2, "hot").beta(0.5, 0.7, 3200), 0.0003)
    return outcomes, np.where(hot, 0.6, 0.001)


@pytest.mark.slow
def test_good_scores_narrow_and_bad_scores_still_cover() -> None:
    outcomes, scores = hot_population()
    truth = float(outcomes.mean())
    width = {}
    for name, used in (("good", scores), ("none", np.ones(3200)), ("bad", scores.max() - scores)):
        missed, widths = 0, []
        for replicate in range(12):
            random = stream(3, name, replicate)
            proposal = defensive_proposal(used, 0.2)
            drawn = proposal.draw(random, 2000)
            binary = (random.random(2000) < outcomes[drawn]).astype(float)
            found = weighted_interval(binary, proposal.weights(drawn), 0.2, horizon=2000)
            missed += not found.contains(truth)
            widths.append(found.half_width)
        assert missed <= 1
        width[name] = float(np.mean(widths))
    assert width["good"] < 0.9 * width["none"]
    assert width["none"] < width["bad"]


def test_a_good_proxy_narrows_and_stays_valid() -> None:
    outcomes, proxy = stream(4, "proxied").beta(2, 5, 5000), np.empty(5000)
    proxy[:] = np.clip(outcomes + stream(4, "noise").normal(0, 0.03, 5000), 0, 1)
    missed, widths = 0, []
    for replicate in range(12):
        drawn = stream(5, replicate).integers(0, 5000, 800)
        plain = BettingSequence(horizon=800).update(outcomes[drawn]).interval()
        powered = prediction_powered_interval(outcomes[drawn], proxy[drawn], float(proxy.mean()), horizon=800)
        missed += not powered.contains(float(outcomes.mean()))
        widths.append(powered.half_width / plain.half_width)
    assert missed <= 1
    assert np.mean(widths) < 0.6


def test_a_useless_proxy_does_no_harm_to_validity() -> None:
    random = stream(6, "useless")
    outcomes, proxy = (random.random(4000) < 0.1).astype(float), random.random(4000)
    found = prediction_powered_interval(outcomes[:1500], proxy[:1500], float(proxy.mean()))
    assert found.contains(float(outcomes.mean()))
    assert best_coefficient(outcomes, proxy) < 0.05


def test_without_a_proxy_it_is_plain_betting() -> None:
    values = stream(7, "plain").random(200)
    found = prediction_powered_interval(values, np.zeros(200), 0.0, coefficient=0.0)
    plain = BettingSequence(caution=0.9).update(values)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_closed_form_of_the_normal_interval_and_the_coefficient() -> None:
    y, g = np.array([0.0, 0.5, 1.0, 0.5]), np.array([0.1, 0.4, 0.9, 0.2])
    found = prediction_powered_asymptotic(y, g, 0.3, 0.95)
    assert found.estimate == pytest.approx(0.3 + float((y - g).mean()))
    assert found.half_width == pytest.approx(1.959964 * float((y - g).std(ddof=1)) / 2, rel=1e-6)
    assert best_coefficient(y, g) == pytest.approx(min(1.0, float(np.polyfit(g, y, 1)[0])))
    assert best_coefficient(g, np.full(4, 0.2)) == 0


def test_importance_sampling_on_a_published_population(campaigns: Any) -> None:
    campaign = campaigns["ResNet20"]
    proposal = defensive_proposal(np.where(campaign.bits == 30, 0.4, 0.004), 0.25)
    random = stream(8, "published")
    drawn = proposal.draw(random, 6000)
    found = weighted_interval(campaign.sdc[drawn], proposal.weights(drawn), 0.25, horizon=6000)
    uniform = BettingSequence(horizon=6000).update(campaign.sdc[random.integers(0, campaign.sdc.size, 6000)]).interval()
    assert found.contains(float(campaign.sdc.mean()))
    assert found.half_width < uniform.half_width


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="defensive"):
        defensive_proposal([1, 2], 0)
    for scores in ([], [-1.0], [float("inf")]):
        with pytest.raises(DataError, match="scores"):
            defensive_proposal(scores)
    with pytest.raises(DataError, match="weight"):
        weighted_interval([0.5], [11.0], 0.1)
    with pytest.raises(DataError, match="as many"):
        prediction_powered_interval([0.5, 0.1], [0.5], 0.5)
    with pytest.raises(ConfigError, match="coefficient"):
        prediction_powered_interval([0.5], [0.5], 0.5, coefficient=2)
    with pytest.raises(DataError, match="two outcomes"):
        prediction_powered_asymptotic([0.5], [0.5], 0.5)
    with pytest.raises(DataError, match="two outcomes"):
        best_coefficient([0.5], [0.5])
