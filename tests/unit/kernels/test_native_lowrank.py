"""The compiled low-rank kernel against convolutions of the mapped codes in float64, which holds these sums exactly."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv3d, pad

native = pytest.importorskip("laxity.kernels._native", reason="laxity is installed without compiled kernels")

LEVELS = st.sampled_from(native.levels())
THREADS = st.integers(1, 3)
LAYOUTS = st.sampled_from([(0, 1, 2, 3, 4), (0, 2, 3, 4, 1), (4, 1, 0, 3, 2), (3, 0, 4, 1, 2)])
LINE = 64
"""Bytes of a cache line; outputs are aligned to it where the kernel's whole-line stores are to be reached."""


@dataclass(frozen=True)
class Shape:
    """A convolution over three dimensions, of which the first may be trivial."""

    batch: int
    groups: int
    inputs: int
    outputs: int
    size: tuple[int, int, int]
    kernel: tuple[int, int, int] = (1, 1, 1)
    stride: tuple[int, int, int] = (1, 1, 1)
    before: tuple[int, int, int] = (0, 0, 0)
    after: tuple[int, int, int] = (0, 0, 0)
    dilation: tuple[int, int, int] = (1, 1, 1)

    @property
    def channels(self):
        return self.inputs * self.groups

    @property
    def out_channels(self):
        return self.outputs * self.groups

    def out(self):
        sizes = zip(self.size, self.kernel, self.stride, self.before, self.after, self.dilation, strict=True)
        return tuple(max(0, (n + b + a - d * (k - 1) - 1) // s + 1) for n, k, s, b, a, d in sizes)

    def numbers(self, x, y):
        parts = (self.size, self.kernel, self.stride, self.before, self.after, self.dilation, x.stride(), y.stride())
        return [self.batch, self.channels, self.out_channels, self.groups, *(i for part in parts for i in part)]


@st.composite
def shapes(draw):
    space = draw(st.integers(1, 3))

    def spatial(values, neutral):
        return tuple([neutral] * (3 - space) + [draw(values) for _ in range(space)])

    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    padding = st.integers(0, 2) if draw(st.booleans()) else st.just(0)
    return Shape(
        draw(st.integers(0, 3)),
        groups,
        draw(st.sampled_from([1, 3, 4, 5, 16, 18] + ([67] if groups == 1 else []))),
        draw(st.sampled_from([1, 7, 16, 18, 33] + ([64, 130] if groups == 1 else []))),
        spatial(st.integers(1, (40, 18, 7)[space - 1]), 1),
        spatial(st.sampled_from([1, 1, 2, 3, 4]), 1),
        spatial(st.integers(1, 3), 1),
        spatial(padding, 0),
        spatial(padding, 0),
        spatial(st.integers(1, 2), 1),
    )


def strided(values, order):
    """The same values, stored in another order of dimensions."""
    return values.permute(order).contiguous().permute(tuple(np.argsort(order)))


class Layer:
    """Operands of one layer, and what it computes by definition."""

    def __init__(self, shape, terms, factors, seed=0):
        rng = np.random.default_rng(seed)
        self.shape, self.terms, self.factors = shape, terms, factors
        count, n = sum(terms), shape.out_channels
        self.maps = torch.from_numpy(rng.integers(0, 256, (count, 256)).astype(np.uint8))
        rows = rng.integers(0, 256, (n, shape.inputs, *shape.kernel)).astype(np.uint8)
        maps = rng.integers(-128, 128, (count, 256)).astype(np.int8)
        self.rows, self.weight_maps = torch.from_numpy(rows), torch.from_numpy(maps)
        self.low = int(rng.choice([-128, -7, 0]))
        self.high = self.low + int(rng.choice([15, 127, 255]))
        self.zero = int(rng.choice([self.low - 3, self.low, 0, 5, self.high]))
        self.step = float(np.float32(rng.choice([0.5, 0.37, 2.0])))
        spread = 0.6 * self.step * (self.high - self.low)
        self.x = torch.from_numpy(rng.normal(0, spread, (shape.batch, shape.channels, *shape.size)).astype(np.float32))
        self.constants = torch.from_numpy(rng.integers(-(10**6), 10**6, n))
        self.scale, self.gain, self.bias = (
            torch.from_numpy(rng.uniform(-1, 1, n).astype(np.float32)) for _ in range(3)
        )

    @property
    def weights(self):
        """Mapped weights, int8 (terms, outputs, inputs, *kernel)."""
        return self.weight_maps[:, self.rows.long()]

    def sums(self):
        """Sums over the mapped codes, int64."""
        codes = (torch.round(self.x / self.step) + self.zero).clamp(self.low, self.high) - self.low
        nothing = min(max(self.zero, self.low), self.high) - self.low
        margins = [i for d in (2, 1, 0) for i in (self.shape.before[d], self.shape.after[d])]
        index = pad(codes, margins, value=float(nothing)).long()
        total = torch.zeros(self.shape.batch, self.shape.out_channels, *self.shape.out(), dtype=torch.int64)
        total += self.constants.view(-1, 1, 1, 1)
        factors = [f for f, count in zip(self.factors, self.terms, strict=True) for _ in range(count)]
        if total.numel() == 0:
            return total
        for factor, table, weight in zip(factors, self.maps, self.weights, strict=True):
            part = conv3d(
                table[index].double(), weight.double(), None, self.shape.stride, 0, self.shape.dilation,
                self.shape.groups,
            )  # fmt: skip
            assert part.abs().max() < 2**53
            total += factor * part.long()
        return total

    def scaled(self, sums, *, biased=True):
        scale, gain, bias = (v.view(-1, 1, 1, 1) for v in (self.scale, self.gain, self.bias))
        values = sums.float() * scale * gain
        return values + bias if biased else values

    def packed(self):
        shape = self.shape
        sizes = (shape.out_channels, shape.inputs, math.prod(shape.kernel), shape.groups, self.terms)
        packed = torch.empty(native.lowrank_size(*sizes), dtype=torch.int8)
        places = self.rows.data_ptr(), self.weight_maps.data_ptr(), self.weight_maps.shape[1]
        native.lowrank_pack(*places, *sizes, packed.data_ptr())
        return packed

    def run(self, level, threads, x, y, *, wide=False, biased=True):
        """Fills y, int64 or float32; whether the kernel found every element finite."""
        code = torch.tensor([self.step, self.zero, self.low, self.high])
        packed = self.packed()
        places = (0, y.data_ptr()) if y.dtype == torch.int64 else (y.data_ptr(), 0)
        return native.lowrank_layer(
            level, threads, self.shape.numbers(x, y), x.data_ptr(), code.data_ptr(), self.maps.data_ptr(), self.terms,
            self.factors, packed.data_ptr(), wide, self.constants.data_ptr(), self.scale.data_ptr(),
            self.gain.data_ptr(), self.bias.data_ptr() if biased else 0, *places,
        )  # fmt: skip

    def check(self, level, threads, *, wide=False, biased=True, order=(0, 1, 2, 3, 4), out_order=(0, 1, 2, 3, 4)):
        sums = self.sums()
        x = strided(self.x, order)
        found = strided(torch.full_like(sums, -1), out_order)
        assert self.run(level, threads, x, found, wide=wide)
        assert torch.equal(found, sums)
        scaled = strided(torch.full(sums.shape, math.nan), out_order)
        assert self.run(level, threads, x, scaled, wide=wide, biased=biased)
        assert torch.equal(scaled, self.scaled(sums, biased=biased))


BUNDLES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, -1, 3, 16, -100])), min_size=1, max_size=3)


