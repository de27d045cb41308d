"""Moments and regression of errors: closed forms and independent fits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from laxity.circuits import catalogue
from laxity.recovery import (
    ElementErrors,
    SiteObservation,
    check_moments,
    fit,
    independent_moments,
    observe,
    sampled_moments,
)


@pytest.fixture(scope="module")
def operand(ref):
    """Unsigned 8-bit codes of inputs, signed 8-bit codes of weights."""
    return ref.site(ref.quantised(nn.Linear(4, 2), torch.rand(30, 4))).operand


def seen_of(operand, left, right):
    """An observation of given codes: left (places, reduction), right (reduction, kernels)."""
    left, right = torch.as_tensor(left).float()[None], torch.as_tensor(right).float()[None]
    histogram = np.bincount(left.long().flatten().numpy(), minlength=256) / left.numel()
    weights = np.bincount(right.long().flatten().numpy() + 127, minlength=255) / right.numel()
    sums = left.double() @ right.double()
    unit = torch.ones(right.shape[2])
    return SiteObservation("site", operand, left, right, histogram, weights, sums, unit, products=False, feeling=None)


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_slope_of_truncated_operands(operand, dropped):
    """With w a multiple of 2^k the error is -w (x mod 2^k), so its slope on y = w x is -Var(x mod 2^k) / Var(x)."""
    seen = seen_of(operand, np.arange(256)[:, None], [[-64, 8, 120]])
    errors = ElementErrors.of(operand, catalogue.get(f"optrunc8_{dropped}"), "site")
    model = fit(errors.sums(seen), seen, per_kernel=True, clips=False)
    wanted = -(4**dropped - 1) / (4**8 - 1)
    assert model.slope.tolist() == pytest.approx([wanted] * 3, rel=1e-5)
    spread = math.sqrt((4**dropped - 1) / 12 * (1 - (4**dropped - 1) / (4**8 - 1)))
    assert model.residual_std.tolist() == pytest.approx([spread * w for w in (64, 8, 120)], rel=1e-5)
    centre = (2**dropped - 1) / 2
    for w, mean in zip((-64, 8, 120), sampled_moments(errors.sums(seen), seen).mean, strict=True):
        assert mean == pytest.approx(-w * centre)


@pytest.mark.parametrize("per_kernel", [False, True])
def test_exact_products_have_the_zero_model(operand, per_kernel):
    rng = np.random.default_rng(0)
    seen = seen_of(operand, rng.integers(0, 256, (50, 9)), rng.integers(-127, 128, (9, 4)))
    model = fit(ElementErrors.of(operand, None, "site").sums(seen), seen, per_kernel=per_kernel)
    for values in (model.slope, model.offset, model.low, model.high, model.residual_std):
        assert values.shape == (4 if per_kernel else 1,)
        assert not values.any()
    assert model.r2 == 0


def test_constant_sums_have_no_slope(operand):
    seen = seen_of(operand, np.full((20, 3), 37), [[5, -3], [7, 0], [-1, 2]])
    errors = ElementErrors.of(operand, catalogue.get("mitchell8"), "site").sums(seen)
    model = fit(errors, seen, per_kernel=True)
    assert not model.slope.any()
    assert torch.equal(model.offset, errors[0, 0].float())
    assert torch.equal(model.predict(seen.sums), errors.float())


@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from(["drum8_3", "coltrunc8_8", "mitchell8"]))
@settings(max_examples=20, deadline=None)
def test_fit_is_least_squares_and_clips_never_hurt(operand, seed, places, name):
    rng = np.random.default_rng(seed)
    seen = seen_of(operand, rng.integers(0, 256, (places, 6)), rng.integers(-127, 128, (6, 3)))
    errors = ElementErrors.of(operand, catalogue.get(name), "site").sums(seen)
    y, eps = seen.by_kernel(seen.sums).numpy(), seen.by_kernel(errors).numpy()
    model = fit(errors, seen, per_kernel=True, clips=False)
    for k in range(3):
        if np.ptp(y[:, k]):
            slope, offset = np.polyfit(y[:, k], eps[:, k], 1)
            assert float(model.slope[k]) == pytest.approx(slope, rel=1e-4, abs=1e-6)
            assert float(model.offset[k]) == pytest.approx(offset, rel=1e-4, abs=1e-3 * np.abs(eps).max())
    for per_kernel in (False, True):
        straight, clipped = (fit(errors, seen, per_kernel=per_kernel, clips=c) for c in (False, True))
        assert (
            float(clipped.residual_std.square().sum())
            <= float(straight.residual_std.square().sum()) * (1 + 1e-6) + 1e-6
        )
        for found in (straight, clipped):
            left = eps - found.predict(seen.by_kernel(seen.sums)).numpy()
            got = np.sqrt((left**2).mean(0)) if per_kernel else np.sqrt((left**2).mean()).reshape(1)
            assert found.residual_std.numpy() == pytest.approx(got, rel=1e-4, abs=0.1)  # float32
            assert 0 <= found.r2 <= 1
            assert bool((found.low <= found.high).all())
            far = found.predict(torch.tensor([[-1e9] * 3, [1e9] * 3])) if per_kernel else found.predict(torch.zeros(1))
            assert bool((far >= found.low).all() & (far <= found.high).all())


def test_a_clipped_line_is_found(operand):
    """eps = clip(0.3 y + 40, -100, 150), with a tenth of the sums beyond either clip."""
    y = torch.linspace(-640, 540, 4001, dtype=torch.float64)
    wanted = torch.clamp(0.3 * y + 40, -100, 150)
    share = float((wanted == -100).double().mean()), float((wanted == 150).double().mean())
    assert share == pytest.approx((0.147, 0.147), abs=0.01)
    y = torch.cat([torch.linspace(-620, -467, 500), torch.linspace(-466, 366, 4000), torch.linspace(367, 500, 500)])
    y = y.double()
    seen = seen_of(operand, np.zeros((len(y), 1)), [[1]])
    seen.sums.copy_(y[None, :, None])
    model = fit(torch.clamp(0.3 * y + 40, -100, 150)[None, :, None], seen)
    assert float(model.slope) == pytest.approx(0.3, rel=0.01)
    assert float(model.low) == pytest.approx(-100, abs=2)
    assert float(model.high) == pytest.approx(150, abs=2)
    assert model.r2 > 0.9999


@pytest.mark.parametrize("name", ["optrunc8_3", "mitchell8", "roba8"])
def test_spread_of_independent_operands(operand, name):
    rng = np.random.default_rng(1)
    left = np.minimum(rng.exponential(40, (20_000, 12)), 255).astype(int)
    seen = seen_of(operand, left, rng.integers(-127, 128, (12, 5)))
    errors = ElementErrors.of(operand, catalogue.get(name), "site")
    predicted, measured = independent_moments(errors, seen), sampled_moments(errors.sums(seen), seen)
    assert predicted.variance == pytest.approx(measured.variance, rel=0.06)
    deviation = np.sqrt(measured.variance / 20_000)
    assert np.all(np.abs(predicted.mean - measured.mean) <= 5 * deviation)


def test_spread_of_equal_operands_is_underestimated_by_the_root_of_their_number(operand):
    rng = np.random.default_rng(2)
    left = np.repeat(rng.integers(0, 256, (400, 1)), 16, 1)
    seen = seen_of(operand, left, np.full((16, 3), 77))
    errors = ElementErrors.of(operand, catalogue.get("optrunc8_3"), "site")
    check = check_moments(errors, seen, seen)
    assert check.independent_spread == pytest.approx(1 / 4)
    assert check.sampled_spread == 1
    assert check.mean_ratio == pytest.approx(1)


def test_products_of_activations_count_as_one_kernel(digits, ref):
    left, right = torch.rand(3, 5, 8), torch.randn(3, 8, 4)

    class Product(nn.Module):
        def forward(self, x):
            return x @ right[: len(x)]

    model = ref.quantised(Product(), left)
    seen = next(iter(observe(model, [left], seed=0, patches=64).sites.values()))
    assert seen.kernels == 1
    errors = ElementErrors.of(seen.operand, catalogue.get("mitchell8"), seen.site)
    wanted = ref.sums(catalogue.get("mitchell8"), seen.left, seen.right)
    moments = sampled_moments(errors.sums(seen), seen)
    assert moments.mean == pytest.approx([wanted.mean()])
    assert moments.variance == pytest.approx([wanted.var()])
    apriori = independent_moments(errors, seen)
    codes = [c.codes(t).long().flatten().numpy() for c, t in ((seen.operand.input, left), (seen.operand.weight, right))]
    each = np.array([[ref.error(catalogue.get("mitchell8"), x, w) for w in codes[1]] for x in codes[0]])
    assert apriori.mean == pytest.approx([8 * each.mean()])
    assert apriori.variance == pytest.approx([8 * each.var()])
    assert fit(errors.sums(seen), seen, per_kernel=True).slope.shape == (1,)
