"""Words mean what their format says: against Python's struct, numpy's own types, and exact fractions."""

import bisect
import itertools
import struct
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import ConfigError, DataError
from laxity.faults import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, FloatLayout, IntegerLayout, ListedLayout
from laxity.kernels.floats import FloatFormat
from laxity.kernels.hybrid import HybridFormat

E4M3 = FloatLayout(4, 3, specials="nan")
E5M2 = FloatLayout(5, 2)
E2M1 = FloatLayout(2, 1, specials="none")
SMALL = [
    E4M3,
    E5M2,
    E2M1,
    FloatLayout(3, 2, specials="none"),
    FloatLayout(4, 3, specials="nan", subnormals=False),
    FloatLayout(5, 2, bias=11),
    FloatLayout(4, 0, specials="nan"),
    FloatLayout(7, 0, specials="none", subnormals=False),
    FloatLayout(2, 5, specials="ieee", subnormals=False),
]
WIDE = [(FLOAT16, np.float16, "e"), (FLOAT32, np.float32, "f"), (FLOAT64, np.float64, "d")]


def fraction_of(layout, word):
    """Value of a word by the definition in exact fractions; None for NaN, "inf" and "-inf"."""
    e, m = layout.exponent_bits, layout.mantissa_bits
    sign = -1 if word >> (e + m) & 1 else 1
    field, mantissa = word >> m & (2**e - 1), word & (2**m - 1)
    bias = 2 ** (e - 1) - 1 if layout.bias is None else layout.bias
    if layout.specials == "ieee" and field == 2**e - 1:
        return None if mantissa else sign * float("inf")
    if layout.specials == "nan" and field == 2**e - 1 and mantissa == 2**m - 1:
        return None
    if field == 0:
        return sign * Fraction(mantissa, 2**m) * Fraction(2) ** (1 - bias) if layout.subnormals else Fraction(0)
    return sign * (1 + Fraction(mantissa, 2**m)) * Fraction(2) ** (field - bias)


def all_words(layout):
    return np.arange(2**layout.width_bits, dtype=np.uint32)


@pytest.mark.parametrize("layout", SMALL, ids=repr)
def test_all_words_of_small_floats(layout):
    for word, value in enumerate(layout.values(all_words(layout)).tolist()):
        expected = fraction_of(layout, word)
        assert np.isnan(value) if expected is None else value == float(expected)


@pytest.mark.parametrize("layout", SMALL, ids=repr)
def test_the_nearest_word_ties_to_even(layout):
    """Against all finite values in exact fractions, at the values, between them, and beyond."""
    finite = {}
    for word in range(2**layout.width_bits):
        value = fraction_of(layout, word)
        if isinstance(value, Fraction) and not (value == 0 and word):
            finite[value] = word
    ordered = sorted(finite)
    pairs = list(itertools.pairwise(ordered))
    between = [a + (b - a) * share for a, b in pairs for share in (Fraction(3, 8), Fraction(1, 2), Fraction(5, 8))]
    for x in [*ordered, *between, 10 * ordered[0], 10 * ordered[-1]]:
        place = bisect.bisect(ordered, x)
        around = ordered[max(place - 2, 0) : place + 2]
        nearest = [v for v in around if abs(v - x) == min(abs(u - x) for u in around)]
        if len(nearest) == 2 and layout.mantissa_bits:  # without mantissa, the lowest bit is the exponent's
            nearest = [v for v in nearest if not finite[v] & 1]
        assert fraction_of(layout, int(layout.words(float(x)))) in nearest, x


@pytest.mark.parametrize("layout", SMALL, ids=repr)
def test_finite_words_come_back(layout):
    words = all_words(layout)
    values = layout.values(words)
    kept = np.isfinite(values)
    if not layout.subnormals:
        kept &= (values != 0) | (words & (2 ** (layout.width_bits - 1) - 1) == 0)
    assert np.array_equal(layout.words(values[kept], np.uint32), words[kept])


def test_published_extremes_of_small_formats():
    """OCP 8-bit Floating Point and Microscaling Formats specifications, revision 1.0."""
    assert E4M3.values(np.array([0x7E, 0x08, 0x01], np.uint8)).tolist() == [448, 2**-6, 2**-9]
    assert E5M2.values(np.array([0x7B, 0x04, 0x01], np.uint8)).tolist() == [57344, 2**-14, 2**-16]
    assert (E4M3.max_value, E5M2.max_value, E2M1.max_value) == (448, 57344, 6)
    assert np.isnan(E4M3.values(np.array([0x7F, 0xFF], np.uint8))).all()
    assert E5M2.values(np.array([0x7C, 0xFC], np.uint8)).tolist() == [np.inf, -np.inf]
    assert E2M1.values(np.arange(8, dtype=np.uint8)).tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]


