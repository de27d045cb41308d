"""Weight formats of hybrid dot products against their published properties and slow arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import DataError, PlanError
from laxity.kernels import Geometry
from laxity.kernels.fixed_point import FixedPointProducts
from laxity.kernels.hybrid import HybridFormat
from laxity.kernels.mantissa import PairProduct

HF6 = HybridFormat()
LOG6 = HybridFormat(5, 0)
POSITIVE = HybridFormat(4, 1, "negative", signed=False)
FORMATS = st.builds(
    HybridFormat,
    st.integers(2, 6),
    st.integers(0, 4),
    st.sampled_from(["balanced", "negative"]),
    st.sampled_from(["half_up", "truncate"]),
    st.booleans(),
)


def span(form):
    """Smallest and largest exponent by the definition."""
    full = 2 ** (form.exponent_bits - 1) - 1
    return (-full, full) if form.exponents == "balanced" else (2 - 2**form.exponent_bits, 0)


def slow(form, x):
    """The quantiser as published, in fractions."""
    value = Fraction(x)
    sign = -1 if value < 0 else 1
    value = abs(value)
    if value == 0 or (sign < 0 and not form.signed):
        return 0.0
    low, high = span(form)
    exponent = math.floor(math.log2(value)) if value >= Fraction(1, 2**200) else -200
    exponent += (Fraction(2) ** (exponent + 1) <= value) - (Fraction(2) ** exponent > value)
    if exponent < low:
        return 0.0
    steps = value / Fraction(2) ** exponent * 2**form.mantissa_bits
    steps = math.floor(steps + (Fraction(1, 2) if form.rounding == "half_up" else 0))
    top = Fraction(2) ** high * (2 - Fraction(1, 2**form.mantissa_bits))
    return sign * float(min(steps * Fraction(2) ** (exponent - form.mantissa_bits), top))


def test_hf6_is_the_published_set():
    x = torch.cat([torch.linspace(-300, 300, 200_001), torch.randn(100_000) * 1e-2])
    powers = {s * m * 2.0**e for s in (-1, 1) for m in (1.0, 1.5) for e in range(-7, 8)}
    assert set(HF6.round(x).unique().tolist()) == powers | {0.0}
    assert (HF6.bits, LOG6.bits, HybridFormat(4, 0, signed=False).bits) == (6, 6, 4)


@settings(deadline=None, max_examples=80)
@given(form=FORMATS, seed=st.integers(0, 10**6))
def test_rounding_equals_the_published_algorithm(form, seed):
    generator = torch.Generator().manual_seed(seed)
    low, high = span(form)
    exponents = torch.rand(60, generator=generator) * (high - low + 4) + low - 2
    x = torch.exp2(exponents) * torch.where(torch.rand(60, generator=generator) < 0.5, -1.0, 1.0)
    edges = [0.0, 2.0**low, 2.0**high * 1.999, 2.0**low * 0.999, 3 * 2.0 ** (low - 1), 1e30, -1e30]
    x = torch.cat([x, torch.tensor(edges)])
    got = form.round(x)
    assert got.tolist() == [slow(form, v) for v in x.tolist()]
    assert torch.equal(form.round(got), got)
    ordered = form.round(x.sort().values)
    assert (ordered[1:] >= ordered[:-1]).all()


@settings(deadline=None, max_examples=60)
@given(form=FORMATS)
def test_words_and_held_values_are_the_same(form):
    low, high = span(form)
    values = {0.0}
    for e in range(low, high + 1):
        for m in range(2**form.mantissa_bits):
            values |= {s * 2.0**e * (1 + m / 2**form.mantissa_bits) for s in ((-1, 1) if form.signed else (1,))}
    every = torch.tensor(sorted(values))
    held = form.held(form.round(every))
    assert torch.equal(form.decode(form.encode(held)), held)
    words = form.encode(held)
    assert words.max() < 1 << form.bits
    assert words.min() >= 0
    distinct = len(words.unique())
    assert distinct == len(values) - (0 if form.exponents == "negative" or not form.mantissa_bits else 1 + form.signed)


def test_the_single_subnormal_is_read_as_a_normal_value():
    """7.8e-3 is computed with as 1.17e-2, an error of 2^-8 = 3.9e-3."""
    smallest = torch.tensor([2.0**-7, -(2.0**-7), 2.0**-6])
    held = HF6.held(HF6.round(smallest))
    assert held.tolist() == [1.5 * 2.0**-7, -1.5 * 2.0**-7, 2.0**-6]
    assert float(held[0] - smallest[0]) == 2.0**-8
    assert HF6.encode(held).tolist() == [1, 33, 2]
    assert HF6.encode(torch.zeros(1)).item() == 0
    assert LOG6.held(LOG6.round(torch.tensor([2.0**-15]))).item() == 2.0**-15


def test_negative_exponents_hold_the_published_range():
    """Weights of the spike-by-spike networks reach from 2^-13 to 1."""
    exponents = torch.exp2(-torch.arange(14.0))
    assert torch.equal(POSITIVE.round(exponents), exponents)
    assert POSITIVE.bits == 5
    assert POSITIVE.decode(torch.tensor([13 << 1])).item() == 2.0**-13
    assert POSITIVE.round(torch.tensor([-0.5, 0.0])).tolist() == [0.0, 0.0]
    assert POSITIVE.decode(POSITIVE.encode(torch.zeros(1))).item() == 0.0
    assert not POSITIVE.round(torch.tensor([math.nan])).any()


@pytest.mark.parametrize("form", [HF6, LOG6, POSITIVE], ids=lambda f: f.name)
def test_dot_products_equal_float_within_truncation(form):
    """Every product loses less than one unit of 2^-23, always toward zero."""
    generator = torch.Generator().manual_seed(0)
    kernel = FixedPointProducts(PairProduct(None, None, None), 23, -1000)
    h = torch.rand(6, 200, generator=generator)
    w = form.held(form.round(torch.rand(200, 5, generator=generator) * 2 - 0.5))
    got = kernel.convolve(h[:, :, None], kernel.prepare(w.T[:, :, None].contiguous()), Geometry((1,), (1,), 1))[..., 0]
    exact = h.double() @ w.double()
    assert (got - exact).abs().max() <= 200 * 2.0**-23
    products = h.double()[:, :, None] * w.double()
    assert torch.equal(got, (torch.trunc(products * 2**23) / 2**23).sum(1))
    positive = w.clamp_min(1.0)
    large = kernel.matmul(h.clamp_min(0.5), positive)
    float_large = h.clamp_min(0.5).double() @ positive.double()
    assert ((large - float_large).abs() / float_large).max() < 2.0**-22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 1), "S1E1M1 is no hybrid format of 2 to 6 exponent bits"),
        ((4, 8), "S1E4M8 is no hybrid format"),
        ((4, 1, "positive"), "exponents of S1E4M1 cannot be 'positive'; use balanced or negative"),
        ((4, 1, "balanced", "nearest"), "rounding of S1E4M1 cannot be 'nearest'; use half_up or truncate"),
    ],
)
def test_impossible_formats_are_refused(arguments, message):
    with pytest.raises(PlanError, match=message):
        HybridFormat(*arguments)


def test_values_without_a_word_are_not_stored():
    with pytest.raises(DataError, match="values to be stored as S1E4M1 have no word in it"):
        HF6.encode(torch.tensor([1.25]))
    with pytest.raises(DataError, match="round them first"):
        HF6.encode(torch.tensor([2.0**-7]))
