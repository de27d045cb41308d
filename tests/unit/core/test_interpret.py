"""The interpreter of programs against loops over the definitions."""

import dataclasses
import importlib.util
import itertools
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest

from laxity.circuits import adder_catalogue, catalogue
from laxity.core.errors import CircuitError, DataError, PlanError
from laxity.core.interpret import run_program
from laxity.core.program import Code, MultiplierUse, Pool, Product, Program, Register, Requantiser, Window
from laxity.core.seeds import stream

spec = importlib.util.spec_from_file_location("program_cases", Path(__file__).with_name("test_program.py"))
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)


def rounded(value):
    return floor(value + Fraction(1, 2))


def clamp(value, low, high):
    return max(low, min(high, value))


def requantised(step, value, channel):
    r = step.requantiser
    scale = Fraction(r.multipliers[channel], 2 ** r.shifts[channel])
    return clamp(rounded(value * scale) + r.zero, r.low, r.high)


def accumulated(products, register):
    """One output's sum, with the adder's gates."""
    if register is None:
        return sum(products)
    adder = adder_catalogue.get(register.adder)
    top = 1 << (register.bits - 1)
    total, chain = 0, register.chain or len(products)
    for start in range(0, len(products), chain):
        state = 0
        for product in products[start : start + chain]:
            wrapped = (product + top) % (2 * top) - top
            following = int(adder.add_signed(np.array([state]), np.array([wrapped]))[0])
            if register.overflow == "saturate" and (state < 0) == (wrapped < 0) != (following < 0):
                following = -top if state < 0 else top - 1
            state = following
        total += state
    return total