@settings(deadline=None, max_examples=50)
@given(
    shape=shapes(), bundles=BUNDLES, seed=st.integers(0, 10**6), level=LEVELS, threads=THREADS, wide=st.booleans(),
    biased=st.booleans(), order=LAYOUTS, out_order=LAYOUTS,
)  # fmt: skip
def test_layers_are_exact(shape, bundles, seed, level, threads, wide, biased, order, out_order):
    layer = Layer(shape, [n for n, _ in bundles], [f for _, f in bundles], seed)
    layer.check(level, threads, wide=wide, biased=biased, order=order, out_order=out_order)


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 120), inputs=st.integers(1, 150), outputs=st.integers(1, 150), level=LEVELS, threads=THREADS)
def test_linear_layers_are_exact(rows, inputs, outputs, level, threads):
    """Rows as positions and rows as samples are the same layer."""
    channels_last = (0, 2, 3, 4, 1)
    for batch, positions in ((1, rows), (rows, 1)):
        layer = Layer(Shape(batch, 1, inputs, outputs, (1, 1, positions)), [2], [1], rows)
        layer.check(level, threads, order=channels_last, out_order=channels_last)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize(("inputs", "kernel"), [(66_001, 1), (33_000, 3)])
def test_sums_beyond_31_bits_are_exact(level, inputs, kernel):
    layer = Layer(Shape(1, 1, inputs, 5, (1, 1, 4), (1, 1, kernel)), [1, 1], [1, 10**6])
    layer.maps[:] = 255
    layer.weight_maps[:, 1:] = -128
    layer.rows[:, 3:] = 1
    assert layer.sums().abs().max() > 2**40
    layer.check(level, 2, wide=True)


