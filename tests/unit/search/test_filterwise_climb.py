"""The greedy walk in a world where savings and harms of filters add up, so that the best assignment is known."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.search.filters.climb import after, ahead, climb
from laxity.search.filters.layer import Layer, Level


class World:
    """Harms add up over filters: of each mode of a layer, shared out by the true importance of the filters.

    Args:
        table: site -> (importance of every filter, levels).
        believed: site -> what the search takes for importance.
    """

    def __init__(self, table, believed=None):
        self.table, self.judged = table, []
        self.layers = [
            Layer(s, (believed or {}).get(s, importance), levels) for s, (importance, levels) in table.items()
        ]

    def totals(self, assignment):
        saving = harm = 0.0
        for site, (importance, levels) in self.table.items():
            by_mode = {0: Level(0, 0.0, 0.0), **{level.mode: level for level in levels}}
            shares = np.asarray(importance) / sum(importance)
            for share, mode in zip(shares, assignment[site], strict=True):
                saving += by_mode[mode].saving / len(shares)
                harm += by_mode[mode].harm * share
        return saving, harm

    def judge(self, assignment):
        self.judged.append(assignment)
        saving, harm = self.totals(assignment)
        return SimpleNamespace(saving=saving, harm=harm, energy_ratio=1 - saving)

    def climb(self, budget, **options):
        start = [layer.copy() for layer in self.layers]
        fits = lambda e: e.harm <= budget + 1e-12  # noqa: E731
        steps, moves = climb(self.layers, self.judge, fits, **{"block": 0.01, **options})
        assert after(start, moves) == {layer.site: layer.modes for layer in self.layers}
        return steps, {layer.site: layer.modes for layer in self.layers}


def table(sites, seed, modes=1):
    draw = np.random.default_rng(seed)
    return {
        f"s{i}": (
            draw.integers(1, 50, count).astype(float),
            [Level(m, 0.1 * m, 0.02 * m * m * (i + 1)) for m in range(1, modes + 1)],
        )
        for i, count in enumerate(sites)
    }


def best(world, budget):
    """The largest saving of all assignments within the budget."""
    sites = list(world.table)
    options = [
        itertools.product(range(len(levels) + 1), repeat=len(importance)) for importance, levels in world.table.values()
    ]
    found = (world.totals(dict(zip(sites, modes, strict=True))) for modes in itertools.product(*options))
    return max(saving for saving, harm in found if harm <= budget + 1e-12)


@given(st.integers(0, 10**6), st.sampled_from([(6,), (3, 3), (2, 2, 2)]), st.floats(0.0, 1.2), st.sampled_from([1, 2]))
@settings(max_examples=40, deadline=None)
def test_a_prefix_of_the_walk_is_as_good_as_brute_force_at_its_own_harm(seed, sites, part, modes):
    world = World(table(sites, seed, modes))
    full = sum(levels[-1].harm for _, levels in world.table.values())
    steps, final = world.climb(part * full)
    assert all(s.evaluation.harm <= part * full + 1e-12 for s in steps if s.accepted)
    moves = ahead(World(world.table).layers, 0.01, 1000)
    state = {site: [0] * len(importance) for site, (importance, _) in world.table.items()}
    for move in moves:
        for filter_ in move.filters:
            state[move.site][filter_] = move.level
        saving, harm = world.totals(state)
        assert saving == pytest.approx(best(world, harm))
    assert world.totals(final)[0] <= best(world, part * full) + 1e-12


def test_equal_savings_make_the_walk_optimal_for_every_budget():
    for seed in range(5):
        drawn = {site: (i, [Level(1, 0.1, 0.1 * sum(i))]) for site, (i, _) in table((4, 4), seed).items()}
        for part in (0.0, 0.1, 0.3, 0.5, 0.9):
            world = World(drawn)
            budget = part * sum(levels[-1].harm for _, levels in drawn.values())
            _, final = world.climb(budget, lock="block")
            assert world.totals(final)[0] == pytest.approx(best(world, budget))


def test_everything_is_raised_where_the_budget_never_ends_and_nothing_where_there_is_none():
    world = World(table((40, 7, 16), 1, modes=3))
    steps, final = world.climb(1e9, block=0.05)
    assert all(set(modes) == {3} for modes in final.values())
    assert all(s.accepted for s in steps)
    assert len(steps) <= 12, "twice as many moves are judged at a time after every success"
    world = World(table((40, 7, 16), 1, modes=3))
    steps, final = world.climb(0.0)
    assert all(set(modes) == {0} for modes in final.values())
    assert len(steps) == 3, "one refusal freezes a layer"
    assert not any(s.accepted for s in steps)


@pytest.mark.parametrize("lock", ["layer", "block"])
def test_the_last_accepted_step_is_where_the_walk_ends_and_a_frozen_layer_stays(lock):
    world = World(table((12, 20, 9), 3, modes=2))
    full = sum(levels[-1].harm for _, levels in world.table.values())
    steps, final = world.climb(0.4 * full, block=0.1, lock=lock)
    accepted = [a for a, s in zip(world.judged, steps, strict=True) if s.accepted]
    assert accepted[-1] == final
    harms = [s.evaluation.harm for s in steps if s.accepted]
    assert harms == sorted(harms)
    assert max(harms) <= 0.4 * full + 1e-12
    for earlier, later in itertools.pairwise(accepted):
        assert all(a <= b for site in earlier for a, b in zip(earlier[site], later[site], strict=True))
    assert [layer.propose(0.1) for layer in world.layers] == [None] * 3


def test_locking_blocks_goes_on_where_locking_layers_ends():
    """The layer's next block is too much, but a later one that looks worse is harmless in truth."""
    importance = np.array([1.0, 60.0, 1.0, 1.0])
    believed = {"a": np.array([1.0, 2.0, 3.0, 4.0])}
    savings = {}
    for lock in ("layer", "block"):
        world = World({"a": (importance, [Level(1, 0.4, 0.63)])}, believed)
        _, final = world.climb(0.1, lock=lock)
        savings[lock] = world.totals(final)[0]
    assert savings == {"layer": pytest.approx(0.1), "block": pytest.approx(0.3)}


