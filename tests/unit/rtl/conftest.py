"""Random integer-only programs without torch, and their simulation against the interpreter."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st

from laxity.circuits import get
from laxity.core.parts import Code, MultiplierUse, Register, Window
from laxity.core.program import INPUT, Add, Concatenate, Pad, Pool, Product, Program, Rescale, Reshape, Slice
from laxity.core.requantise import GREATEST_SUM, LEAST_SUM, Addition, Requantiser
from laxity.rtl.accelerator import simulate, write_accelerator

SUMS = Code(1.0, 0, LEAST_SUM, GREATEST_SUM)
MULTIPLIERS = ("dadda8", "drum8_4", "mitchell8", "coltrunc8_6", "drum8s_4", "momenitwo8_8")


class Builder:
    """Appends steps with random numbers to a program."""

    def __init__(self, seed, shape, code=None):
        self.rng = np.random.default_rng(seed)
        self.shapes, self.codes, self.steps, self.used = {INPUT: shape}, {INPUT: code or self.code()}, [], {}
        self.input_shape, self.last = shape, INPUT

    def __repr__(self):
        return f"{self.input_shape} " + "; ".join(f"{s.name}={s.kind}{s.inputs}->{s.shape}" for s in self.steps)

    def code(self):
        """A random code of 8 bits or fewer."""
        low, high = [(0, 255), (-128, 127), (0, 100), (-20, 107)][self.rng.integers(4)]
        return Code(1.0, int(self.rng.integers(low, high + 1)), low, high)

    def append(self, kind, shape, code, inputs=None, **values):
        name = f"s{len(self.steps)}"
        self.steps.append(kind(name=name, inputs=inputs or (self.last,), shape=shape, code=code, **values))
        self.shapes[name], self.codes[name], self.last = shape, code, name
        return name

    def product(self, outputs, multiplier="dadda8", kernel=(), groups=1, code=None, register=None, zeros=False,
                shifts=(0, 0), **window):  # fmt: skip
        shape, source, use = self.shapes[self.last], self.codes[self.last], get(multiplier)
        self.used[multiplier] = use
        dims = len(kernel)
        placed = {"stride": (1,) * dims, "dilation": (1,) * dims, "before": (0,) * dims, "after": (0,) * dims, **window}
        area = Window(kernel, **placed)
        limit = 127 >> shifts[1]
        weight = self.rng.integers(-limit, limit + 1, (outputs, shape[0] // groups, *kernel)).astype(np.int32)
        zero = self.rng.integers(-9, 10, outputs) if zeros else np.zeros(outputs, int)
        bias = self.rng.integers(-5000, 5001, outputs)
        out = code or self.code()
        spread = 40 * np.sqrt(weight[0].size) * (source.high - source.low + 1) / 5
        scale = (out.high - out.low + 1) / spread if out is not SUMS else 1.0
        scales = scale * self.rng.uniform(0.5, 2, outputs) / (1 << sum(shifts))
        bound = np.full(outputs, weight[0].size * (1 << 17) + 5000)
        return self.append(
            Product, (outputs, *area.output_size(shape[1:])), out, site="", window=area, groups=groups,
            operation=f"conv{dims}d" if dims else "linear", weight=weight, weight_low=-limit, weight_high=limit,
            weight_zero=zero.astype(np.int32), bias=bias.astype(np.int32), multiplier=multiplier,
            shifts=shifts, product_shift=0, register=register,
            requantiser=Requantiser.from_scale(scales.tolist(), out.zero, out.low, out.high),
            least_sums=(-bound).astype(np.int32), greatest_sums=bound.astype(np.int32),
        )  # fmt: skip

    def pool(self, operation, kernel, stride, before):
        shape, source = self.shapes[self.last], self.codes[self.last]
        dims = len(shape) - 1
        window = Window((kernel,) * dims, (stride,) * dims, (1,) * dims, (before,) * dims, (before,) * dims)
        average = operation == "average"
        code = self.code() if average else source
        quantiser = Requantiser.from_scale(0.9 / kernel**dims, code.zero, code.low, code.high) if average else None
        size = window.output_size(shape[1:])
        return self.append(Pool, (shape[0], *size), code, operation=operation, window=window, requantiser=quantiser)

    def rescale(self):
        code = self.code()
        quantiser = Requantiser.from_scale(float(self.rng.uniform(0.2, 3)), code.zero, code.low, code.high)
        return self.append(Rescale, self.shapes[self.last], code, requantiser=quantiser)

    def add(self, left, right, code=None):
        code = code or self.code()
        zeros = (self.codes[left].zero, self.codes[right].zero)
        scales = tuple(self.rng.uniform(0.1, 1, 2).tolist())
        addition = Addition.from_scales(scales, zeros, code.zero, code.low, code.high)
        return self.append(Add, self.shapes[left], code, (left, right), addition=addition)

    def pad(self, before, after):
        shape = tuple(n + b + a for n, b, a in zip(self.shapes[self.last], before, after, strict=True))
        return self.append(Pad, shape, self.codes[self.last], before=before, after=after)

    def cut(self, start, stride, shape):
        return self.append(Slice, shape, self.codes[self.last], start=start, stride=stride)

    def join(self, names, axis):
        shape = list(self.shapes[names[0]])
        shape[axis] = sum(self.shapes[n][axis] for n in names)
        return self.append(Concatenate, tuple(shape), self.codes[names[0]], tuple(names), axis=axis)

    def flatten(self):
        return self.append(Reshape, (int(np.prod(self.shapes[self.last])),), self.codes[self.last])

    @property
    def program(self):
        uses = [
            MultiplierUse(name, m.a_bits, m.b_bits, m.a_signed, m.b_signed, m.table_sha256)
            for name, m in self.used.items()
        ]
        return Program(self.input_shape, self.codes[INPUT], tuple(self.steps), tuple(uses))

    def inputs(self, count):
        code = self.codes[INPUT]
        return self.rng.integers(code.low, code.high + 1, (count, *self.input_shape)).astype(np.int32)


def usable(builder, multiplier):
    """A multiplier that takes the codes of the last value: signed ones want two's complement."""
    code, use = builder.codes[builder.last], get(multiplier)
    return multiplier if not use.a_signed or code.high < 128 else "dadda8"