def convolved(step, codes, source, table, width):
    """A convolution by loops over batch, outputs, positions, channels and taps."""
    window, per_group = step.window, len(step.weight) // step.groups
    inputs = step.weight.shape[1]
    out = np.zeros((len(codes), *step.shape), np.int64)
    for n, o in itertools.product(range(len(codes)), range(len(step.weight))):
        for place in np.ndindex(*step.shape[1:]):
            products, total = [], 0
            for c in range(inputs):
                for tap in np.ndindex(*window.kernel):
                    at = [p * s + t * d - b for p, s, t, d, b in zip(
                        place, window.stride, tap, window.dilation, window.before, strict=True)]  # fmt: skip
                    inside = all(0 <= i < m for i, m in zip(at, codes.shape[2:], strict=True))
                    a = int(codes[(n, (o // per_group) * inputs + c, *at)]) if inside else source.zero
                    w = int(step.weight[(o, c, *tap)])
                    product = int(table[abs(a) << step.shifts[0], abs(w) << step.shifts[1]])
                    product = -product if (a < 0) != (w < 0) else product
                    assert product % (1 << step.product_shift) == 0
                    products.append(product >> step.product_shift)
                    total += a
            value = accumulated(products, step.register) + int(step.bias[o])
            out[(n, o, *place)] = value - int(step.weight_zero[o]) * (total << step.fraction_bits)
    return out


REGISTERS = (
    None,
    Register(40, "ripple40", "", True),
    Register(11, "ripple11", "", True),
    Register(12, "ripple12", "", True, "saturate"),
    Register(16, "loa16_6", "", False, "wrap", 4),
    Register(13, "loa13_4", "", False, "saturate"),
)


@pytest.mark.parametrize(
    "register", REGISTERS, ids=lambda r: "exact" if r is None else f"{r.adder}_{r.overflow}_{r.chain}"
)
def test_convolutions(register):
    rng = stream(0, "convolutions")
    circuit = catalogue.get("mitchell6")
    source = Code(0.1, 2, -7, 7)
    window = Window((2, 3), (2, 1), (1, 2), (1, 2), (0, 1))
    weight = rng.integers(-3, 4, (4, 2, 2, 3)).astype(np.int32)
    bound = np.full(4, 2**30, np.int32)
    step = Product(
        "conv", ("input",), (4, 3, 5), Code(0.2, 1, 0, 63), "conv", "conv2d", window, 2, weight, -3, 3,
        np.array([0, 1, 0, -1], np.int32), rng.integers(-50, 50, 4).astype(np.int32), "mitchell6", (2, 3), 0, register,
        Requantiser.from_scale([0.01, 0.02, 0.005, 0.0], 1, 0, 63), -bound, bound,
    )  # fmt: skip
    use = MultiplierUse("mitchell6", 6, 6, False, False, circuit.table_sha256)
    codes = rng.integers(-7, 8, (2, 4, 5, 6))
    adders = {"loa16_6": adder_catalogue.get("loa16_6").add, "loa13_4": adder_catalogue.get("loa13_4").add}
    trace = run_program(Program((4, 5, 6), source, (step,), (use,)), codes, {"mitchell6": circuit.table}, adders)
    wanted = convolved(step, codes, source, circuit.table, 6)
    assert np.array_equal(trace["conv:sums"], wanted)
    for place in np.ndindex(*wanted.shape):
        assert trace["conv"][place] == requantised(step, int(wanted[place]), place[1])


def test_sums_of_cut_carries_are_exact_modulo_the_register():
    step = cases.product("linear", "input", (1,), [[7] * 6], register=Register(8, "ripple8", cuts=(4,), chain=4))
    program = Program((6,), cases.CODE, (step,), (cases.USE,))
    trace = run_program(program, np.full((1, 6), 15), {"exact4": cases.TABLE})
    assert trace["linear:sums"].tolist() == [[(4 * 105 + 128) % 256 - 128 + (2 * 105 + 128) % 256 - 128]]


def test_two_complement_operands():
    circuit = catalogue.get("dadda4s")
    step = cases.product("linear", "input", (2,), [[-7, 7, 3], [1, 0, -5]], multiplier="dadda4s")
    use = MultiplierUse("dadda4s", 4, 4, True, True, circuit.table_sha256)
    program = Program((3,), Code(1.0, 0, -8, 7), (step,), (use,))
    codes = np.array([[-8, 7, -1], [0, 3, 4]])
    trace = run_program(program, codes, {"dadda4s": circuit.table})
    assert np.array_equal(trace["linear:sums"], codes @ step.weight.T + step.bias)


def test_every_kind_of_step():
    program = cases.every_step()
    codes = stream(1, "steps").integers(0, 16, (3, 1, 4))
    trace = run_program(program, codes, {"exact4": cases.TABLE}, {"loa14_2": adder_catalogue.get("loa14_2").add})
    assert set(trace) == {"input", "conv:sums", "linear:sums", *(s.name for s in program.steps)}
    assert all(trace[s.name].shape == (3, *s.shape) and trace[s.name].dtype == np.int32 for s in program.steps)
    conv = trace["conv"]
    for value, got in zip(conv.ravel().tolist(), trace["rescale"].ravel().tolist(), strict=True):
        assert got == clamp(rounded(Fraction(*(0.7).as_integer_ratio()) * value), 0, 15)
    total = np.floor_divide(conv + trace["rescale"] + 1, 2)
    assert np.array_equal(trace["add"], np.clip(total, 0, 15))
    assert np.array_equal(trace["join"], np.concatenate([trace["add"], conv], 1))
    assert np.array_equal(trace["pad"], np.pad(trace["join"], ((0, 0), (0, 0), (1, 1))))
    assert np.array_equal(trace["slice"], trace["pad"][:, 1:4:2, 1:5])
    pairs = trace["slice"].reshape(3, 2, 2, 2)
    assert np.array_equal(trace["max"], pairs.max(3))
    assert np.array_equal(trace["average"], (pairs.sum(3) + 1) // 2)
    assert np.array_equal(trace["flat"], trace["both"].reshape(3, 4))
    sums = trace["flat"].sum(1)[:, None] + np.arange(3)
    assert np.array_equal(trace["linear:sums"], sums)
    assert np.array_equal(trace["linear"][:, 0], sums[:, 0])
    assert not trace["linear"][:, 2].any()


def test_pooling_with_padding_and_zero_points():
    code = Code(1.0, 5, 0, 15)
    window = Window((2, 2), (1, 1), (2, 1), (1, 1), (1, 0))
    codes = stream(2, "pooling").integers(0, 16, (2, 3, 4, 3))
    best = Pool("max", ("input",), (3, 4, 3), code, "max", window, None)
    mean = Pool(
        "mean", ("input",), (3, 4, 3), Code(1.0, 2, 0, 15), "average", window, Requantiser.from_scale(0.25, 2, 0, 15)
    )
    trace = run_program(Program((3, 4, 3), code, (best, mean), ()), codes, {})
    for n, c, i, j in np.ndindex(2, 3, 4, 3):
        places = [(i + 2 * u - 1, j + v - 1) for u in (0, 1) for v in (0, 1)]
        inside = [int(codes[n, c, p, q]) for p, q in places if 0 <= p < 4 and 0 <= q < 3]
        assert trace["max"][n, c, i, j] == max(inside, default=0)
        total = Fraction(sum(v - 5 for v in inside), 4)
        assert trace["mean"][n, c, i, j] == clamp(rounded(total) + 2, 0, 15)


def test_inputs_and_circuits_that_do_not_fit_are_refused():
    program = cases.every_step()
    tables = {"exact4": cases.TABLE}
    adders = {"loa14_2": adder_catalogue.get("loa14_2").add}
    good = np.zeros((1, 1, 4), np.int64)
    for codes in (good.astype(float), good[0], np.zeros((1, 1, 5), np.int64), good - 1, good + 16):
        with pytest.raises(DataError, match="codes"):
            run_program(program, codes, tables, adders)
    with pytest.raises(CircuitError, match="give its product table"):
        run_program(program, good, {}, adders)
    with pytest.raises(CircuitError, match="is not the one of the program"):
        run_program(program, good, {"exact4": cases.TABLE + 1}, adders)
    with pytest.raises(CircuitError, match="give this adder"):
        run_program(program, good, tables)
    tight = dataclasses.replace(program.steps[0], greatest_sums=cases.vector(-4000, -4000))
    with pytest.raises(PlanError, match="outside of the bounds"):
        run_program(Program((1, 4), cases.CODE, (tight,), (cases.USE,)), good, tables, adders)
    assert len(run_program(program, good[:0], tables, adders)["linear"]) == 0