@pytest.mark.parametrize("level", native.levels())
def test_extreme_bytes_do_not_saturate(level):
    layer = Layer(Shape(1, 1, 64, 16, (1, 4, 4), (1, 3, 3)), [1], [1])
    layer.maps[:] = 255
    for weight in (-128, 127):
        layer.weight_maps[:] = weight
        layer.check(level, 1)


@pytest.mark.parametrize("level", native.levels())
def test_intermediate_sums_may_exceed_31_bits(level):
    """Only the total has to fit: two bundles of large factors cancel."""
    layer = Layer(Shape(1, 1, 64, 16, (1, 1, 20)), [1, 1], [10**6, 1 - 10**6])
    layer.maps[1], layer.weight_maps[1] = layer.maps[0], layer.weight_maps[0]
    layer.check(level, 2)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 2, 3, 4, 1)])
def test_outputs_larger_than_the_caches_are_exact(level, order):
    """They are stored past the caches, in whole lines where they are aligned and otherwise not."""
    shape = Shape(2, 1, 4, 80, (1, 165, 160))
    layer = Layer(shape, [1], [1])
    sums, x = layer.sums(), layer.x
    memory = torch.empty(sums.numel() + LINE)
    for shift in (0, 1):
        start = -memory.data_ptr() // memory.element_size() % (LINE // memory.element_size()) + shift
        stored = [sums.shape[d] for d in order]
        y = memory[start : start + sums.numel()].view(stored).permute(tuple(np.argsort(order)))
        assert layer.run(level, 2, x, y)
        assert torch.equal(y, layer.scaled(sums))


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 2, 3, 4, 1)])
def test_elements_that_are_not_finite_are_reported(level, value, order):
    layer = Layer(Shape(2, 1, 20, 8, (1, 9, 19), (1, 3, 3)), [1], [1])
    y = torch.empty(2, 8, 1, 7, 17)
    for place in ((0, 0, 0, 0, 0), (1, 19, 0, 8, 18), (1, 7, 0, 4, 16)):
        x = strided(layer.x, order).clone(memory_format=torch.preserve_format)
        assert layer.run(level, 2, x, y)
        x[place] = value
        assert not layer.run(level, 2, x, y)


@pytest.mark.parametrize("level", native.levels())
def test_elements_that_no_output_reads_do_not_matter(level):
    layer = Layer(Shape(2, 1, 20, 8, (1, 9, 19), stride=(1, 2, 2)), [1], [1])
    layer.x[:, :, :, 1::2] = math.nan
    layer.x[:, :, :, :, 1::2] = math.inf
    y = torch.empty(2, 8, *layer.shape.out(), dtype=torch.int64)
    assert layer.run(level, 2, layer.x, y)
    layer.x = layer.x.nan_to_num(0.0, 0.0, 0.0)
    assert torch.equal(y, layer.sums())


def test_bundles_and_shapes_that_fit_nothing_are_refused():
    layer = Layer(Shape(1, 1, 4, 4, (1, 1, 4)), [1], [1])
    y = torch.empty(1, 4, 1, 1, 4)
    for terms, factors in (([], []), ([1], [1, 2])):
        layer.terms, layer.factors = [1], [1]
        packed = layer.packed()
        with pytest.raises(ValueError, match="every bundle of terms has one factor"):
            native.lowrank_layer(
                "portable", 1, layer.shape.numbers(layer.x, y), layer.x.data_ptr(), 0, 0, terms, factors,
                packed.data_ptr(), False, 0, 0, 0, 0, y.data_ptr(), 0,
            )  # fmt: skip
    with pytest.raises(ValueError, match="wrong"):
        native.lowrank_size(5, 4, 1, 2, [1])
    with pytest.raises(ValueError, match="fewer than no terms"):
        native.lowrank_size(4, 4, 1, 2, [-1])
