"""Laws that follow from the definitions of multiplier families, at any width."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import MULTIPLIERS, circuit, evaluate, get, names

LAW = settings(max_examples=30, deadline=None)
NEVER_ABOVE = (
    "optrunc",
    "coltrunc",
    "bam",
    "perf",
    "udm",
    "dsm",
    "ssm",
    "mitchell",
    "ilm",
    "venka",
    "boothi",
    "gated",
    "gatedcol",
)
ONE_SIDED = ("bam", "perf", "boothi", "boothii", "roup", "momenione", "momenitwo", "venka", "gated")
EXACT_FOR_POWERS = ("mitchell", "ilm", "roba", "array", "dadda", "wallace", "booth")
ERR_AT_ZERO = ("boothii", "coltruncc", "momenione", "momenitwo")


@st.composite
def subjects(draw, families):
    """A family, a width that it has, and parameters in range."""
    family = MULTIPLIERS[draw(st.sampled_from(families))]
    width = draw(st.sampled_from([w for w in family.widths if w > 2]))
    return family, width, [draw(st.integers(p.low(width), p.high(width))) for p in family.parameters]


def product(name, a, b):
    return evaluate(circuit(name), {"a": a, "b": b})["p"]


def operands(data, width, count=64):
    seed = data.draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).integers(0, 1 << width, (2, count))


@LAW
@given(subject=subjects(NEVER_ABOVE), data=st.data())
def test_never_above_the_exact_product(subject, data):
    family, width, parameters = subject
    a, b = operands(data, width)
    assert (product(family.circuit_name(width, parameters), a, b) <= a * b).all()


@LAW
@given(subject=subjects([n for n in MULTIPLIERS.names() if n not in ONE_SIDED]), data=st.data())
def test_commutative_unless_rows_are_treated_differently(subject, data):
    family, width, parameters = subject
    a, b = operands(data, width)
    name = family.circuit_name(width, parameters)
    np.testing.assert_array_equal(product(name, a, b), product(name, b, a))


@LAW
@given(subject=subjects(EXACT_FOR_POWERS), data=st.data())
def test_powers_of_two_are_multiplied_exactly(subject, data):
    family, width, parameters = subject
    a, b = operands(data, width)
    a = 1 << (a % width)
    np.testing.assert_array_equal(product(family.circuit_name(width, parameters), a, b), a * b)
    np.testing.assert_array_equal(product(family.circuit_name(width, parameters), b, a), a * b)


@LAW
@given(k=st.integers(3, 9), spare=st.integers(2, 7), data=st.data())
def test_drum_error_scales_with_the_operand(k, spare, data):
    width = k + spare
    a, b = operands(data, width)
    a = np.maximum(a >> 1, 1 << k)  # above k bits, and its double fits
    name = f"drum{width}_{k}"
    error, doubled = product(name, a, b) - a * b, product(name, 2 * a, b) - 2 * a * b
    np.testing.assert_array_equal(doubled, 2 * error)


@LAW
@given(subject=subjects([n for n in MULTIPLIERS.names() if n not in ERR_AT_ZERO]), data=st.data())
def test_zero_times_anything_is_zero(subject, data):
    family, width, parameters = subject
    _, b = operands(data, width)
    name = family.circuit_name(width, parameters)
    assert not product(name, np.zeros_like(b), b).any()
    assert not product(name, b, np.zeros_like(b)).any()


@pytest.mark.parametrize("name", names())
def test_laws_over_all_pairs(name):
    multiplier = get(name)
    exact = multiplier.exact_table()
    if multiplier.family in NEVER_ABOVE:
        assert (multiplier.table <= exact).all()
    if multiplier.family not in ONE_SIDED:
        np.testing.assert_array_equal(multiplier.table, multiplier.table.T)
    errs = bool(multiplier.table[0].any() or multiplier.table[:, 0].any())
    assert errs == (multiplier.family in ERR_AT_ZERO)


def parameters_without_error(width):
    """Parameters with which nothing is left out or rounded."""
    return [
        ("optrunc", (0,)),
        ("coltrunc", (0,)),
        ("coltruncc", (0,)),
        ("coltruncv", (0,)),
        ("bam", (0, 0)),
        ("perf", (3, 0)),
        ("drum", (width,)),
        ("dsm", (width,)),
        ("ssm", (width,)),
        ("letam", (width - 2,)),
        ("ilm", (width - 1,)),
        ("momenione", (0,)),
        ("momenitwo", (0,)),
        ("venka", (0,)),
        ("boothi", (0,)),
        ("boothii", (0,)),
        ("roup", (0, 0)),
    ]


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_degenerate_parameters_are_exact(width, signed):
    for family, parameters in parameters_without_error(width):
        multiplier = get(MULTIPLIERS[family].circuit_name(width, parameters, signed=signed))
        np.testing.assert_array_equal(multiplier.table, multiplier.exact_table(), err_msg=multiplier.name)
        assert multiplier.metrics().ep == 0


def test_degenerate_parameters_are_other_families():
    same = [("bam8_4_0", "coltrunc8_4"), ("bam8_6_0", "coltrunc8_6"), ("almsoa8_0", "mitchell8")]
    same += [("perf8_0_3", "bam8_0_3"), ("letam8_2", "drum8_4"), ("dsm8_7", "ssm8_7")]
    for one, other in same:
        assert get(one) == get(other)


@pytest.mark.parametrize("k", range(1, 9))
def test_column_truncation_is_the_skipping_of_bit_planes(k):
    """Products of single bits, accumulated over planes of one power each, without the k lowest planes."""
    codes = np.arange(256)
    bits = codes[:, None] >> np.arange(8) & 1
    planes = [sum(np.outer(bits[:, i], bits[:, c - i]) for i in range(8) if 0 <= c - i < 8) << c for c in range(15)]
    np.testing.assert_array_equal(get(f"coltrunc8_{k}").table, sum(planes[k:]))
