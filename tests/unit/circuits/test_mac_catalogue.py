"""Multiply-accumulate circuits by name, against sums of products from the tables."""

import numpy as np
import pytest

from laxity.circuits import adder_catalogue, catalogue, evaluate, mac_catalogue
from laxity.core.errors import CircuitError, RegistryError

PAIRS = 4096


def operands(bits, width=8):
    random = np.random.default_rng(bits)
    low, high = -(1 << (bits - 1)), 1 << (bits - 1)
    sizes = {"a": 1 << width, "b": 1 << width, "a_sign": 2, "b_sign": 2}
    return {name: random.integers(0, size, PAIRS) for name, size in sizes.items()}, random.integers(low, high, PAIRS)


def summed(name, given, psum, bits):
    found = evaluate(mac_catalogue.circuit(name), {**given, "psum_in": psum & ((1 << bits) - 1)})["psum_out"]
    return found.astype(np.int64)


@pytest.mark.parametrize("multiplier", ["dadda8", "drum8_4", "coltrunc8_6", "mitchell8"])
def test_exact_sums_of_products_of_the_table(multiplier):
    given, psum = operands(24)
    products = catalogue.get(multiplier).table[given["a"], given["b"]]
    signed = np.where(given["a_sign"] ^ given["b_sign"], -products, products)
    expected = (psum + signed) & ((1 << 24) - 1)
    np.testing.assert_array_equal(summed(f"mac_{multiplier}", given, psum, 24), expected)


def test_sums_by_the_named_adder():
    """LOA by its definition: the low bits are joined by OR, the top one of them gives the carry."""
    given, psum = operands(20)
    products = catalogue.get("drum8_4").table[given["a"], given["b"]]
    signed = np.where(given["a_sign"] ^ given["b_sign"], -products, products) & ((1 << 20) - 1)
    before = psum & ((1 << 20) - 1)
    low = (before | signed) & 63
    carry = (before >> 5) & (signed >> 5) & 1
    expected = ((((before >> 6) + (signed >> 6) + carry) << 6) | low) & ((1 << 20) - 1)
    np.testing.assert_array_equal(summed("mac_drum8_4_loa20_6", given, psum, 20), expected)


@pytest.mark.parametrize("name", mac_catalogue.names(8)[::17])
def test_names_describe_what_they_build(name):
    facts = mac_catalogue.describe(name)
    assert facts["name"] == mac_catalogue.circuit(name).name == name
    assert facts["flip_flops"] == 8 + 1 + 8 + 1 + 24
    assert 0 < facts["multiplier_area_um2"] < facts["area_um2"]


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("mac_", RegistryError, "is not the name of a multiply-accumulate circuit"),
        ("mac_drumm8", RegistryError, "unknown multiplier 'drumm8'; did you mean 'drum8"),
        ("mac_drum8_4_lao24_8", RegistryError, "unknown adder 'lao24_8'"),
        ("mac_drum8s_4", CircuitError, "leave out the 's'"),
        ("mac_drum8_4_loa16_4", CircuitError, "16 bits and a product with its sign 17; .* mac_drum8_4_ripple24"),
    ],
)
def test_wrong_names_say_what_is_wrong(name, error, says):
    with pytest.raises(error, match=says):
        mac_catalogue.get(name)


@pytest.mark.parametrize(("usual", "own"), [("ama3_8_4", "ama8_3_4"), ("rapcla16_5", "aca16_5")])
def test_second_names_of_adders(usual, own):
    assert adder_catalogue.known(usual)
    assert adder_catalogue.get(usual).circuit == adder_catalogue.get(own).circuit
