"""Look-up by the compiled kernels, for every instruction set of this machine, against sums by the definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

LEVELS = ["avx512", "avx2", "portable"]
K64, K128, K256, SIGNED = range(4)
LENGTH = {K64: 64, K128: 128, K256: 256, SIGNED: 128}
EXAMPLES = 40


@pytest.fixture(params=LEVELS, scope="session")
def level(request, native):
    if request.param not in native.module.levels():
        pytest.skip(f"{request.param} is not available on this machine")
    return request.param


class Case:
    """A table with random rows and the codes that index it.

    ``products[w, i]`` is the product of weight row w with index byte i; rows hold it less its minimum, or, with a
    sign, in the form of which the complement is the negative.
    """

    def __init__(self, rng, kind, planes, bits, rows, mapped):
        length, top = LENGTH[kind], 1 << planes * bits
        self.kind, self.planes, self.bits, self.rows = kind, planes, bits, rows
        self.scale = 1.0
        stored = rng.integers(0, top, (rows, length))
        stored[:, 0], stored[:, -1] = 0, top - 1
        self.zero_row, self.map = 0, None
        if kind == SIGNED:
            self.low, self.high, self.zero = -127, 127, 0
            stored = np.concatenate([stored, np.full((1, length), top // 2)])
            self.zero_row = rows
            magnitudes = stored - top // 2
            self.products = np.concatenate([magnitudes, -magnitudes], axis=1)
            codes = np.arange(-127, 128)
            self.map = np.where(codes < 0, 128 - codes, codes).astype(np.uint8)
            self.constant = np.zeros(rows + 1, np.int64)
        else:
            self.zero = int(rng.integers(0, length // 2))
            self.low, self.high = 0, length - 1
            self.constant = rng.integers(-top, top, rows)
            self.products = stored + self.constant[:, None]
            self.map = rng.permutation(length).astype(np.uint8) if mapped else None
        self.stored = stored

    def index(self, codes):
        shifted = codes - self.low
        return shifted if self.map is None else self.map[shifted].astype(np.int64)


def run(native, layer, case, level, threads, x, weights, constants, factors, wide, exact):
    """The compiled kernel's result: sums where `exact`, else scaled."""
    y = layer.result(torch.int64 if exact else torch.float32)
    table = native.pack_rows(case.stored, LENGTH[case.kind], case.planes, case.bits)
    quantiser = torch.tensor([case.scale, case.zero, case.low, case.high], dtype=torch.float32)
    codes = torch.from_numpy(weights.astype(np.uint8).reshape(-1)).clone()
    index = None if case.map is None else torch.from_numpy(np.resize(case.map, 256)).clone()
    constants = torch.from_numpy(constants)
    scale, gain, bias = (torch.from_numpy(v) for v in factors)
    finite = native.module.table_layer(
        level, threads, layer.numbers(x, y), x.data_ptr(), quantiser.data_ptr(),
        0 if index is None else index.data_ptr(), codes.data_ptr(), table.data_ptr(), len(case.stored), case.kind,
        case.planes, case.bits, case.zero_row, wide, constants.data_ptr(), scale.data_ptr(), gain.data_ptr(),
        bias.data_ptr(), 0 if exact else y.data_ptr(), y.data_ptr() if exact else 0,
    )  # fmt: skip
    return y, finite


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_sums_of_any_layer_are_exact(native, level, data):
    """Any table, width, number of planes, geometry, memory layout and number of threads."""
    layer = data.draw(native.layers(most_outputs=40))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    planes, bits = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([8, 7, 6]))
    kind = data.draw(st.sampled_from([K64, K128, K256] if planes > 2 else [K64, K128, K256, SIGNED]))
    wide = planes > 2 or (kind != SIGNED and data.draw(st.booleans()))
    case = Case(rng, kind, planes, bits, data.draw(st.integers(1, 255)), data.draw(st.booleans()))
    case.scale = float(np.float32(rng.uniform(0.01, 2)))
    threads = data.draw(st.integers(1, 2))
    shape = (layer.batch, layer.groups * layer.inputs, *layer.size)
    values = native.half_steps(rng, shape, case.scale, 3 * LENGTH[kind])
    weights = rng.integers(0, case.rows, layer.weights)
    index = case.index(native.encode(values, case.scale, case.zero, case.low, case.high))
    padding = case.index(np.array(case.zero))
    want = layer.sums(case.products, index, padding, weights)
    extra = rng.integers(-(2**40), 2**40, want.shape[1]) if wide else rng.integers(-999, 999, want.shape[1])
    constants = extra + case.constant[weights].reshape(want.shape[1], -1).sum(1)
    want += extra.reshape(1, -1, 1, 1, 1)
    factors = rng.uniform(0.5, 2, (3, want.shape[1])).astype(np.float32)
    x = layer.input(values)
    sums, finite = run(native, layer, case, level, threads, x, weights, constants, factors, wide, exact=True)
    assert finite
    assert np.array_equal(sums.numpy(), want)
    result, _ = run(native, layer, case, level, threads, x, weights, constants, factors, wide, exact=False)
    assert np.array_equal(result.numpy(), native.scaled(want, *factors))


