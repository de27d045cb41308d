"""Floating-point formats against torch's own types, published limits, and slow rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import DataError, PlanError
from laxity.kernels.floats import FloatFormat, exponent_of, power_of_two, standard_bias

TORCH = {
    torch.float16: FloatFormat(5, 10, 15, saturate=False),
    torch.bfloat16: FloatFormat(8, 7, 127, saturate=False),
    torch.float8_e5m2: FloatFormat(5, 2, 15, saturate=False),
    torch.float8_e4m3fn: FloatFormat(4, 3, 7, "nan", saturate=False),
}
WORD = {16: torch.int16, 8: torch.uint8}


def named(dtype):
    return str(dtype).removeprefix("torch.")


def interesting(seed=0, count=200_000):
    """float32 values of all exponents, with random and with all but tied mantissas."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32)
    few = (words & 0xFFFF0000) | rng.choice([0, 1, 0x8000, 0x7FFF, 0x8001, 0xFFFF], count).astype(np.uint32)
    near_one = (few & 0x807FFFFF) | (rng.integers(100, 146, count).astype(np.uint32) << 23)
    return torch.from_numpy(np.concatenate([words, few, near_one]).astype(np.uint32).view(np.float32))


@pytest.mark.parametrize("dtype", TORCH, ids=named)
def test_rounding_equals_torch(dtype):
    x = interesting()
    x = x[~x.isnan()]
    if dtype is torch.float8_e4m3fn:
        x = x[x.abs() <= 448]  # what torch makes of larger values depends on its version
    got, wanted = TORCH[dtype].round(x), x.to(dtype).to(torch.float32)
    assert torch.equal(got.isnan(), wanted.isnan())
    assert torch.equal(got.nan_to_num(nan=1.0), wanted.nan_to_num(nan=1.0))
    assert torch.equal(torch.signbit(got), torch.signbit(wanted))


@pytest.mark.parametrize("dtype", TORCH, ids=named)
def test_every_word_equals_torch(dtype):
    form = TORCH[dtype]
    words = torch.arange(1 << form.bits)
    values = form.decode(words)
    wanted = words.to(torch.int32).to(WORD[form.bits]).view(dtype).to(torch.float32)
    assert torch.equal(values.isnan(), wanted.isnan())
    finite = ~wanted.isnan()
    assert torch.equal(values[finite], wanted[finite])
    assert torch.equal(form.encode(values)[finite], words[finite])
    assert torch.equal(form.round(values)[finite], values[finite])


@pytest.mark.parametrize(
    ("form", "largest", "normal", "smallest"),
    [
        # OCP 8-bit Floating Point Specification (OFP8) revision 1.0, table 2.
        (FloatFormat(4, 3, 7, "nan"), 448.0, 2.0**-6, 2.0**-9),
        (FloatFormat(5, 2, 15), 57344.0, 2.0**-14, 2.0**-16),
        # OCP Microscaling Formats (MX) Specification version 1.0, tables for FP6 and FP4.
        (FloatFormat(3, 2, 3, "none"), 28.0, 0.25, 0.0625),
        (FloatFormat(2, 3, 1, "none"), 7.5, 1.0, 0.125),
        (FloatFormat(2, 1, 1, "none"), 6.0, 1.0, 0.5),
        # IEEE 754 binary16.
        (FloatFormat(5, 10, 15), 65504.0, 2.0**-14, 2.0**-24),
    ],
    ids=lambda v: v.name if isinstance(v, FloatFormat) else None,
)
def test_published_limits(form, largest, normal, smallest):
    values = form.decode(torch.arange(1 << form.bits))
    finite = values[values.isfinite()]
    assert form.max_value == finite.max() == largest
    assert finite[finite > 0].min() == smallest == 2.0**form.quantum
    assert 2.0**form.min_exponent == normal
    assert form.round(torch.tensor([1e30, -1e30, math.inf])).tolist() == [largest, -largest, largest]


FORMATS = st.builds(
    lambda e, m, specials, subnormals, shift: FloatFormat(e, m, standard_bias(e) + shift, specials, subnormals),
    st.integers(2, 5),
    st.integers(1, 4),
    st.sampled_from(["ieee", "nan", "none"]),
    st.booleans(),
    st.integers(-3, 3),
)


def slow_values(form):
    """All finite values from zero up, from the definition of the words."""
    found = []
    for field in range(1 << form.exponent_bits):
        if form.specials == "ieee" and field == (1 << form.exponent_bits) - 1:
            continue
        for mantissa in range(1 << form.mantissa_bits):
            last = field == (1 << form.exponent_bits) - 1 and mantissa == (1 << form.mantissa_bits) - 1
            if form.specials == "nan" and last:
                continue
            if field:
                whole = Fraction(mantissa, 1 << form.mantissa_bits) + 1
                found.append((whole * Fraction(2) ** (field - form.bias), mantissa))
            elif form.subnormals or not mantissa:
                found.append((Fraction(mantissa, 1 << form.mantissa_bits) * Fraction(2) ** (1 - form.bias), mantissa))
    return found


