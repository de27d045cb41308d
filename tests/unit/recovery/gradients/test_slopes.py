"""Tables of derivatives, and their factors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import catalogue
from laxity.core.errors import PlanError
from laxity.recovery.gradients import Table1D, Table2D, factorise
from laxity.recovery.gradients.table_1d import line_slopes
from laxity.recovery.gradients.table_2d import smoothed_slopes

SIGNED = (0, 255), (-127, 127)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), codes=st.integers(3, 40), others=st.integers(2, 9), window=st.integers(0, 25))
def test_slopes_are_central_differences_of_the_moving_average(loops, seed, codes, others, window):
    table = np.random.default_rng(seed).normal(size=(codes, others)) * 1000
    wanted, _ = loops.smoothed(table, (window, 0))
    np.testing.assert_allclose(smoothed_slopes(table, window), wanted, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), codes=st.integers(3, 40), low=st.integers(-40, 5), weighted=st.booleans())
def test_lines_are_those_of_least_squares(seed, codes, low, weighted):
    rng = np.random.default_rng(seed)
    table, at = rng.normal(size=(codes, 5)) * 1000, np.arange(low, low + codes, dtype=float)
    weights = rng.random(codes) if weighted else None
    wanted = np.polyfit(at, table, 1, w=None if weights is None else np.sqrt(weights))[0]
    np.testing.assert_allclose(line_slopes(table, at, weights), wanted, rtol=1e-6, atol=1e-6)


def test_a_single_observed_code_has_no_line_of_its_own():
    table, at = np.arange(12.0).reshape(4, 3) ** 2, np.arange(4.0)
    single = np.array([0.0, 1.0, 0.0, 0.0])
    assert np.array_equal(line_slopes(table, at, single), line_slopes(table, at, None))


@pytest.mark.parametrize("window", [0, 1, 7, 60, 200])
def test_exact_products_have_the_other_operand_as_slope(window):
    x, w = np.arange(256.0)[:, None], np.arange(-127.0, 128)[None]
    assert np.array_equal(smoothed_slopes(x * w, window), np.broadcast_to(w, (256, 255)))
    assert np.array_equal(smoothed_slopes((x * w).T, window), np.broadcast_to(x.T, (255, 256)))


@pytest.mark.parametrize("dropped", [1, 2, 3, 4])
def test_operand_truncation_has_the_truncated_operand_as_mean_slope(loops, dropped):
    """Dropping k bits of x leaves the average slope of x as it is, and of w only w without its low bits."""
    table = loops.table(catalogue.get(f"optrunc8_{dropped}"), *SIGNED)
    w = np.arange(-127, 128)
    truncated = np.sign(w) * (np.abs(w) >> dropped << dropped)
    for window in (1 << dropped, 2 << dropped):
        inner = smoothed_slopes(table, window)[window + 1 : -window - 1]
        np.testing.assert_allclose(inner.mean(0), truncated, atol=0.06 * 127)
    np.testing.assert_allclose(line_slopes(table, np.arange(256.0), None), truncated, rtol=0.01)
    kept = (line_slopes(table, np.arange(256.0), None)[w != 0] / w[w != 0]).mean()
    assert float(kept) == pytest.approx(float((truncated[w != 0] / w[w != 0]).mean()), rel=0.01)


def test_slopes_of_mitchell_fall_short_by_less_than_a_ninth(loops):
    """As its products do, which are exact for powers of two."""
    table = loops.table(catalogue.get("mitchell8"), *SIGNED)
    w = np.arange(-127, 128)
    slopes = line_slopes(table, np.arange(256.0), None)
    ratio = slopes[w != 0] / w[w != 0]
    assert 8 / 9 < ratio.min() < 0.98
    assert ratio.max() < 1 + 1e-9
    powers = [127 + s * 2**k for k in range(7) for s in (-1, 1)]
    np.testing.assert_allclose(slopes[powers], w[powers])
    for window in (0, 5):
        np.testing.assert_allclose(smoothed_slopes(table, window)[:, powers], np.broadcast_to(w[powers], (256, 14)))


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10**6), rank=st.integers(0, 6), noise=st.sampled_from([0.0, 1e-3]), tolerance=st.floats(0, 0.5)
)
def test_factors_meet_the_table_within_the_tolerance(seed, rank, noise, tolerance):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(12, rank)) @ rng.normal(size=(rank, 9)) + noise * rng.normal(size=(12, 9))
    found = factorise(table, tolerance)
    near = np.zeros((12, 9))
    for r in range(found.rank):
        near += np.outer(*(np.ones(n) if f is None else f[r].numpy() for f, n in ((found.left, 12), (found.right, 9))))
    assert np.linalg.norm(near - table) <= (tolerance + 1e-5) * np.linalg.norm(table)
    assert found.rank <= (9 if noise else max(1, rank))
    if found.rank and found.left is not None and found.right is not None:
        values = np.linalg.svd(table, compute_uv=False)
        assert np.linalg.norm(values[found.rank - 1 :]) > tolerance * np.linalg.norm(values)


@pytest.mark.parametrize("axis", [0, 1])
def test_functions_of_one_operand_are_themselves(axis):
    values = np.array([3.0, 0.1, -7.25])
    table = np.broadcast_to(values if axis else values[:, None], (3, 3))
    found = factorise(table, 0.3)
    kept, absent = (found.right, found.left) if axis else (found.left, found.right)
    assert absent is None
    assert found.rank == 1
    assert kept.tolist() == [pytest.approx(values.tolist())]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Table2D(window=-1), "window of gradient 'table_2d'.*not -1"),
        (lambda: Table2D(tolerance=1.5), "tolerance of gradient 'table_2d'.*not 1.5"),
        (lambda: Table2D(tolerance=float("nan")), "tolerance of gradient 'table_2d'.*not nan"),
        (lambda: Table1D(weighting="often"), "weighting of gradient 'table_1d'.*'often'"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises(PlanError, match=text):
        make()