@st.composite
def programs(draw):
    """A random program whose input has 1 to 3 dimensions."""
    shape = draw(st.sampled_from([(1, 6, 5), (3, 5, 6), (9, 4, 4), (4, 11), (13,)]))
    b = Builder(draw(st.integers(0, 2**20)), shape)
    dims = len(shape) - 1
    kinds = (
        ["conv", "conv", "pool", "average", "rescale", "residual", "pad", "cut"] if dims else ["rescale", "residual"]
    )
    for _ in range(draw(st.integers(1, 3))):
        _step(b, draw, draw(st.sampled_from(kinds)), dims)
    if dims:
        b.flatten()
    b.product(draw(st.integers(1, 11)), usable(b, draw(st.sampled_from(MULTIPLIERS))), code=SUMS)
    return b


def _step(b, draw, kind, dims):
    shape = b.shapes[b.last]
    if kind == "conv":
        kernel, stride, dilation = (tuple(draw(st.integers(1, n)) for _ in range(dims)) for n in (3, 2, 2))
        around = {side: tuple(draw(st.integers(0, 2)) for _ in range(dims)) for side in ("before", "after")}
        parts = zip(shape[1:], kernel, dilation, around["before"], around["after"], strict=True)
        if all(n + x + y > d * (k - 1) for n, k, d, x, y in parts):
            b.product(
                draw(st.integers(1, 10)), usable(b, draw(st.sampled_from(MULTIPLIERS))), kernel, stride=stride,
                dilation=dilation, zeros=draw(st.booleans()), **around,
            )  # fmt: skip
    elif kind in ("pool", "average") and min(shape[1:]) > 1:
        kernel = draw(st.integers(1, 2))
        b.pool("max" if kind == "pool" else kind, kernel, draw(st.integers(1, 2)), draw(st.integers(0, kernel - 1)))
    elif kind == "rescale":
        b.rescale()
    elif kind == "residual":
        first = b.last
        b.add(first, b.rescale())
    elif kind == "pad":
        b.pad(
            (draw(st.integers(0, 5)), *(draw(st.integers(0, 1)),) * dims),
            tuple(draw(st.integers(0, 2)) for _ in range(dims + 1)),
        )
    elif kind == "cut":
        b.cut((0,) * (dims + 1), (1, *(2,) * dims), (draw(st.integers(1, shape[0])), *(-(-n // 2) for n in shape[1:])))


@pytest.fixture(scope="session")
def lab():
    """The functions above."""

    def run(builder, configuration, folder, images=2, **options):
        if shutil.which("iverilog") is None:
            pytest.skip("iverilog is not installed")
        written = write_accelerator(builder.program, builder.used, configuration, folder, builder.inputs(images))
        found = simulate(folder, **options)
        assert [s.cycles for s in found.steps] == [s.counts.cycles for s in written.schedule.steps]
        assert found.mismatches == 0, found
        assert found.passed, found
        products = [s for s in found.steps if s.kind == "product"]
        assert all(s.sums for s in products)
        assert found.results == images * int(np.prod(builder.program.output.shape))
        return written, found

    return SimpleNamespace(
        Builder=Builder, programs=programs, run=run, SUMS=SUMS, MULTIPLIERS=MULTIPLIERS, Register=Register
    )
