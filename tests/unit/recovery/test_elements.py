"""Errors of single products and of their sums, against loops over the circuit's table."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from laxity.circuits import catalogue
from laxity.core.errors import PlanError
from laxity.recovery import ElementErrors, independent_moments, observe
from laxity.techniques import Integer, Minifloat

NAMES = ["optrunc8_3", "coltrunc8_8", "drum8_3", "mitchell8", "roba8"]


@pytest.fixture(scope="module")
def signed_inputs(ref):
    """A linear layer that has seen inputs of both signs: signed codes of 5 bits, weights of 4."""
    torch.manual_seed(0)
    return ref.site(ref.quantised(nn.Linear(6, 3), torch.randn(40, 6), Integer(4, 5)))


@pytest.mark.parametrize("name", NAMES)
def test_table_of_narrow_signed_codes(ref, signed_inputs, name):
    errors = ElementErrors.of(signed_inputs.operand, catalogue.get(name), "linear")
    assert errors.left == (-15, 15)
    assert errors.right == (-7, 7)
    for x in range(-15, 16):
        for w in range(-7, 8):
            assert errors.table[x + 15, w + 7] == ref.error(catalogue.get(name), x, w, 5, 4)


def test_exact_products_have_no_errors(signed_inputs):
    for multiplier in (None, catalogue.get("wallace8"), catalogue.get("dadda8")):
        assert ElementErrors.of(signed_inputs.operand, multiplier, "linear").exact
    assert not ElementErrors.of(signed_inputs.operand, catalogue.get("mitchell8"), "linear").exact


@given(st.lists(st.integers(0, 50), min_size=31, max_size=31).filter(any), st.sampled_from(NAMES))
@settings(max_examples=15, deadline=None)
def test_moments_are_expectations(ref, signed_inputs, counts, name):
    errors = ElementErrors.of(signed_inputs.operand, catalogue.get(name), "linear")
    mean, variance = errors.moments(np.array(counts) / sum(counts))
    occurring = np.repeat(np.arange(-15, 16), counts)
    for w in (-7, -2, 0, 5):
        values = np.array([ref.error(catalogue.get(name), x, w, 5, 4) for x in occurring])
        assert mean[w + 7] == pytest.approx(values.mean(), abs=1e-9)
        assert variance[w + 7] == pytest.approx(values.var(), abs=1e-9)


LAYERS = {
    "conv": (lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 3, 5, 5)),
    "grouped": (lambda: nn.Conv1d(4, 6, 3, stride=2, groups=2), (3, 4, 9)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), (2, 4, 6, 6)),
    "linear": (lambda: nn.Linear(7, 4), (5, 7)),
    "tokens": (lambda: nn.Linear(7, 4, bias=False), (2, 3, 7)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
@pytest.mark.parametrize("name", ["coltrunc8_8", "mitchell8", "dadda8"])
def test_sums_of_errors(ref, kind, scheme, name):
    torch.manual_seed(1)
    make, shape = LAYERS[kind]
    x = torch.randn(shape)
    layer = ref.site(model := ref.quantised(make(), x, Integer(6, 7, scheme, scheme)))
    seen = observe(model, [x], seed=0, patches=6).sites[layer.site.name]
    multiplier = catalogue.get(name)
    errors = ElementErrors.of(seen.operand, multiplier, layer.site.name)
    wanted = ref.sums(multiplier, seen.left, seen.right, 7, 6)
    assert np.array_equal(errors.sums(seen).numpy(), wanted)


@pytest.mark.parametrize("name", ["optrunc8_2", "drum8_4"])
def test_moments_under_independence_are_sums_over_weights(ref, name):
    torch.manual_seed(2)
    x = torch.rand(30, 5)
    layer = ref.site(model := ref.quantised(nn.Linear(5, 3), x))
    seen = observe(model, [x], seed=0, patches=8).sites[layer.site.name]
    codes = layer.operand.input.codes(x).numpy().astype(int).ravel()
    found = independent_moments(ElementErrors.of(seen.operand, catalogue.get(name), "linear"), seen)
    for k in range(3):
        weights = seen.right[0, :, k].tolist()
        each = [np.array([ref.error(catalogue.get(name), q, w) for q in codes]) for w in weights]
        assert found.mean[k] == pytest.approx(sum(e.mean() for e in each))
        assert found.variance[k] == pytest.approx(sum(e.var() for e in each))


@pytest.mark.parametrize("choice", [Integer(12, 12), Minifloat()], ids=["wide", "float"])
def test_what_has_no_table_is_refused(ref, choice):
    layer = ref.site(ref.quantised(nn.Linear(6, 3), torch.randn(20, 6), choice))
    with pytest.raises(PlanError, match=r"site 'proj'.*codes"):
        ElementErrors.of(layer.operand, None, "proj")