@pytest.mark.parametrize("subnormals", [True, False])
@pytest.mark.parametrize("specials", ["ieee", "nan", "none"])
@pytest.mark.parametrize("mantissa", [1, 3, 7, 10])
@pytest.mark.parametrize("exponent", [2, 4, 5, 7])
def test_small_floats_agree_with_the_formats_that_layers_compute_in(exponent, mantissa, specials, subnormals):
    bias = 2 ** (exponent - 1) + 1
    form = FloatFormat(exponent, mantissa, bias, specials, subnormals)
    layout = FloatLayout(exponent, mantissa, bias, specials, subnormals)
    words = np.arange(2**form.bits) if form.bits <= 12 else np.random.default_rng(1).integers(0, 2**form.bits, 4000)
    expected = form.decode(torch.from_numpy(words)).double().numpy()
    assert np.array_equal(layout.values(words.astype(np.uint32)), expected, equal_nan=True)
    assert (layout.width_bits, layout.max_value) == (form.bits, form.max_value)


@pytest.mark.parametrize(("layout", "dtype", "code"), WIDE)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_ieee_words(layout, dtype, code, data):
    word = data.draw(st.integers(0, 2**layout.width_bits - 1))
    unsigned = np.dtype(f"u{layout.width_bits // 8}")
    expected = struct.unpack(f"<{code}", word.to_bytes(layout.width_bits // 8, "little"))[0]
    words = np.array([word], unsigned)
    (value,) = layout.values(words).tolist()
    assert value == expected or (np.isnan(value) and np.isnan(expected))
    if np.isfinite(expected):
        assert layout.words([value], unsigned).tolist() == [word]
        if abs(expected) < layout.max_value:
            assert layout.spacing(words)[0] == float(np.spacing(abs(dtype(expected))))
    else:
        assert np.isnan(layout.spacing(words)[0])


@pytest.mark.parametrize(("layout", "dtype", "code"), WIDE)
@settings(max_examples=150, deadline=None)
@given(value=st.floats(allow_nan=False))
def test_numbers_are_rounded_as_numpy_rounds_them(layout, dtype, code, value):
    top = float(np.finfo(dtype).max)
    expected = dtype(min(max(value, -top), top))
    found = layout.words(value, np.dtype(f"u{layout.width_bits // 8}"))
    assert found.view(dtype) == expected
    assert np.signbit(found.view(dtype)) == np.signbit(expected)


def test_bfloat16_is_the_upper_half_of_float32():
    words = np.arange(2**16, dtype=np.uint32)
    expected = (words << 16).view(np.float32)
    numbers = ~np.isnan(expected)
    assert np.array_equal(np.isnan(BFLOAT16.values(words)), ~numbers)
    assert np.array_equal(BFLOAT16.values(words[numbers]), expected[numbers].astype(np.float64))
    values = torch.randn(500, generator=torch.Generator().manual_seed(0))
    rounded = values.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(BFLOAT16.words(values.numpy(), np.uint16), rounded)


@pytest.mark.parametrize(("layout", "dtype", "code"), WIDE)
def test_extreme_words_of_ieee_formats(layout, dtype, code):
    unsigned = np.dtype(f"u{layout.width_bits // 8}")
    found = np.array([layout.zero_word, layout.largest_word, layout.lowest_word]).astype(unsigned).view(dtype)
    assert found.tolist() == [0.0, np.finfo(dtype).max, np.finfo(dtype).min]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("zero", [0, 3, 200])
def test_all_integer_words(signed, zero):
    layout = IntegerLayout(8, signed, zero)
    words = np.arange(256, dtype=np.uint16)
    plain = [-(w & 127) if signed and w >> 7 else w & (127 if signed else 255) for w in words.tolist()]
    assert layout.values(words).tolist() == [code - zero for code in plain]
    assert (layout.form, layout.width_bits) == ("sign_magnitude" if signed else "unsigned", 8)
    back = layout.words(layout.values(words), np.uint16)
    assert back.tolist() == [0 if signed and w == 128 else w for w in words.tolist()]
    assert int(layout.zero_word) == (min(zero, 127) if signed else zero)
    assert int(layout.largest_word) == (127 if signed else 255)
    assert int(layout.lowest_word) == (255 if signed else 0)
    assert layout.spacing(words).tolist() == [1.0] * 256


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(2, 16), st.booleans(), st.integers(0, 3))
def test_numbers_go_to_the_nearest_code(value, bits, signed, zero):
    layout = IntegerLayout(bits, signed, zero)
    codes = range(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1)) if signed else range(2**bits)
    found = layout.values(np.atleast_1d(layout.words(value)))[0]
    near = [c for c in {codes[0], codes[-1], *(int(np.floor(value)) + zero + d for d in (-1, 0, 1, 2))} if c in codes]
    assert abs(found - value) == min(abs(c - zero - value) for c in near)