def test_true_relevance_beats_random_order_which_beats_the_inverse():
    drawn = {f"s{i}": (np.geomspace(1, 1000, 32), [Level(1, 0.2, 0.1 * (i + 1))]) for i in range(3)}
    found = {}
    for name, believed in {
        "true": {},
        "random": {s: np.random.default_rng(5).random(32) for s in drawn},
        "inverse": {s: 1 / importance for s, (importance, _) in drawn.items()},
    }.items():
        world = World(drawn, believed)
        _, final = world.climb(0.06, block=0.05)
        found[name] = world.totals(final)[0]
    assert found["true"] > 2 * found["random"] > 2 * found["inverse"]


def test_filters_beat_layers_where_importance_is_uneven():
    drawn = table((32, 16), 4, modes=2)
    full = sum(levels[-1].harm for _, levels in drawn.values())
    by_filter, by_layer = World(drawn), World(drawn)
    _, fine = by_filter.climb(0.3 * full, block=0.05)
    _, coarse = by_layer.climb(0.3 * full, block=1.0)
    assert by_filter.totals(fine)[0] > by_layer.totals(coarse)[0] > 0


def test_looking_ahead_changes_nothing_and_later_moves_know_of_earlier_ones():
    world = World(table((5, 8), 2, modes=2))
    moves = ahead(world.layers, 0.01, 1000)
    assert len(moves) == 2 * 13
    assert len({(m.site, m.filters, m.level) for m in moves}) == len(moves)
    assert all(set(layer.modes) == {0} for layer in world.layers)
    assert ahead(world.layers, 0.01, 4) == moves[:4]
    merits = [m.merit for m in moves]
    assert merits == sorted(merits, reverse=True)
