"""Codes, sums and gradients of weights in one pass, against torch operations one after the other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.kernels import native
from laxity.kernels.weights import code_rows, pass_weight_gradient, represent_weights, row_sums

LEVELS = native.levels()
COMPILED = pytest.mark.skipif(not LEVELS, reason="the compiled kernels are not installed")


def weights(rows, n, seed):
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-14, 3, (rows, 1))
    return torch.from_numpy((rng.standard_normal((rows, n)) * scales).astype(np.float32))


@pytest.fixture(params=LEVELS, autouse=True)
def level(request, monkeypatch):
    native.level.cache_clear()
    monkeypatch.setenv(native.VARIABLE, request.param)
    yield
    native.level.cache_clear()


@COMPILED
@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 40),
    n=st.integers(1, 70),
    shared=st.booleans(),
    bits=st.integers(2, 8),
    seed=st.integers(0, 2**31),
)
def test_everything(rows, n, shared, bits, seed):
    weight, top = weights(rows, n, seed), 2 ** (bits - 1) - 1
    rng = np.random.default_rng(seed)
    ratio = torch.from_numpy(rng.uniform(0.2, 1, 1 if shared else rows).astype(np.float32))
    found = code_rows(weight, ratio, top)
    assert found is not None
    codes, scale = found
    greatest = weight.abs().amax() if shared else weight.abs().amax(1)
    assert torch.equal(scale, (greatest * ratio / top).clamp_min(1e-12))
    free = torch.round(weight / scale[:, None])
    kept = free.clamp(-top, top)
    assert torch.equal(codes.float() - top, kept)
    assert torch.equal(represent_weights(weight, scale, top), kept * scale[:, None])
    gradient = weights(rows, n, seed + 1)
    assert torch.equal(pass_weight_gradient(gradient, weight, scale, top), gradient * (free == kept))
    values = torch.from_numpy(rng.integers(-(2**40), 2**40, 2 * top + 1))
    assert torch.equal(row_sums(codes, values), values[codes.long()].sum(1))


@COMPILED
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("shared", [True, False])
def test_no_codes_for_what_is_not_finite(bad, shared):
    weight = weights(9, 33, 0)
    weight[4, 17] = bad
    assert code_rows(weight, torch.ones(1 if shared else 9), 127) is None


@COMPILED
def test_no_codes_for_other_layouts():
    assert code_rows(weights(9, 33, 0).T, torch.ones(33), 127) is None
    assert code_rows(weights(9, 33, 0).double(), torch.ones(9), 127) is None
