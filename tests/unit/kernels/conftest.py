"""Shared by the tests of the compiled kernels: random layers, their memory, and sums written from their definition."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

ENTRIES = (64, 128, 256, 128)
"""Bytes of a plane by kind of table; the last kind has a sign in bit 7 of its indices."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution over three spatial dimensions and how its tensors lie in memory."""

    batch: int
    groups: int
    inputs: int
    outputs: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]
    source: str
    target: str

    @property
    def out(self) -> tuple[int, ...]:
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        padded = [n + b + a for n, b, a in zip(self.size, self.before, self.after, strict=True)]
        return tuple(max(0, (p - r) // s + 1) for p, r, s in zip(padded, reach, self.stride, strict=True))

    @property
    def weights(self) -> tuple[int, ...]:
        return (self.groups * self.outputs, self.inputs, *self.kernel)

    def numbers(self, x: torch.Tensor, y: torch.Tensor) -> list[int]:
        """What the compiled module wants to know."""
        lead = [self.batch, self.groups * self.inputs, self.groups * self.outputs, self.groups]
        space = [self.size, self.kernel, self.stride, self.before, self.after, self.dilation]
        return [*lead, *itertools.chain(*space), *x.stride(), *y.stride()]

    def memory(self, layout: str, channels: int, size: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Zeros in the named layout."""
        if layout == "apart":
            return torch.zeros(self.batch, channels, *size[:2], 2 * size[2] + 1, dtype=dtype)[..., : 2 * size[2] : 2]
        if layout == "wide":
            return torch.zeros(self.batch, *size, channels + 3, dtype=dtype)[..., :channels].permute(0, 4, 1, 2, 3)
        tensor = torch.zeros(self.batch, channels, *size, dtype=dtype)
        return tensor.contiguous(memory_format=torch.channels_last_3d) if layout == "last" else tensor

    def input(self, values: np.ndarray) -> torch.Tensor:
        x = self.memory(self.source, self.groups * self.inputs, self.size, torch.float32)
        return x.copy_(torch.from_numpy(values))

    def result(self, dtype: torch.dtype) -> torch.Tensor:
        return self.memory(self.target, self.groups * self.outputs, self.out, dtype)

    def sums(self, products: np.ndarray, index: np.ndarray, padding: int, weights: np.ndarray) -> np.ndarray:
        """Sums of ``products[weight, index]`` over all windows, one tap of one channel after the other."""
        around = [(0, 0), (0, 0), *zip(self.before, self.after, strict=True)]
        padded = np.pad(index, around, constant_values=padding)
        total = np.zeros((self.batch, self.groups * self.outputs, *self.out), np.int64)
        for n, c in itertools.product(range(total.shape[1]), range(self.inputs)):
            plane = padded[:, n // self.outputs * self.inputs + c]
            for tap in itertools.product(*map(range, self.kernel)):
                window = tuple(
                    slice(t * d, t * d + s * (o - 1) + 1, s)
                    for t, d, s, o in zip(tap, self.dilation, self.stride, self.out, strict=True)
                )
                total[:, n] += products[weights[(n, c, *tap)]][plane[(slice(None), *window)]]
        return total


@st.composite
def layers(draw: st.DrawFn, most_outputs: int) -> Layer:
    """Layers of any geometry that have at least one output position."""

    def three(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(3))

    def layout() -> str:
        return draw(st.sampled_from(["plain", "last", "apart", "wide"]))

    kernel, dilation, before, after = three(1, 3), three(1, 2), three(0, 2), three(0, 2)
    least = [max(1, d * (k - 1) + 1 - b - a) for d, k, b, a in zip(dilation, kernel, before, after, strict=True)]
    size = tuple(n + draw(st.integers(0, most)) for n, most in zip(least, (1, 4, 20), strict=True))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    return Layer(
        batch=draw(st.integers(1, 3)),
        groups=groups,
        inputs=draw(st.integers(1, 7)),
        outputs=draw(st.integers(1, max(1, most_outputs // groups))),
        size=size,
        kernel=kernel,
        stride=three(1, 3),
        before=before,
        after=after,
        dilation=dilation,
        source=layout(),
        target=layout(),
    )


def pack_rows(values: np.ndarray, entries: int, planes: int, bits: int) -> torch.Tensor:
    """Rows of non-negative numbers as the kernels store them: planes of `bits` bits, two and two."""
    parts = []
    for pair in range(0, planes, 2):
        rows = np.zeros((len(values), min(2, planes - pair), entries), np.uint8)
        for p in range(rows.shape[1]):
            rows[:, p, : values.shape[1]] = values >> bits * (pair + p) & (1 << bits) - 1
        parts.append(rows.reshape(-1))
    return torch.from_numpy(np.concatenate(parts)).clone()


def encode(x: np.ndarray, scale: float, zero: int, low: int, high: int) -> np.ndarray:
    """Codes by their definition, in float32 as the kernels compute them."""
    return np.clip(np.rint(x / np.float32(scale)) + np.float32(zero), low, high).astype(np.int64)


def scaled(total: np.ndarray, scale: np.ndarray, gain: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Sums (B, N, ...) as float32 results."""
    scale, gain, bias = (v.reshape(1, -1, 1, 1, 1) for v in (scale, gain, bias))
    return total.astype(np.float32) * scale * gain + bias


def half_steps(rng: np.random.Generator, shape: tuple[int, ...], scale: float, reach: int) -> np.ndarray:
    """Inputs at and between the steps of a quantiser, ties among them, and beyond its range."""
    return (rng.integers(-reach, reach + 1, shape) * np.float32(scale) * np.float32(0.5)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Native:
    """The compiled module and the tools above."""

    module: object

    layer = Layer
    layers = staticmethod(layers)
    pack_rows = staticmethod(pack_rows)
    encode = staticmethod(encode)
    scaled = staticmethod(scaled)
    half_steps = staticmethod(half_steps)


@pytest.fixture(scope="session")
def native() -> Native:
    """The compiled kernels, with tools to test them; the test is skipped where they were not built."""
    return Native(pytest.importorskip("laxity.kernels._native", reason="laxity is installed without compiled kernels"))
