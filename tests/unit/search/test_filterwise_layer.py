"""Filters of one layer: which are raised next, and what is expected of it."""

import numpy as np
import pytest

from laxity.core.errors import ConfigError
from laxity.search.filters.layer import Layer, Level, exponent_of

LEVELS = (Level(1, 0.1, 0.01), Level(2, 0.16, 0.04))


def test_the_least_relevant_filter_is_raised_first_to_the_next_mode():
    layer = Layer("a", [3.0, 1.0, 2.0, 4.0], LEVELS)
    order = []
    for _ in range(4):
        move = layer.propose(0.01)
        assert len(move.filters) == 1
        order.append((move.filters[0], move.level))
        layer.take(move)
    # ratios: mode 1 of the filters 1, 2, 0, 3 is 0.025 / (0.001, 0.002, 0.003, 0.004), and mode 2 0.015 / (0.003, ...)
    assert order == [(1, 1), (2, 1), (0, 1), (3, 1)]
    assert layer.modes == (1, 1, 1, 1)
    assert layer.propose(0.01).filters == (1,)


def test_blocks_are_a_fraction_of_what_remains_and_at_least_one():
    layer = Layer("a", np.arange(1.0, 41.0), LEVELS[:1])
    sizes = []
    while move := layer.propose(0.05):
        sizes.append(len(move.filters))
        layer.take(move)
    assert sizes[:2] == [2, 2]
    assert sizes[-1] == 1
    assert sum(sizes) == 40
    assert layer.modes == (1,) * 40
    whole = Layer("a", np.arange(1.0, 41.0), LEVELS[:1]).propose(1.0)
    assert len(whole.filters) == 40
    assert (whole.saving, whole.harm) == pytest.approx((0.1, 0.01))


def test_saving_is_shared_out_evenly_and_harm_by_relevance():
    layer = Layer("a", [1.0, 0.0, 3.0], LEVELS)
    move = layer.propose(0.01)
    assert (move.filters, move.saving, move.harm) == ((1,), pytest.approx(0.1 / 3), 0.0)
    layer.take(move)
    moves = []
    while move := layer.propose(0.01):
        moves.append(move)
        layer.take(move)
    assert sum(m.saving for m in moves) == pytest.approx(0.16 - 0.1 / 3)
    assert sum(m.harm for m in moves) == pytest.approx(0.04)
    assert {m.filters: m.harm for m in moves if m.level == 1} == {
        (0,): pytest.approx(0.01 / 4),
        (2,): pytest.approx(0.03 / 4),
    }


def test_modes_that_a_mixture_beats_are_left_out():
    poor = Level(1, 0.02, 0.03)
    useless = Level(3, -0.01, 0.0)
    layer = Layer("a", [1.0, 2.0], [poor, Level(2, 0.2, 0.04), useless])
    assert [level.mode for level in layer.levels] == [0, 2]
    layer.take(layer.propose(1.0))
    assert layer.modes == (2, 2)
    assert layer.propose(1.0) is None


def test_locked_filters_stay_and_a_copy_is_independent():
    layer = Layer("a", [1.0, 2.0, 3.0], LEVELS[:1])
    layer.lock([0])
    assert layer.propose(0.01).filters == (1,)
    twin = layer.copy()
    twin.take(twin.propose(1.0))
    assert (twin.modes, layer.modes) == ((0, 1, 1), (0, 0, 0))
    layer.lock()
    assert layer.propose(1.0) is None


def test_a_layer_begins_in_a_mode_or_in_the_next_milder_one_in_use():
    layer = Layer("a", [1.0, 2.0], [Level(1, 0.1, 0.01), Level(2, 0.11, 0.2), Level(3, 0.3, 0.21)])
    assert [level.mode for level in layer.levels] == [0, 1, 3]
    for mode, begun in ((0, 0), (1, 1), (2, 1), (3, 3)):
        layer.begin(mode)
        assert layer.modes == (begun, begun)


def test_without_any_relevance_all_filters_share_the_harm():
    move = Layer("a", [-1.0, 0.0, -2.0, 0.0], LEVELS[:1]).propose(0.25)
    assert (move.filters, move.harm) == ((2,), pytest.approx(0.0025))


@pytest.mark.parametrize("scores", [[], [np.nan, 1.0], [[1.0, 2.0]]])
def test_bad_scores_are_named(scores):
    with pytest.raises(ConfigError, match="site 'a' needs one finite score per filter"):
        Layer("a", scores, LEVELS)


def test_harm_by_rank_follows_a_power_of_the_number_of_filters():
    layer = Layer("a", [300.0, -1.0, 2.0, 1e9], LEVELS[:1], exponent=2.0)
    harms = []
    while move := layer.propose(0.01):
        harms.append((move.filters[0], move.harm))
        layer.take(move)
    assert [f for f, _ in harms] == [1, 2, 0, 3]
    assert np.cumsum([h for _, h in harms]) == pytest.approx(0.01 * (np.arange(1, 5) / 4) ** 2)


def test_the_exponent_is_found_again_from_half_of_the_filters():
    for exponent in (0.7, 1.0, 2.5):
        assert exponent_of(0.5, 0.3 * 0.5**exponent, 0.3) == pytest.approx(exponent)
        assert exponent_of(3 / 7, 0.3 * (3 / 7) ** exponent, 0.3) == pytest.approx(exponent)


def test_harms_that_cannot_be_told_say_nothing_and_noise_is_bounded():
    assert exponent_of(0.5, 0.1, 0.0) == 1.0
    assert exponent_of(1.0, 0.1, 0.1) == 1.0
    assert exponent_of(0.5, 0.0, 0.1) == 8.0
    assert exponent_of(0.5, 0.2, 0.1) == 0.5
