"""Coders of floating-point formats: scales, clipping, gradients, stored words."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import catalogue
from laxity.core.errors import DataError, PlanError
from laxity.kernels.floats import FloatFormat
from laxity.techniques.data.floats import (
    FloatInput,
    FloatOperands,
    FloatSums,
    FloatWeight,
    best_shift,
    smallest_scale,
)
from laxity.techniques.data.minifloat import NAMED

E4M3, E5M2, E2M1 = NAMED["e4m3"], NAMED["e5m2"], NAMED["e2m1"]


@settings(deadline=None, max_examples=60)
@given(
    largest=st.floats(2.0**-100, 2.0**100, allow_subnormal=False, width=32),
    name=st.sampled_from(sorted(NAMED)),
    seed=st.integers(0, 99),
)
def test_scale_is_the_smallest_power_of_two_that_clips_nothing(largest, name, seed):
    top = NAMED[name].max_value
    rows = torch.rand(1, 20, generator=torch.Generator().manual_seed(seed)) * largest
    rows[0, 3] = -largest
    scale = float(smallest_scale(rows, top))
    assert math.frexp(scale)[0] == 0.5
    assert float(rows.abs().max()) <= top * scale
    assert float(rows.abs().max()) > top * scale / 2


def test_scale_of_exact_powers_and_of_nothing():
    rows = torch.tensor([[6.0], [12.0], [6.1], [0.0], [3.0]])
    assert smallest_scale(rows, 6.0).tolist() == [1.0, 2.0, 2.0, 1.0, 0.5]


def test_best_shift_is_brute_force():
    rows = torch.randn(5, 400, generator=torch.Generator().manual_seed(0))
    rows[:, 0] = torch.tensor([3.0, 6.0, 10.0, 40.0, 20.0])
    scale = smallest_scale(rows, E2M1.max_value)
    found = best_shift(rows, scale, E2M1)
    assert len(found.unique()) > 1
    for i, row in enumerate(rows):
        errors = {
            h: float(((E2M1.round(row / (scale[i] * h)).double() * scale[i] * h) - row).square().sum())
            for h in (1.0, 0.5, 0.25, 0.125)
        }
        assert errors[float(found[i])] == min(errors.values())


def test_activations_are_torch_casts():
    coder = FloatInput(E4M3, "none", "max")
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 40
    coder.calibrate(x, "site")
    codes = coder.codes(x)
    assert torch.equal(codes, x.to(torch.float8_e4m3fn).to(torch.float32))
    assert torch.equal(coder.represent(x, codes), codes)
    scaled = FloatInput(E4M3, "tensor", "max")
    scaled.calibrate(x, "site")
    s = float(scaled.scale)
    assert s == 2.0 ** math.ceil(math.log2(float(x.abs().max()) / 448))
    assert torch.equal(scaled.codes(x), (x / s).to(torch.float8_e4m3fn).to(torch.float32))
    assert scaled.zero == 0
    assert scaled.holds_nan


def test_gradient_is_one_inside_and_zero_where_clipped():
    coder = FloatInput(E2M1, "none", "max")
    x = torch.tensor([0.1, -0.3, 5.9, 6.0, 6.9, 7.1, -7.1, 100.0, math.inf], requires_grad=True)
    shown = coder.represent(x, coder.codes(x))
    assert shown.tolist() == [0.0, -0.5, 6.0, 6.0, 6.0, 6.0, -6.0, 6.0, 6.0]
    shown.sum().backward()
    # 6.9 rounds to 6 on the format's own grid; from 7 on, the next value would be 8.
    assert x.grad.tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("scaling", ["none", "tensor", "channel"])
@pytest.mark.parametrize("calibration", ["max", "mse"])
@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_values_of_the_format_times_powers_of_two(scaling, calibration, axis):
    weight = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(1)) * 0.2
    weight[1] *= 30
    coder = FloatWeight(E4M3, scaling, calibration, axis, weight.shape[axis])
    coder.calibrate(weight)
    scale, zero = coder.scale_and_zero(weight)
    assert scale.shape == ((weight.shape[axis],) if scaling == "channel" else (1,))
    assert not zero.any()
    assert coder.symmetric
    codes = coder.codes(weight, scale, zero)
    assert torch.equal(codes, E4M3.round(codes))
    shape = [-1 if i == axis and scaling == "channel" else 1 for i in range(3)]
    spread = scale.reshape(shape)
    assert torch.equal(codes, E4M3.round(weight / spread))
    assert torch.equal(coder.represent(weight, codes, scale, zero), codes * spread)
    words = coder.stored(codes)
    assert torch.equal(words, words.round())
    assert words.max() < 256
    assert torch.equal(coder.restored(words), codes)
    assert (coder.bits, coder.stored_signed, coder.form) == (8, False, "8-bit floats E4M3")
    if scaling == "none":
        assert scale.tolist() == [1.0]


def test_weight_gradient_is_masked():
    weight = torch.tensor([[1.0, 500.0], [0.3, -448.0]], requires_grad=True)
    coder = FloatWeight(E4M3, "none", "max", 0, 2)
    scale, zero = coder.scale_and_zero(weight)
    coder.represent(weight, coder.codes(weight, scale, zero), scale, zero).sum().backward()
    assert weight.grad.tolist() == [[1, 0], [1, 1]]


def test_only_formats_without_specials_are_finite():
    assert not FloatWeight(E4M3, "none", "max", 0, 1).finite
    assert FloatWeight(E2M1, "none", "max", 0, 1).finite


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_activations_that_are_not_finite_are_refused(bad):
    with pytest.raises(DataError, match="activations at site 'conv' are not finite"):
        FloatInput(E4M3, "tensor", "max").calibrate(torch.tensor([1.0, bad]), "conv")


def test_operands_choose_kernels():
    def operands(sums):
        return FloatOperands(FloatInput(E5M2, "none", "max"), FloatWeight(E4M3, "none", "max", 0, 1), sums)

    kernel, factor = operands(FloatSums()).products(None, None, "fc")
    assert (kernel.describe(), factor) == ("exact floating-point products", 1.0)
    assert operands(FloatSums()).products(None, None, "other")[0] is kernel
    cut, _ = operands(FloatSums("fixed", 10)).products(catalogue.get("drum4_3"), None, "fc")
    assert cut.describe() == "fixed-point accumulator of 64 bits in units of 0.000976562"
    assert operands(FloatSums()).scalar(None, "fc") is None
    with pytest.raises(PlanError, match=r"site 'fc': significands of 3 x 4 bits .* do not fit multiplier 'drum3_3'"):
        operands(FloatSums()).products(catalogue.get("drum3_3"), None, "fc")
    with pytest.raises(PlanError, match="site 'fc' adds floating-point products, but its ACCUMULATOR choice"):
        operands(FloatSums()).products(None, object(), "fc")


def test_best_shift_keeps_the_range_where_nothing_is_gained():
    rows = torch.full((1, 10), 6.0)
    assert best_shift(rows, smallest_scale(rows, 6.0), FloatFormat(2, 1, 1, "none")).tolist() == [1.0]
