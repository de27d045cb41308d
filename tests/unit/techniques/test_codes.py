"""Integer codes of weights and activations, against torch's fake quantisation and their own promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import DataError
from laxity.techniques.data.codes import ActivationCode, WeightCode

BITS = st.integers(2, 8)
SCHEMES = st.sampled_from(["symmetric", "affine"])
METHODS = ["minmax", "percentile", "mse"]
KINDS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "relu": lambda rng, n: np.maximum(rng.standard_normal(n), 0),
    "negative": lambda rng, n: -np.abs(rng.standard_normal(n)) - 0.1,
    "heavy": lambda rng, n: rng.standard_t(1.5, n),
    "lopsided": lambda rng, n: np.where(rng.random(n) < 0.02, -0.2, np.abs(rng.standard_normal(n))),
    "large": lambda rng, n: 1e6 * rng.standard_normal(n),
    "tiny": lambda rng, n: 1e-5 * rng.standard_normal(n),
    "zero": lambda _, n: np.zeros(n),
    "constant": lambda _, n: np.full(n, 3.0),
}


@st.composite
def values(draw, size=200):
    """A sample of activations of many shapes."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return torch.from_numpy(KINDS[draw(st.sampled_from(list(KINDS)))](rng, size).astype(np.float32))


def activation(bits, scheme, method, sample, percentile=0.99):
    code = ActivationCode(bits, scheme, method, percentile)
    code.calibrate(sample, "site")
    return code


def error(code, sample):
    shown = code.represent(sample, code.codes(sample))
    return float((shown - sample).double().square().mean())


@settings(deadline=None, max_examples=150)
@given(sample=values(), bits=BITS, scheme=SCHEMES, method=st.sampled_from(METHODS))
def test_activation_codes_keep_their_promises(sample, bits, scheme, method):
    code = activation(bits, scheme, method, sample)
    low, high = code.code_range
    codes = code.codes(sample)
    assert torch.equal(codes, codes.round())
    assert codes.min() >= low
    assert codes.max() <= high
    assert high - low <= 2**bits - 1
    assert low <= code.zero <= high
    zeros = torch.zeros(3)
    assert torch.equal(code.represent(zeros, code.codes(zeros)), zeros)
    if scheme == "symmetric":
        assert code.zero == 0
        assert (low, high) == ((0, 2**bits - 1) if sample.min() >= 0 else (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1))
    else:
        assert (low, high) == (0, 2**bits - 1)


@settings(deadline=None, max_examples=150)
@given(sample=values(), bits=BITS, scheme=SCHEMES)
def test_least_squares_is_never_worse_than_minmax(sample, bits, scheme):
    best, full = (error(activation(bits, scheme, m, sample), sample) for m in ("mse", "minmax"))
    assert best <= full * (1 + 1e-5)


def test_least_squares_helps_where_outliers_are():
    sample = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    sample[:4] = torch.tensor([10.0, -10.0, 9.0, -8.0])
    for scheme in ("symmetric", "affine"):
        assert error(activation(4, scheme, "mse", sample), sample) < 0.5 * error(
            activation(4, scheme, "minmax", sample), sample
        )


@settings(deadline=None, max_examples=100)
@given(sample=values(), bits=BITS)
def test_affine_minmax_equals_torch(sample, bits):
    code = activation(bits, "affine", "minmax", sample)
    low, high = min(float(sample.min()), 0.0), max(float(sample.max()), 0.0)
    scale = max(high - low, 1e-8) / (2**bits - 1)
    zero = round(-low / scale)
    assert float(code.scale) == pytest.approx(scale, rel=1e-6)
    assert int(code.zero) == zero
    wanted = torch.fake_quantize_per_tensor_affine(sample, float(code.scale), zero, 0, 2**bits - 1)
    compare(code.represent(sample, code.codes(sample)), wanted, sample, code.scale)


@settings(deadline=None, max_examples=100)
@given(sample=values(), bits=BITS)
def test_symmetric_minmax_equals_torch(sample, bits):
    code = activation(bits, "symmetric", "minmax", sample)
    low, high = code.code_range
    assert float(code.scale) == pytest.approx(max(float(sample.abs().max()), 1e-8) / high, rel=1e-6)
    wanted = torch.fake_quantize_per_tensor_affine(sample, float(code.scale), 0, low, high)
    compare(code.represent(sample, code.codes(sample)), wanted, sample, code.scale)


def compare(got, wanted, values, scale):
    """Equal, but for values so near the middle of two codes that multiplying by 1 / scale rounds them elsewhere."""
    position = (values.double() / torch.as_tensor(scale).double()).abs()
    tie = ((position - position.floor()) - 0.5).abs() < 1e-6 * position.clamp_min(1)
    torch.testing.assert_close(got[~tie], wanted[~tie], rtol=1e-6, atol=1e-6 * float(torch.as_tensor(scale).max()))


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_percentile_ignores_the_tails(scheme):
    sample = torch.cat([torch.linspace(-1, 1, 9901), torch.full((50,), 100.0), torch.full((50,), -100.0)])
    code = activation(8, scheme, "percentile", sample, 0.99)
    low, high = code.code_range
    reach = float((high - code.zero) * code.scale), float((low - code.zero) * code.scale)
    assert reach == pytest.approx((1.0, -1.0), abs=0.05)
    assert activation(8, scheme, "percentile", sample, 1.0).scale == activation(8, scheme, "minmax", sample).scale


