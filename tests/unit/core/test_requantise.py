"""Requantisation against the definition in rational numbers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import PlanError
from laxity.core.requantise import (
    GREATEST_SUM,
    LEAST_SUM,
    RELATIVE_ERROR,
    Addition,
    Requantiser,
    multiplier_and_shift,
    requantise,
)

MANY = settings(deadline=None, max_examples=300)
sums = st.one_of(
    st.integers(LEAST_SUM, GREATEST_SUM), st.integers(-300, 300), st.sampled_from([LEAST_SUM, GREATEST_SUM])
)
multipliers = st.one_of(st.just(0), st.integers(2**15, 2**16 - 1))
scales = st.one_of(st.floats(2**-32, 32767), st.floats(1e-6, 4.0))
codes = st.sampled_from([(0, 0, 255), (128, 0, 255), (0, -127, 127), (3, 3, 15), (0, LEAST_SUM, GREATEST_SUM)])


def rounded(value):
    """To nearest, halves up."""
    return floor(value + Fraction(1, 2))


def clamp(value, low, high):
    return max(low, min(high, value))


@MANY
@given(st.lists(sums, min_size=1, max_size=5), multipliers, st.integers(1, 47), codes)
def test_is_the_definition_in_rational_numbers(values, multiplier, shift, code):
    zero, low, high = code
    got = requantise(np.array(values), multiplier, shift, zero, low, high)
    wanted = [clamp(rounded(Fraction(v * multiplier, 2**shift)) + zero, low, high) for v in values]
    assert got.tolist() == wanted


@MANY
@given(scales)
def test_scales_are_met_within_the_documented_error(scale):
    multiplier, shift = multiplier_and_shift(scale)
    assert 2**15 <= multiplier < 2**16
    assert 1 <= shift <= 47
    exact = Fraction(scale)
    error = abs(Fraction(multiplier, 2**shift) - exact)
    assert error <= Fraction(RELATIVE_ERROR) * exact
    for other in (multiplier - 1, multiplier + 1):
        assert error <= abs(Fraction(other, 2**shift) - exact)


def test_the_worst_scale_reaches_the_documented_error():
    scale = 1 + 2.0**-16
    multiplier, shift = multiplier_and_shift(scale)
    error = abs(Fraction(multiplier, 2**shift) / Fraction(scale) - 1)
    assert error > Fraction(RELATIVE_ERROR) * Fraction(999, 1000)


@pytest.mark.parametrize("scale", [0.0, 5e-324, 2.0**-33, float(np.nextafter(2.0**-32, 0))])
def test_scales_too_small_take_every_sum_to_zero_as_exact_rounding_does(scale):
    found = Requantiser.from_scale(scale, 7, 0, 255)
    assert found.multipliers == (0,)
    for value in (LEAST_SUM, -1, 0, 1, GREATEST_SUM):
        assert rounded(Fraction(scale) * value) == 0
        assert found.apply(np.array([value])).tolist() == [7]


def test_multipliers_that_round_up_to_a_power_of_two_shift_less():
    assert multiplier_and_shift(np.nextafter(1.0, 0)) == (2**15, 15)
    assert multiplier_and_shift(1.0) == (2**15, 15)
    values = [LEAST_SUM, -1, 0, 1, GREATEST_SUM]
    assert Requantiser.from_scale(1.0, 0, LEAST_SUM, GREATEST_SUM).apply(np.array(values)).tolist() == values


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf"), 32767.9, 1e9])
def test_scales_out_of_range_are_refused(scale):
    with pytest.raises(PlanError, match="requantisation by"):
        Requantiser.from_scale(scale, 0, -32768, 32767)


@pytest.mark.parametrize("scale", [32767.6, 1e9, 1e300])
@pytest.mark.parametrize("code", [(0, 0, 255), (0, -127, 127), (200, 0, 255), (0, -32767, 32767)])
def test_scales_too_large_leave_narrow_codes_as_exact_rounding_does(scale, code):
    zero, low, high = code
    found = Requantiser.from_scale(scale, *code)
    for value in (LEAST_SUM, -2, -1, 0, 1, 2, GREATEST_SUM):
        assert found.apply(np.array([value])).tolist() == [clamp(rounded(Fraction(scale) * value) + zero, low, high)]


@pytest.mark.parametrize(
    "values",
    [((), (), 0, 0, 1), ((1,), (1,), 0, 0, 1), ((2**16,), (1,), 0, 0, 1), ((2**15,), (0,), 0, 0, 1),
     ((2**15,), (48,), 0, 0, 1), ((2**15,), (1, 1), 0, 0, 1), ((2**15,), (1,), 0, 2, 1), ((2**15,), (1,), 0, 0, 2**31),
     ((2**15,), (1,), 2**31, 0, 1)],
)  # fmt: skip
def test_values_out_of_range_are_refused(values):
    with pytest.raises(PlanError):
        Requantiser(*values)


@MANY
@given(st.tuples(multipliers, st.integers(1, 47)), st.tuples(sums, sums))
def test_overflow_is_found_exactly(pair, limits):
    least, most = min(limits), max(limits)
    found = Requantiser((pair[0],), (pair[1],), 0, 0, 255).overflows([(least, most)])
    words = [value * pair[0] + extra for value in (least, most) for extra in (0, 1 << (pair[1] - 1))]
    fits = all(-(2**47) <= word < 2**47 for word in words)
    assert (found is None) == fits


def test_channels_have_multipliers_of_their_own():
    found = Requantiser.from_scale([1.0, 0.5, 0.25], 1, -100, 100)
    given_sums = np.full((2, 3, 2), 10)
    assert found.apply(given_sums)[1, :, 1].tolist() == [11, 6, 4]
    assert found.apply(given_sums.transpose(0, 2, 1), axis=2)[0, 0].tolist() == [11, 6, 4]
    assert found.scales == (1.0, 0.5, 0.25)
    assert found.overflows([(0, 1), (0, 1), (LEAST_SUM, GREATEST_SUM)]) is None


def test_limits_only_get_narrower():
    found = Requantiser.from_scale(1.0, 3, 0, 15)
    assert (found.clamped(3, 100).low, found.clamped(3, 100).high) == (3, 15)
    assert (found.clamped(20, 30).low, found.clamped(20, 30).high) == (15, 15)


@MANY
@given(
    st.tuples(st.floats(1e-4, 8.0), st.floats(1e-4, 8.0)),
    st.tuples(st.integers(0, 255), st.integers(-127, 127)),
    st.tuples(st.integers(0, 255), st.integers(-128, 127)),
    codes,
)
def test_additions_are_within_half_a_code_of_the_exact_sum(ratios, zeros, pair, code):
    zero, low, high = code
    addition = Addition.from_scales(ratios, zeros, zero, LEAST_SUM, GREATEST_SUM)
    steps = [value - z for value, z in zip(pair, zeros, strict=True)]
    exact = sum(Fraction(r) * s for r, s in zip(ratios, steps, strict=True))
    slack = Fraction(max(ratios)) * Fraction(RELATIVE_ERROR) * sum(map(abs, steps))
    got = int(addition.apply(np.array([pair[0]]), np.array([pair[1]]))[0])
    assert abs(got - zero - exact) <= Fraction(1, 2) + slack
    narrow = Addition.from_scales(ratios, zeros, zero, low, high)
    assert narrow.apply(np.array([pair[0]]), np.array([pair[1]])).tolist() == [clamp(got, low, high)]
    defined = rounded(Fraction(sum(m * s for m, s in zip(addition.multipliers, steps, strict=True)), 2**addition.shift))
    assert got == clamp(defined + zero, LEAST_SUM, GREATEST_SUM)


def test_additions_of_nothing_and_of_wrong_kinds():
    assert Addition.from_scales((0.0, 0.0), (0, 0), 5).apply(np.array([9]), np.array([9])).tolist() == [5]
    with pytest.raises(PlanError, match="two operands"):
        Addition((0, 0), (2**15, -1), 1, 0, 0, 1)
    with pytest.raises(PlanError, match="requantisation by"):
        Addition.from_scales((1e9, 1.0), (0, 0), 0, -40000, 40000)


@pytest.mark.parametrize("scales", [(1e9, 1.0), (1e9, 1e9), (3.0, 1e5), (1e300, 1e-300)])
def test_additions_in_codes_of_no_range_leave_it_or_cancel(scales):
    found = Addition.from_scales(scales, (0, 0), 3, 0, 255)
    greater = scales.index(max(scales))
    for value in (-200, -1, 1, 200):
        pair = [np.array([0]), np.array([0])]
        pair[greater] = np.array([value])
        assert found.apply(*pair).tolist() == [255 if value > 0 else 0]
    assert found.apply(np.array([0]), np.array([0])).tolist() == [3]
    assert Addition.from_scales((1e9, 1e9), (0, 0), 3, 0, 255).apply(np.array([7]), np.array([-7])).tolist() == [3]