@settings(deadline=None, max_examples=40)
@given(form=FORMATS, seed=st.integers(0, 1000))
def test_rounding_equals_rational_search(form, seed):
    values = slow_values(form)
    rng = np.random.default_rng(seed)
    places = rng.integers(0, len(values) - 1, 40)
    exact = [float(values[i][0]) for i in places]
    middles = [float((values[i][0] + values[i + 1][0]) / 2) for i in places]
    noisy = np.exp2(rng.uniform(form.quantum - 2, form.max_exponent + 1, 40))
    x = torch.tensor([*exact, *middles, *noisy.tolist(), 0.0], dtype=torch.float32)
    got = form.round(torch.cat([x, -x])).tolist()
    for given_value, rounded, mirrored in zip(x.tolist(), got[: len(x)], got[len(x) :], strict=True):
        assert rounded == -mirrored
        wanted = Fraction(given_value)
        if not form.subnormals and wanted < Fraction(2) ** form.min_exponent:
            nearly = Fraction(2) ** form.min_exponent - Fraction(2) ** (form.quantum - 1)
            assert rounded == (2.0**form.min_exponent if wanted >= nearly else 0.0)
            continue
        distance = {value: abs(value - wanted) for value, _ in values}
        best = min(distance.values())
        nearest = [(value, mantissa) for value, mantissa in values if distance[value] == best]
        even = [value for value, mantissa in nearest if len(nearest) == 1 or mantissa % 2 == 0]
        assert rounded == float(even[0])


@settings(deadline=None, max_examples=40)
@given(form=FORMATS)
def test_words_and_values_are_the_same(form):
    words = torch.arange(1 << form.bits)
    values = form.decode(words)
    assert sorted({abs(v) for v in values.tolist() if math.isfinite(v)}) == [float(v) for v, _ in slow_values(form)]
    again = form.decode(form.encode(values))
    assert torch.equal(again.nan_to_num(nan=1e30), values.nan_to_num(nan=1e30))
    assert torch.equal(torch.signbit(again), torch.signbit(values))
    whole, powers = form.significands(values)
    finite = values.isfinite()
    assert whole.max() < 1 << form.significand_bits
    assert torch.equal((whole * powers)[finite], values.double()[finite])


def test_overflow_without_saturation():
    assert FloatFormat(5, 2, 15, saturate=False).round(torch.tensor([61440.0, 61439.0, -1e9])).tolist() == [
        math.inf,
        57344.0,
        -math.inf,
    ]
    assert FloatFormat(4, 3, 7, "nan", saturate=False).round(torch.tensor([464.0, 465.0])).isnan().tolist() == [
        False,
        True,
    ]
    assert FloatFormat(4, 3, 7, "nan").round(torch.tensor([math.nan])).isnan().all()


def test_powers_and_exponents():
    exponents = torch.arange(-1022, 1024)
    powers = power_of_two(exponents)
    assert powers.tolist() == [math.ldexp(1.0, int(e)) for e in exponents]
    assert torch.equal(exponent_of(powers * 1.5), exponents)
    assert exponent_of(torch.tensor([0.0, math.inf, math.nan]).double()).tolist() == [-1023, 1024, 1024]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 3, 0), "E1M3 is no format of 2 to 8 exponent bits"),
        ((4, 11, 7), "E4M11 is no format of"),
        ((4, 3, 7, "inf"), "specials of E4M3 cannot be 'inf'; use one of ieee, nan, none"),
        ((4, 0, 7), "E4M0 without mantissa has no word for NaN"),
        ((8, 3, 127, "none"), r"E8M3 with bias 127 reaches from 2\^-126 to 2\^128, beyond float32"),
        ((5, 2, 140), "beyond float32"),
        ((3, 2, 3, "none", True, False), "E3M2 has finite values only, so it must saturate"),
    ],
)
def test_impossible_formats_are_refused(arguments, message):
    with pytest.raises(PlanError, match=message):
        FloatFormat(*arguments)


def test_values_of_another_format_are_not_stored():
    with pytest.raises(DataError, match="values to be stored as E4M3 are not of this format"):
        FloatFormat(4, 3, 7, "nan").encode(torch.tensor([1.0, 1.01]))
    with pytest.raises(DataError, match="round them first"):
        FloatFormat(2, 1, 1, "none").encode(torch.tensor([math.nan]))
