"""Accumulator stages: overflow by the definition on integers, and carries that are cured in the next step."""

import numpy as np
import pytest

from laxity.circuits import (
    CircuitBuilder,
    accumulator_stage,
    adder_catalogue,
    curable_correction,
    curable_stage,
    default_library,
    delay_ns,
    evaluate,
)
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream


def signed(values, bits):
    return values - ((values >> (bits - 1)) << bits)


def step(circuit, a, b, bits):
    mask = (1 << bits) - 1
    return signed(evaluate(circuit, {"a": a & mask, "b": b & mask})["s"], bits)


def all_pairs(bits):
    values = np.arange(-(1 << (bits - 1)), 1 << (bits - 1))
    return (v.ravel() for v in np.meshgrid(values, values))


@pytest.mark.parametrize("bits", [2, 3, 5])
@pytest.mark.parametrize("kind", ["ripple", "sklansky"])
def test_exact_adders_wrap_or_saturate(bits, kind):
    a, b = all_pairs(bits)
    half = 1 << (bits - 1)
    adder = adder_catalogue.get(f"{kind}{bits}")
    assert np.array_equal(step(accumulator_stage(adder), a, b, bits), (a + b + half) % (2 * half) - half)
    assert np.array_equal(step(accumulator_stage(adder, "saturate"), a, b, bits), np.clip(a + b, -half, half - 1))


@pytest.mark.parametrize("name", ["loa5_2", "aca5_2", "gear6_2_1", "ama5_4_3", "etai6_3"])
def test_saturation_of_approximate_adders_judges_by_signs(name):
    adder = adder_catalogue.get(name)
    bits, half = adder.bits, 1 << (adder.bits - 1)
    a, b = all_pairs(bits)
    plain = adder.add_signed(a, b)
    assert np.array_equal(step(accumulator_stage(adder, "wrap"), a, b, bits), plain)
    over = ((a < 0) == (b < 0)) & ((plain < 0) != (a < 0))
    wanted = np.where(over, np.where(a < 0, -half, half - 1), plain)
    assert over.any()
    assert np.array_equal(step(accumulator_stage(adder, "saturate"), a, b, bits), wanted)


def test_unknown_overflow():
    with pytest.raises(CircuitError, match="choose one of wrap, saturate"):
        accumulator_stage(adder_catalogue.get("ripple8"), "clip")


def curable_by_hand(products, bits, cut):
    """The equations of the paper, one column at a time, on plain integers."""
    low, high, carry = 0, 0, 0
    seen = []
    for p in products:
        high = (high + ((p >> cut) % (1 << (bits - cut))) + carry) % (1 << (bits - cut))
        low += p % (1 << cut)
        carry, low = low >> cut, low % (1 << cut)
        seen.append((high << cut | low, carry))
    return seen


@pytest.mark.parametrize(("bits", "cut"), [(8, 4), (8, 1), (9, 7), (16, 8)])
def test_one_cut_is_what_the_equations_say(bits, cut):
    stage = curable_stage(bits, [cut])
    rng = stream(2, "curable", bits, cut)
    for _ in range(20):
        products = rng.integers(-(1 << (bits - 2)), 1 << (bits - 2), 12).tolist()
        s, c = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for p, wanted in zip(products, curable_by_hand(products, bits, cut), strict=True):
            out = evaluate(stage, {"a": s, "b": np.array([p % (1 << bits)]), "c": c})
            s, c = out["s"], out["d"]
            assert (int(s[0]), int(c[0])) == wanted


@pytest.mark.parametrize(("bits", "cuts"), [(24, (12,)), (20, (5, 10, 15)), (32, (8, 20))])
def test_columns_end_exactly_and_differ_on_the_way(bits, cuts):
    """A hundred thousand columns of 32 products of 8 x 8 bits."""
    columns, depth, mask = 100_000, 32, (1 << bits) - 1
    rng = stream(1, "columns", bits)
    stage, correction = curable_stage(bits, cuts), curable_correction(bits, cuts)
    s, c, exact = (np.zeros(columns, np.int64) for _ in range(3))
    differs = np.zeros(columns, bool)
    for _ in range(depth):
        products = rng.integers(0, 256, columns) * rng.integers(-127, 128, columns)
        out = evaluate(stage, {"a": s, "b": products & mask, "c": c})
        s, c = out["s"], out["d"]
        exact = (exact + products) & mask
        differs |= s != exact
        cured = s.copy()
        for i, cut in enumerate(cuts):
            cured += ((c >> i) & 1) << cut
        assert np.array_equal(cured & mask, exact)
    assert differs.mean() > 0.99
    assert np.array_equal(evaluate(correction, {"a": s, "c": c})["s"], exact)


def carry_in_adder(bits):
    builder = CircuitBuilder(f"reference{bits}", "test")
    a, b, c = builder.input("a", bits), builder.input("b", bits), builder.input("c", 1)
    total, carry = builder.add(a, b, c[0])
    builder.output("s", [*total, carry])
    return builder.build()


@pytest.mark.parametrize(("bits", "cut"), [(24, 12), (24, 6), (24, 20), (32, 16)])
def test_delay_is_that_of_the_longer_part(bits, cut):
    library = default_library()
    low, high = adder_catalogue.circuit(f"ripple{cut}"), carry_in_adder(bits - cut)
    wanted = max(delay_ns(low, library), delay_ns(high, library))
    found = delay_ns(curable_stage(bits, [cut]), library)
    # The carry out of the upper part is dropped, so its last full adder drives one output instead of two.
    assert wanted * (1 - 2 / max(cut, bits - cut)) < found <= wanted
    assert found < delay_ns(adder_catalogue.circuit(f"ripple{bits}"), library)


@pytest.mark.parametrize(("bits", "cuts"), [(8, []), (8, [0]), (8, [8]), (8, [4, 3]), (60, [4])])
def test_impossible_cuts(bits, cuts):
    with pytest.raises(CircuitError, match="cannot be cut"):
        curable_stage(bits, cuts)
