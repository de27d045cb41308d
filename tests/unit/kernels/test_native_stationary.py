"""The activation-stationary kernel, for every instruction set of this machine, against sums by the definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

LEVELS = ["avx512", "avx2", "portable"]
LENGTH = (64, 128, 256)
BLOCK = 64


@pytest.fixture(params=LEVELS, scope="session")
def level(request, native):
    if request.param not in native.module.levels():
        pytest.skip(f"{request.param} is not available on this machine")
    return request.param


class Case:
    """A table by activation code and weight code, as the kernel stores it: less the row of zero, less offsets."""

    def __init__(self, native, rng, kind, planes, bits, codes, flat):
        top, length = 1 << planes * bits, LENGTH[kind]
        self.native, self.kind, self.planes, self.bits = native, kind, planes, bits
        self.skip = int(rng.integers(0, codes))
        stored = rng.integers(0, top, (codes, length))
        stored[:, 0], stored[:, -1] = 0, top - 1
        self.offsets = np.full(codes, rng.integers(-top, top)) if flat else rng.integers(-top, top, codes)
        stored[self.skip], self.offsets[self.skip] = 0, 0
        self.stored = stored
        self.of_zero = rng.integers(-top, top, length)
        self.products = (stored + self.offsets[:, None] + self.of_zero).T

    def run(self, layer, level, threads, x, code, weights, constants, factors, wide, exact, index=None):
        """The kernel's result: sums where `exact`, else scaled; and whether all inputs are finite."""
        y = layer.result(torch.int64 if exact else torch.float32)
        outputs = len(weights)
        per_group = outputs // layer.groups
        grouped = weights.reshape(layer.groups, per_group, weights.shape[1], -1).transpose(0, 3, 2, 1)
        grouped = grouped.reshape(layer.groups, -1, per_group)
        codes = np.zeros((*grouped.shape[:2], -(-per_group // BLOCK) * BLOCK), np.uint8)
        codes[..., :per_group] = grouped
        constants = constants + self.of_zero[weights].reshape(outputs, -1).sum(1)
        table = self.native.pack_rows(self.stored, LENGTH[self.kind], self.planes, self.bits)
        held = [torch.from_numpy(v) for v in (codes, self.offsets, constants, *factors)]
        codes, offsets, constants, scale, gain, bias = (v.data_ptr() for v in held)
        quantiser = torch.tensor(code, dtype=torch.float32)
        finite = self.native.module.stationary_layer(
            level, threads, layer.numbers(x, y), x.data_ptr(), quantiser.data_ptr(),
            0 if index is None else index.data_ptr(), codes, table.data_ptr(), len(self.stored), self.kind, self.planes,
            self.bits, self.skip, offsets, wide, constants, scale, gain, bias, 0 if exact else y.data_ptr(),
            y.data_ptr() if exact else 0,
        )  # fmt: skip
        return y.numpy(), finite


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_sums_of_any_layer_are_exact(native, level, data):
    """Any table, zero, width, number of planes, geometry, memory layout and number of threads."""
    layer = data.draw(native.layers(most_outputs=data.draw(st.sampled_from([8, 70, 300]))))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    planes, bits, kind = (
        data.draw(st.integers(1, 3)),
        data.draw(st.sampled_from([8, 7, 6])),
        data.draw(st.integers(0, 2)),
    )
    wide = planes > 2 or data.draw(st.booleans())
    case = Case(native, rng, kind, planes, bits, data.draw(st.integers(1, 256)), data.draw(st.booleans()))
    count = len(case.stored)
    code = (float(np.float32(rng.uniform(0.01, 2))), case.skip, 0, count - 1)
    values = native.half_steps(rng, (layer.batch, layer.groups * layer.inputs, *layer.size), code[0], 3 * count)
    values *= rng.random(values.shape) < data.draw(st.sampled_from([0, 0.3, 1]))
    weights = rng.integers(0, LENGTH[kind], layer.weights)
    want = layer.sums(case.products, native.encode(values, *code), case.skip, weights)
    constants = rng.integers(-(2**40), 2**40, len(weights)) if wide else rng.integers(-999, 999, len(weights))
    want += constants.reshape(1, -1, 1, 1, 1)
    factors = rng.uniform(0.5, 2, (3, len(weights))).astype(np.float32)
    threads = data.draw(st.integers(1, 2))
    x = layer.input(values)
    sums, finite = case.run(layer, level, threads, x, code, weights, constants, factors, wide, exact=True)
    assert finite
    assert np.array_equal(sums, want)
    result, _ = case.run(layer, level, threads, x, code, weights, constants, factors, wide, exact=False)
    assert np.array_equal(result, native.scaled(want, *factors))


@pytest.mark.parametrize("bits", [6, 7, 8])
def test_long_lists_do_not_overflow(native, level, bits):
    """More activations than one chunk, all products as large as they can be, for one and for several tiles."""
    rng = np.random.default_rng(bits)
    for outputs in (1, 65, 255, 513):
        case = Case(native, rng, 2, 2, bits, 2, flat=True)
        top = (1 << 2 * bits) - 1
        case.skip, case.offsets, case.of_zero = 0, np.zeros(2, np.int64), np.zeros(256, np.int64)
        case.stored = np.array([[0] * 256, [top] * 256])
        layer = native.layer(
            3, 1, 2100, outputs, (1, 1, 1), *[(1, 1, 1)] * 2, *[(0, 0, 0)] * 2, (1, 1, 1), "plain", "plain"
        )
        ones = np.arange(3)[:, None] * 1000 > np.arange(2100)
        x = layer.input(ones.reshape(3, 2100, 1, 1, 1).astype(np.float32))
        weights, factors = rng.integers(0, 256, layer.weights), np.ones((3, outputs), np.float32)
        constants = np.arange(outputs)
        sums, finite = case.run(layer, level, 1, x, (1, 0, 0, 1), weights, constants, factors, False, exact=True)
        assert finite
        assert np.array_equal(sums[..., 0, 0, 0], ones.sum(1)[:, None] * top + constants)


def test_codes_without_products_may_share_the_skipped_one(native, level):
    """A map sends every code whose row is zero to the code that is left out."""
    rng = np.random.default_rng(2)
    case = Case(native, rng, 2, 2, 8, 256, flat=False)
    case.skip = 0
    case.stored[:4], case.offsets[:4] = 0, 0
    products = (case.stored + case.offsets[:, None] + case.of_zero).T
    layer = native.layer(2, 1, 9, 70, (1, 5, 6), (1, 3, 3), *[(1, 1, 1)], *[(0, 1, 1)] * 2, (1, 1, 1), "last", "last")
    index = torch.arange(256, dtype=torch.uint8)
    index[:4] = 0
    values = rng.integers(0, 9, (2, 9, 1, 5, 6)).astype(np.float32)
    weights, factors = rng.integers(0, 256, layer.weights), np.ones((3, 70), np.float32)
    constants = np.zeros(70, np.int64)
    code = (1, 0, 0, 255)
    sums, _ = case.run(layer, level, 1, layer.input(values), code, weights, constants, factors, False, True, index)
    assert np.array_equal(sums, layer.sums(products, values.astype(np.int64), 0, weights))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("source", ["plain", "last", "apart", "wide"])
def test_elements_that_are_not_finite_are_reported(native, level, source, bad):
    rng = np.random.default_rng(3)
    case = Case(native, rng, 1, 1, 8, 9, flat=True)
    layer = native.layer(2, 1, 17, 3, (1, 2, 19), *[(1, 1, 1)] * 2, *[(0, 0, 0)] * 2, (1, 1, 1), source, "plain")
    weights, factors = rng.integers(0, 128, layer.weights), np.ones((3, 3), np.float32)
    for place in (None, (0, 0, 0, 0, 0), (1, 16, 0, 1, 18), (0, 7, 0, 1, 3)):
        values = native.half_steps(rng, (2, 17, 1, 2, 19), 0.5, 99)
        if place is not None:
            values[place] = bad
        _, finite = case.run(
            layer, level, 2, layer.input(values), (0.5, 0, 0, 8), weights, np.zeros(3, np.int64), factors, False, True
        )
        assert finite == (place is None)


def test_what_cannot_be_stored_is_refused(native, level):
    layer = native.layer(1, 1, 1, 1, (1, 1, 1), *[(1, 1, 1)] * 2, *[(0, 0, 0)] * 2, (1, 1, 1), "plain", "plain")
    x = layer.input(np.zeros((1, 1, 1, 1, 1), np.float32))

    def call(entries, rows, numbers):
        nothing = [0] * 7
        native.module.stationary_layer(
            level, 1, numbers, x.data_ptr(), 0, 0, 0, 0, rows, entries, 1, 8, 0, 0, False, *nothing[:6]
        )

    numbers = layer.numbers(x, layer.result(torch.float32))
    with pytest.raises(ValueError, match="unknown layout"):
        call(3, 256, numbers)
    with pytest.raises(ValueError, match="unknown layout"):
        call(2, 257, numbers)
    with pytest.raises(ValueError, match="more weights"):
        call(2, 256, [1, 1 << 16, 1 << 16, 1, *numbers[4:]])
