import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.estimate import Basis, Estimate
from laxity.targets.mac_groups import (
    FF_FACTORS,
    FF_FIT,
    LUT_FACTORS,
    LUT_FIT,
    Group,
    Published,
    ff_factor,
    lut_factor,
    most_units,
    totals,
)

PUBLISHED = Published(
    Estimate.point(11490, "LUT", Basis.SCALED, "test"), Estimate.point(5376, "FF", Basis.SCALED, "test")
)
DEVICE = (53_200, 106_400)


def group(lut, ff=40.0):
    units = (Estimate.point(lut, "LUT", Basis.MODELLED, "unit"), Estimate.point(ff, "FF", Basis.MODELLED, "unit"))
    return Group(("site",), *units)


@pytest.mark.parametrize(("table", "fit"), [(LUT_FACTORS, LUT_FIT), (FF_FACTORS, FF_FIT)])
def test_the_linear_fits_are_those_of_least_squares_and_within_seven_percent(table, fit):
    units, factors = np.array(list(table), float), np.array(list(table.values()))
    slope, offset = np.polyfit(units, factors, 1)
    assert fit == pytest.approx((offset, slope), rel=2e-3)
    assert np.abs((fit[0] + fit[1] * units) / factors - 1).max() <= 0.07


def test_factors_come_from_the_table_and_between_its_columns_from_the_fit():
    assert [lut_factor(m) for m in (16, 32, 64, 128, 256)] == [1, 1.2, 1.68, 2.25, 3.78]
    assert [ff_factor(m) for m in (16, 32, 64, 128, 256)] == [1, 1.04, 1.12, 1.28, 1.54]
    assert lut_factor(100) == pytest.approx(0.850 + 1.141)
    assert ff_factor(200) == pytest.approx(0.973 + 0.4506)


@pytest.mark.parametrize("units", LUT_FACTORS)
def test_the_published_unit_gives_the_published_equation(units):
    own = group(PUBLISHED.unit_lut, PUBLISHED.unit_ff)
    assert own.lut(units, PUBLISHED).value == pytest.approx(LUT_FACTORS[units] * 11490)
    assert own.ff(units, PUBLISHED).value == pytest.approx(FF_FACTORS[units] * 5376)


def test_two_groups_of_128_published_units_are_the_published_design():
    own = [group(PUBLISHED.unit_lut, PUBLISHED.unit_ff)] * 2
    lut, ff = totals(own, 128, PUBLISHED)
    assert lut.value == pytest.approx(51_703, rel=1e-3)
    assert ff.value == pytest.approx(13_762, rel=1e-3)
    assert most_units(own, PUBLISHED, DEVICE, 256) == 128
    assert most_units([*own, own[0]], PUBLISHED, DEVICE, 256) == 32


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1, 2000), min_size=1, max_size=5), st.sampled_from([16, 64, 256]))
def test_the_number_of_units_is_the_largest_that_fits(luts, most):
    groups = [group(lut) for lut in luts]
    found = most_units(groups, PUBLISHED, DEVICE, most)

    def fits(units):
        lut = sum(max(0, LUT_FACTORS[units] * 11490 - units * PUBLISHED.unit_lut) + units * g for g in luts)
        ff = sum(FF_FACTORS[units] * 5376 + units * (40 - PUBLISHED.unit_ff) for _ in luts)
        return lut <= DEVICE[0] and ff <= DEVICE[1]

    assert found == max((m for m in LUT_FACTORS if m <= most and fits(m)), default=None)