@pytest.mark.parametrize("bits", [6, 7, 8])
@pytest.mark.parametrize("kind", [K64, K128, K256, SIGNED])
def test_long_reductions_do_not_overflow(native, level, kind, bits):
    """More terms than one chunk, all of them as large as they can be, at every width of a tile."""
    channels = 1100
    for positions in (3, 65, 130, 193, 256):
        rng = np.random.default_rng(positions)
        case = Case(rng, kind, 2, bits, 3, mapped=False)
        case.zero = 0
        case.stored[:] = (1 << 2 * bits) - 1
        case.constant[:] = 0
        numbers = [1, channels, 2, 1, 1, 1, positions, *[1] * 6, *[0] * 6, *[1] * 3]
        x = torch.full((channels, positions), float(LENGTH[kind] - 1))
        y = torch.zeros(2, positions, dtype=torch.int64)
        case_layer = _Flat(numbers, x, y)
        weights, factors = np.zeros((2, channels), np.int64), np.ones((3, 2), np.float32)
        if kind == SIGNED:
            case.stored[case.zero_row] = 1 << 2 * bits - 1
        constants = np.array([0, 7])
        got, finite = run(native, case_layer, case, level, 1, x, weights, constants, factors, False, exact=True)
        each = (1 << 2 * bits) - 1 - (1 << 2 * bits - 1) * (kind == SIGNED)
        assert finite
        assert (got[0] == channels * each).all()
        assert (got[1] == channels * each + 7).all()


class _Flat:
    """A matrix product as a layer with one tap: positions lie along the last dimension."""

    def __init__(self, numbers, x, y):
        self._numbers = [*numbers, 0, x.stride(0), 0, 0, x.stride(1), 0, y.stride(0), 0, 0, y.stride(1)]
        self._y = y

    def numbers(self, x, y):
        return self._numbers

    def result(self, dtype):
        return self._y


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("source", ["plain", "last", "apart", "wide"])
def test_elements_that_are_not_finite_are_reported(native, level, source, bad):
    rng = np.random.default_rng(3)
    case = Case(rng, K128, 1, 8, 4, mapped=False)
    case.scale, case.zero = 0.5, 0
    layer = _layer(native, source)
    values = native.half_steps(rng, (layer.batch, layer.inputs, *layer.size), 0.5, 99)
    weights, factors = rng.integers(0, 4, layer.weights), np.ones((3, layer.outputs), np.float32)
    constants = np.zeros(layer.outputs, np.int64)
    for place in (None, (0, 0, 0, 0, 0), (1, 16, 0, 1, 18), (0, 7, 0, 1, 3)):
        if place is not None:
            values[place] = bad
        x = layer.input(values)
        _, finite = run(native, layer, case, level, 1, x, weights, constants, factors, False, exact=True)
        assert finite == (place is None)
        if place is not None:
            values[place] = 0


def _layer(native, source):
    return native.layer(2, 1, 17, 3, (1, 2, 19), *[(1, 1, 1)] * 2, *[(0, 0, 0)] * 2, (1, 1, 1), source, "plain")


def test_elementwise_functions_agree_with_their_definition(native, level):
    rng = np.random.default_rng(5)
    x = native.half_steps(rng, (1003,), 0.37, 600)
    gradient = rng.normal(size=1003).astype(np.float32)
    quantiser = torch.tensor([0.37, 3, -100, 90], dtype=torch.float32)
    codes = native.encode(x, 0.37, 3, -100, 90)
    free = np.rint(x / np.float32(0.37)) + np.float32(3)
    out = torch.zeros(1003)
    source, other = torch.from_numpy(x), torch.from_numpy(gradient)
    native.module.represent(level, 2, source.data_ptr(), 1003, quantiser.data_ptr(), out.data_ptr())
    assert np.array_equal(out.numpy(), (codes - 3).astype(np.float32) * np.float32(0.37))
    native.module.pass_gradient(
        level, 2, other.data_ptr(), source.data_ptr(), 1003, quantiser.data_ptr(), out.data_ptr()
    )
    assert np.array_equal(out.numpy(), np.where((free >= -100) & (free <= 90), gradient, 0))


def test_unknown_levels_are_refused(native):
    with pytest.raises(ValueError, match="unknown or not available"):
        native.module.represent("mmx", 1, 0, 0, 0, 0)