def test_percentile_keeps_a_range_where_almost_all_is_zero():
    sample = torch.zeros(1000)
    sample[7] = 5.0
    code = activation(8, "symmetric", "percentile", sample, 0.99)
    assert float(code.represent(sample, code.codes(sample))[7]) == 5.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_activations_that_are_not_finite_are_refused(bad):
    sample = torch.ones(5)
    sample[3] = bad
    with pytest.raises(DataError, match="activations at site 'conv1' are not finite on the calibration data"):
        ActivationCode(8, "affine", "minmax", 0.99).calibrate(sample, "conv1")


@st.composite
def weights(draw):
    """A weight of two to four dimensions, some channels dead or of one sign."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = draw(st.sampled_from([(4, 7), (3, 5, 2), (4, 3, 3, 3)]))
    weight = rng.standard_normal(shape)
    weight[0] *= draw(st.sampled_from([0.0, 1.0, 1e-6, 1e4]))
    weight[1] = np.abs(weight[1])
    weight[2] = -np.abs(weight[2])
    return torch.from_numpy(weight.astype(np.float32))


def weight_code(weight, bits, scheme, per_channel, axis, method, percentile=0.9):
    code = WeightCode(bits, scheme, per_channel, axis, weight.shape[axis], method, percentile)
    code.calibrate(weight)
    scale, zero = code.scale_and_zero(weight)
    codes = code.codes(weight, scale, zero)
    return code, codes, scale, zero


@settings(deadline=None, max_examples=150)
@given(weight=weights(), bits=BITS, scheme=SCHEMES, per_channel=st.booleans(), axis=st.integers(0, 1), data=st.data())
def test_weight_codes_keep_their_promises(weight, bits, scheme, per_channel, axis, data):
    method = data.draw(st.sampled_from(METHODS))
    code, codes, scale, zero = weight_code(weight, bits, scheme, per_channel, axis, method)
    low, high = code.code_range
    channels = weight.shape[axis] if per_channel else 1
    assert scale.shape == zero.shape == (channels,)
    assert codes.shape == weight.shape
    assert torch.equal(codes, codes.round())
    assert codes.min() >= low
    assert codes.max() <= high
    if scheme == "symmetric":
        assert (low, high) == (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)
        assert not zero.any()
    else:
        assert (low, high) == (0, 2**bits - 1)
    assert (zero >= low).all()
    assert (zero <= high).all()
    nothing = torch.zeros_like(weight)
    assert not code.represent(nothing, code.codes(nothing, scale, zero), scale, zero).any()


@settings(deadline=None, max_examples=80)
@given(weight=weights(), bits=BITS, scheme=SCHEMES, per_channel=st.booleans(), axis=st.integers(0, 1))
def test_least_squares_weights_are_never_worse_than_minmax(weight, bits, scheme, per_channel, axis):
    errors = []
    for method in ("mse", "minmax"):
        code, codes, scale, zero = weight_code(weight, bits, scheme, per_channel, axis, method)
        off = (code.represent(weight, codes, scale, zero) - weight).double().square()
        errors.append(off.movedim(axis, 0).flatten(1).sum(1) if per_channel else off.sum()[None])
    assert (errors[0] <= errors[1] * (1 + 1e-4) + 1e-12).all()


@settings(deadline=None, max_examples=80)
@given(weight=weights(), bits=BITS, axis=st.integers(0, 1), scheme=SCHEMES)
def test_minmax_weights_equal_torch(weight, bits, axis, scheme):
    code, codes, scale, zero = weight_code(weight, bits, scheme, True, axis, "minmax")
    rows = weight.movedim(axis, 0).flatten(1)
    top = code.code_range[1]
    if scheme == "symmetric":
        torch.testing.assert_close(scale, (rows.abs().amax(1) / top).clamp_min(1e-12))
    else:
        span = rows.amax(1).clamp_min(0) - rows.amin(1).clamp_max(0)
        torch.testing.assert_close(scale, (span / top).clamp_min(1e-12))
    wanted = torch.fake_quantize_per_channel_affine(weight, scale, zero.to(torch.int32), axis, *code.code_range)
    shape = [1] * weight.dim()
    shape[axis] = -1
    got = code.represent(weight, codes, scale, zero)
    compare(got / scale.reshape(shape), wanted / scale.reshape(shape), weight / scale.reshape(shape), 1.0)


def test_channels_have_their_own_scale():
    weight = torch.tensor([[1.0, -0.5], [100.0, 50.0]])
    _, per_channel, _, _ = weight_code(weight, 8, "symmetric", True, 0, "minmax")
    _, per_tensor, _, _ = weight_code(weight, 8, "symmetric", False, 0, "minmax")
    assert per_channel.tolist() == [[127, -64], [127, 64]]
    assert per_tensor.tolist() == [[1, -1], [127, 64]]


def test_range_follows_the_weight_while_it_trains():
    weight = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    code, codes, _, _ = weight_code(weight, 6, "symmetric", True, 0, "mse")
    grown = 3 * weight
    assert torch.equal(code.codes(grown, *code.scale_and_zero(grown)), codes)


def test_most_negative_code_is_never_used():
    for bits in range(2, 9):
        weight = torch.tensor([[-1.0, 0.999, 0.5, -0.9999]])
        _, codes, _, _ = weight_code(weight, bits, "symmetric", True, 0, "minmax")
        assert codes.min() == 1 - 2 ** (bits - 1)