def test_each_word_can_have_its_own_zero_point():
    layout = IntegerLayout(8, zero=np.array([3, 200, 0, 255]))
    words = np.array([3, 3, 7, 250], np.uint8)
    assert layout.values(words).tolist() == [0, -197, 7, -5]
    assert layout.zero_word.tolist() == [3, 200, 0, 255]
    assert layout.words([300, -300, 2.4, -2.6]).tolist() == [255, 0, 2, 252]
    assert layout.largest_word.tolist() == [255] * 4
    some = np.array([3, 1])
    assert layout.at(some).values(words[some]).tolist() == [-5, -197]
    with pytest.raises(DataError, match=r"2 words .* zero-points of 4; take the layout of these words, layout\.at"):
        layout.values(words[some])
    same = IntegerLayout(8, zero=7)
    assert same.at(some) is same
    assert FLOAT32.at(some) is FLOAT32


HYBRID = [HybridFormat(), HybridFormat(3, 2, "negative"), HybridFormat(4, 0), HybridFormat(3, 1, signed=False)]


@pytest.mark.parametrize("form", HYBRID, ids=repr)
def test_listed_values(form):
    listed = form.decode(torch.arange(2**form.bits)).double().numpy()
    layout = ListedLayout(listed)
    words = all_words(layout)
    assert (layout.form, layout.width_bits) == ("listed", form.bits)
    assert np.array_equal(layout.values(words), listed)
    assert np.array_equal(layout.values(layout.words(listed)), listed)
    assert listed[layout.zero_word] == 0
    assert (listed[layout.largest_word], listed[layout.lowest_word]) == (listed.max(), listed.min())
    for x in np.random.default_rng(2).standard_normal(300) * form.max_value:
        assert abs(listed[layout.words(x)] - x) == np.abs(listed - x).min()
    magnitudes = np.unique(np.abs(listed))
    for word, step in enumerate(layout.spacing(words)):
        place = int(np.searchsorted(magnitudes, abs(listed[word])))
        up = place + 1 if place + 1 < len(magnitudes) else place - 1
        assert step == abs(magnitudes[up] - magnitudes[place])


def test_between_two_listed_values_the_smaller_magnitude_is_nearest():
    layout = ListedLayout(np.array([-2.0, 0.0, np.nan, 1.0]))
    assert layout.words([-1.0, 0.5, -1.01, 0.51, 9.0, -np.inf]).tolist() == [1, 1, 0, 3, 3, 0]
    assert np.isnan(layout.spacing(np.array([2], np.uint8))[0])


@pytest.mark.parametrize(
    "layout", [FLOAT32, IntegerLayout(8), ListedLayout(np.array([0.0, 1.0]))], ids=lambda x: x.form
)
def test_nan_has_no_nearest_word(layout):
    with pytest.raises(DataError, match="NaN has no nearest word"):
        layout.words([1.0, np.nan])


@pytest.mark.parametrize("layout", [E4M3, IntegerLayout(8), ListedLayout(np.zeros(256))], ids=lambda x: x.form)
def test_words_that_are_too_wide_are_refused(layout):
    with pytest.raises(DataError, match="word 256 has more than 8 bits"):
        layout.values(np.array([3, 256], np.uint16))


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: IntegerLayout(0), "1 to 32 bits, not 0"),
        (lambda: IntegerLayout(1, True), "2 to 32 bits, not 1"),
        (lambda: IntegerLayout(33), "not 33"),
        (lambda: FloatLayout(1, 3), "not 1 and 3"),
        (lambda: FloatLayout(12, 3), "not 12 and 3"),
        (lambda: FloatLayout(8, 53), "not 8 and 53"),
        (lambda: FloatLayout(4, 3, specials="inf"), "cannot be 'inf'"),
        (lambda: FloatLayout(4, 0), "cannot be 'ieee' with 0 mantissa bits"),
        (lambda: ListedLayout(np.zeros(3)), "power of two of them, not 3"),
        (lambda: ListedLayout(np.full(4, np.nan)), "power of two"),
    ],
)
def test_layouts_that_cannot_be(make, fragment):
    with pytest.raises(ConfigError, match=fragment):
        make()
