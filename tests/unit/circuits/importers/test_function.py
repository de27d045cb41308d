"""Multipliers given as functions."""

import numpy as np
import pytest

from laxity.circuits import catalogue
from laxity.circuits.importers import from_function
from laxity.core.errors import CircuitError


def truncated(a, b):
    return (a >> 2 << 2) * b


def scalar_only(a, b):
    return truncated(a, b) if a > b else a * b


def test_vectorised_and_scalar_functions_agree():
    arrays = from_function(truncated, 5, 4, signed=True, vectorised=True)
    single = from_function(truncated, 5, 4, signed=True, vectorised=False)
    assert arrays == single == from_function(truncated, 5, 4, signed=True)
    assert arrays.name == "truncated"
    values = np.arange(-16, 16)
    for a in values:
        for b in range(-8, 8):
            assert arrays.table[a & 31, b & 15] == (a >> 2 << 2) * b


def test_functions_of_single_numbers_are_noticed():
    multiplier = from_function(scalar_only, 4, 4)
    for a in range(16):
        for b in range(16):
            assert multiplier.table[a, b] == scalar_only(a, b)
    with pytest.raises(CircuitError, match="fails on arrays"):
        from_function(scalar_only, 4, 4, vectorised=True)


def test_a_function_that_means_something_else_on_arrays_is_called_singly():
    multiplier = from_function(lambda a, b: a * b if np.ndim(a) == 0 else a + b, 3, 3)
    assert multiplier == catalogue.get("dadda3")


def test_mixed_signs():
    multiplier = from_function(lambda a, b: a * b, 4, 3, a_signed=False, b_signed=True)
    assert (multiplier.a_signed, multiplier.b_signed) == (False, True)
    assert multiplier.metrics().wce == 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: a * b + 0.5, r"returned 0\.5 for \(0, 0\)"),
        (lambda a, b: None, r"returned None for \(0, 0\)"),
        (lambda a, b: int(a) * int(b) << 60, r"returned .* for \(1, 1\)"),
    ],
)
def test_results_that_are_no_products(function, message):
    with pytest.raises(CircuitError, match=message):
        from_function(function, 3, 3)


def test_operands_too_wide_for_a_table():
    with pytest.raises(CircuitError, match=r"2\.\.20 bits"):
        from_function(truncated, 16, 16)
