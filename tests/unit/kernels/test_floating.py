"""Sums of floating-point products against fractions, with exact and approximate significands."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import catalogue
from laxity.circuits.wide import ComposedMultiplier, core
from laxity.core.errors import PlanError
from laxity.kernels import Geometry
from laxity.kernels.fixed_point import FixedPointProducts
from laxity.kernels.floating import FloatProducts
from laxity.kernels.floats import FloatFormat
from laxity.kernels.mantissa import PairProduct, mantissa_terms
from laxity.kernels.products import WeightOperand

E4M3, E5M2 = FloatFormat(4, 3, 7, "nan"), FloatFormat(5, 2, 15)
E2M1, BF16, FP16 = FloatFormat(2, 1, 1, "none"), FloatFormat(8, 7, 127), FloatFormat(5, 10, 15)
POINT = Geometry((1,), (1,), 1)


def draw(form, shape, seed, spread=None):
    """Values of a format: all finite words alike, or exponents within `spread` of 0."""
    generator = torch.Generator().manual_seed(seed)
    if spread is not None:
        exponents = (torch.rand(shape, generator=generator) * 2 - 1) * spread
        return form.round(torch.randn(shape, generator=generator) * torch.exp2(exponents))
    values = form.decode(torch.randint(0, 1 << form.bits, shape, generator=generator))
    return torch.where(values.isfinite(), values, 0.0)


def split(form, value):
    """Significand and exponent of a value from its word, by the definition of the format."""
    word = int(form.encode(torch.tensor([value]))[0])
    field = (word >> form.mantissa_bits) & ((1 << form.exponent_bits) - 1)
    whole = (word & ((1 << form.mantissa_bits) - 1)) | ((field > 0) << form.mantissa_bits)
    return whole, max(field, 1) - form.bias - form.mantissa_bits


def product(left, right, a, w, multiplier=None):
    """One product as a fraction."""
    if a == 0 or w == 0:
        return Fraction(0)
    if multiplier is None:
        return Fraction(a) * Fraction(w)
    (x, ex), (y, ey) = split(left, a), split(right, w)
    up = multiplier.a_bits - left.significand_bits, multiplier.b_bits - right.significand_bits
    if multiplier.a_bits > 10:
        whole = int(multiplier.product(np.array([x << up[0]]), np.array([y << up[1]]))[0])
    else:
        whole = int(multiplier.table[x << up[0], y << up[1]])
    sign = -1 if (a < 0) != (w < 0) else 1
    return sign * Fraction(whole) * Fraction(2) ** (ex + ey - sum(up))


def sums(left, right, a, w, multiplier=None):
    """Fractions of the matrix product (M, K) by (K, N), and the sums of magnitudes."""
    rows, columns = a.tolist(), w.T.tolist()
    terms = [[[product(left, right, x, y, multiplier) for x, y in zip(r, c, strict=True)] for c in columns]
             for r in rows]  # fmt: skip
    return [[sum(t) for t in row] for row in terms], [[sum(map(abs, t)) for t in row] for row in terms]


NAMES = ["dadda8", "drum8_4", "optrunc8_3", "udm8", "mitchell8", "drum11_4", "mitchell12"]


def kernel_of(left, right, name=None):
    multiplier = None if name is None else core(name)
    terms = None if name is None else mantissa_terms(multiplier, left.significand_bits, right.significand_bits)
    return FloatProducts(left, right, terms), multiplier


@pytest.mark.parametrize("pair", [(E4M3, E4M3), (E2M1, E2M1), (E4M3, E2M1), (E5M2, E4M3)], ids=str)
@pytest.mark.parametrize("name", [None, *NAMES])
def test_small_formats_are_summed_exactly(pair, name):
    left, right = pair
    kernel, multiplier = kernel_of(left, right, name)
    a, w = draw(left, (4, 9), 1), draw(right, (9, 5), 2)
    wanted, _ = sums(left, right, a, w, multiplier)
    got = kernel.matmul(a, w)
    assert got.tolist() == [[float(v) for v in row] for row in wanted]
    operand = kernel.prepare(w.T[:, :, None].contiguous())
    assert torch.equal(kernel.convolve(a[:, :, None], operand, POINT)[:, :, 0], got)


@pytest.mark.parametrize("pair", [(BF16, BF16), (FP16, FP16), (BF16, E5M2), (FP16, E4M3)], ids=str)
@pytest.mark.parametrize("name", [None, "drum11_4", "udm16"])
@pytest.mark.parametrize("spread", [None, 12])
def test_wide_formats_are_summed_to_the_last_bits_of_float64(pair, name, spread):
    left, right = pair
    kernel, multiplier = kernel_of(left, right, name)
    a, w = draw(left, (3, 30), 3, spread), draw(right, (30, 4), 4, spread)
    wanted, sizes = sums(left, right, a, w, multiplier)
    got = kernel.matmul(a, w)
    for i, j in itertools.product(range(3), range(4)):
        assert abs(Fraction(float(got[i, j])) - wanted[i][j]) <= sizes[i][j] * Fraction(1, 2**50)


def test_significands_by_look_up_in_bfloat16():
    multiplier = core("mitchell8")
    kernel = FloatProducts(BF16, BF16, mantissa_terms(multiplier, 8, 8), PairProduct(BF16, BF16, multiplier))
    assert kernel.describe() == "floating-point products, significands by look-up"
    a, w = draw(BF16, (2, 8), 5, 6), draw(BF16, (8, 3), 6, 6)
    wanted, sizes = sums(BF16, BF16, a, w, multiplier)
    got = kernel.matmul(a, w)
    for i, j in itertools.product(range(2), range(3)):
        assert abs(Fraction(float(got[i, j])) - wanted[i][j]) <= sizes[i][j] * Fraction(1, 2**50)
    native, _ = kernel_of(BF16, BF16, "mitchell8")
    assert torch.equal(native.matmul(a, w), got)
    x, weight = draw(BF16, (2, 4, 5, 5), 7, 8), draw(BF16, (6, 2, 3, 3), 8, 8)
    geometry = Geometry((2, 1), (1, 1), 2)
    quick = kernel.convolve(x, kernel.prepare(weight), geometry)
    assert torch.equal(native.convolve(x, native.prepare(weight), geometry), quick)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 1000), groups=st.integers(1, 3), fixed=st.booleans(), name=st.sampled_from([None, "drum8_4"])
)
def test_neither_batch_nor_order_show(seed, groups, fixed, name):
    """Samples alone, the batch, and the batch with all channels of a group permuted give the same bits."""
    if fixed:
        kernel = FixedPointProducts(PairProduct(BF16, BF16, name and core(name)), 23, -1000)
    else:
        kernel, _ = kernel_of(BF16, BF16, name)
    x = draw(BF16, (3, 4 * groups, 5, 5), seed, 20)
    weight = draw(BF16, (2 * groups, 4, 3, 3), seed + 1, 10)
    geometry = Geometry((1, 2), (1, 1), groups)
    operand = kernel.prepare(weight)
    whole = kernel.convolve(x, operand, geometry)
    alone = torch.cat([kernel.convolve(sample[None], operand, geometry) for sample in x])
    assert torch.equal(whole, alone)
    order = torch.tensor([2, 0, 3, 1])
    mixed = x.reshape(3, groups, 4, 5, 5)[:, :, order].reshape(x.shape)
    assert torch.equal(kernel.convolve(mixed, kernel.prepare(weight[:, order]), geometry), whole)


def test_values_that_are_not_finite_spread_as_in_ieee():
    kernel, _ = kernel_of(BF16, BF16)
    a = torch.tensor([[1.0, 2.0**-60, torch.inf], [0.0, 2.0**40, 1.0], [torch.nan, 1.0, 1.0]])
    w = torch.tensor([[1.0, 2.0**-40], [2.0**30, 1.0], [-1.0, 0.0]])
    got = kernel.matmul(a, w)
    assert got[0, 0] == -torch.inf
    assert got[0, 1].isnan()
    assert got[1].tolist() == [2.0**70 - 1, 2.0**40]
    assert got[2].isnan().all()


def test_zeros_and_empty_operands():
    kernel, _ = kernel_of(BF16, BF16, "mitchell8")
    assert not kernel.matmul(torch.zeros(2, 3), torch.zeros(3, 2)).any()
    assert kernel.matmul(torch.zeros(0, 3), torch.ones(3, 2)).shape == (0, 2)
    assert not kernel.matmul(torch.ones(2, 3), torch.zeros(3, 2)).any()


def test_an_operand_of_zero_gives_zero_whatever_the_circuit_says():
    table = np.full((16, 16), 3)
    noisy = catalogue.get("dadda4").from_table(table, a_signed=False, b_signed=False, name="noisy")
    kernel = FloatProducts(E4M3, E4M3, mantissa_terms(noisy, 4, 4))
    got = kernel.matmul(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0], [1.0]]))
    assert got.item() == 3 / 64
    assert PairProduct(E4M3, E4M3, noisy)(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 1.0])).tolist() == [0, 3 / 64]


def truncated(values, fraction_bits):
    """Sum of fractions cut toward zero, as a fraction."""
    unit = Fraction(1, 2**fraction_bits)
    return sum(int(v / unit) * unit for v in values)


@pytest.mark.parametrize("pair", [(E4M3, E4M3), (BF16, E4M3), (FP16, FP16)], ids=str)
@pytest.mark.parametrize("name", [None, "drum11_4"])
@pytest.mark.parametrize("bits", [4, 23])
def test_fixed_point_is_cut_product_by_product(pair, name, bits):
    left, right = pair
    multiplier = None if name is None else core(name)
    kernel = FixedPointProducts(PairProduct(left, right, multiplier), bits, left.quantum + right.quantum)
    a, w = draw(left, (3, 20), 7, 5), draw(right, (20, 4), 8, 3)
    wanted = [
        [float(truncated([product(left, right, x, y, multiplier) for x, y in zip(r, c, strict=True)], bits))
         for c in w.T.tolist()] for r in a.tolist()
    ]  # fmt: skip
    assert kernel.matmul(a, w).tolist() == wanted
    operand = kernel.prepare(w.T[:, :, None].contiguous())
    assert kernel.convolve(a[:, :, None], operand, POINT)[:, :, 0].tolist() == wanted


def test_fixed_point_by_magnitude_equals_pairs(monkeypatch):
    kernel = FixedPointProducts(PairProduct(None, None, None), 23, -1000)
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    weight = draw(E2M1, (6, 2, 3, 3), 9)
    geometry = Geometry((1, 1), (1, 1), 2)
    operand = kernel.prepare(weight)
    quick = kernel.convolve(x, operand, geometry)
    monkeypatch.setattr("laxity.kernels.fixed_point._MOST_MAGNITUDES", 0)
    assert torch.equal(kernel.convolve(x, operand, geometry), quick)


def test_fixed_point_beyond_float64_and_wrap():
    kernel = FixedPointProducts(PairProduct(None, None, None), 23, -1000)
    a = torch.tensor([[2.0**38, 2.0**38 + 2.0**15, 2.0**-23, -(2.0**-23)]])
    w = torch.tensor([[1.0], [-1.0], [1.0], [0.5]])
    operand = kernel.prepare(w.T[:, :, None].contiguous())
    assert kernel.convolve(a[:, :, None], operand, POINT).item() == -(2.0**15) + 2.0**-23
    assert kernel.matmul(a, w).item() == -(2.0**15) + 2.0**-23
    # Products stay at 2^62 units; four of them wrap to zero.
    assert kernel.matmul(torch.full((1, 4), 2.0**100), torch.ones(4, 1)).item() == 0.0
    assert kernel.matmul(torch.full((1, 3), 2.0**100), torch.ones(3, 1)).item() == -(2.0**39)
    assert kernel.matmul(torch.tensor([[torch.nan, 1.0]]), torch.ones(2, 1)).item() == 1.0


def test_significands_that_do_not_fit_are_refused():
    with pytest.raises(PlanError, match=r"significands of 8 x 4 bits .* do not fit multiplier 'drum4_3' \(4 x 4\)"):
        mantissa_terms(core("drum4_3"), 8, 4)
    with pytest.raises(PlanError, match="cannot be multiplied by parts of 'drum4_3'"):
        mantissa_terms(ComposedMultiplier(catalogue.get("drum4_3")), 8, 4)


def test_weights_must_be_prepared():
    kernel, _ = kernel_of(BF16, BF16)
    with pytest.raises(PlanError, match="must come from their own prepare"):
        kernel.convolve(torch.zeros(1, 1, 1), WeightOperand(torch.zeros(1), (1, 1, 1), 0.0), POINT)


def test_kernels_name_themselves():
    assert kernel_of(BF16, BF16)[0].describe() == "exact floating-point products"
    assert kernel_of(BF16, BF16, "dadda8")[0].describe() == "exact floating-point products"
    assert kernel_of(BF16, BF16, "drum8_4")[0].describe() == "floating-point products, significands by 1 integer term"
    fixed = FixedPointProducts(PairProduct(None, None, None), 23, 0)
    assert fixed.describe() == "fixed-point accumulator of 64 bits in units of 1.19209e-07"
