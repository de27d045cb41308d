"""Independent references of what emulated layers must compute, written as loops over the definition."""

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from laxity.emulate.build import calibrate
from laxity.emulate.layer import EmulatedLayer
from laxity.kernels import native, products_for
from laxity.kernels.wide import integer_products
from laxity.sites import find_sites
from laxity.techniques import Integer
from laxity.techniques.context import BuildContext

CONVOLUTIONS = {
    (1, False): nn.Conv1d,
    (2, False): nn.Conv2d,
    (3, False): nn.Conv3d,
    (1, True): nn.ConvTranspose1d,
    (2, True): nn.ConvTranspose2d,
    (3, True): nn.ConvTranspose3d,
}
NUMPY_PADDING = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def signed_products(multiplier, left, right, shifts):
    """Products of int64 arrays of equal shape by a circuit on magnitudes in the upper bits, sign bits joined by xor."""
    magnitude = multiplier.table[np.abs(left) << shifts[0], np.abs(right) << shifts[1]]
    return np.where((left < 0) ^ (right < 0), -magnitude, magnitude)


@dataclass
class Reference:
    """Sums of corrected products, in units of 2 ** -sum(shifts).

    Attributes:
        zero: zero-point of the input codes.
        weight_zero: zero-point of every output channel, int64 (outputs,).
    """

    multiplier: object
    shifts: tuple[int, int]
    zero: int
    weight_zero: np.ndarray
    counted: list[int] = field(default_factory=list)

    def term(self, a, w, output):
        """What one output gains from activations `a` and weights `w`, int64 arrays of equal shape."""
        unit = 1 << sum(self.shifts)
        zw = int(self.weight_zero[output])
        cross = self.zero * w + zw * a - self.zero * zw
        self.counted.append(a.size)
        return int((signed_products(self.multiplier, a, w, self.shifts) - unit * cross).sum())

    def linear(self, codes, weight):
        """Codes (..., K), weight (N, K)."""
        out = np.zeros((*codes.shape[:-1], len(weight)), np.int64)
        for place in np.ndindex(*codes.shape[:-1]):
            for n, row in enumerate(weight):
                out[(*place, n)] = self.term(codes[place], row, n)
        return out

    def matmul(self, left, right):
        """Codes (M, K) and (K, N)."""
        return self.linear(left, right.T)

    def convolution(self, layer, codes, weight):
        """The definition of a (padded, strided, dilated, grouped) convolution."""
        dims = len(layer.kernel_size)
        padded = self._pad(layer, codes)
        reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        spatial = [(n - r) // s + 1 for n, r, s in zip(padded.shape[2:], reach, layer.stride, strict=True)]
        outputs, per_group = len(weight), len(weight) // layer.groups
        inputs = weight.shape[1]
        out = np.zeros((len(codes), outputs, *spatial), np.int64)
        for n, o in itertools.product(range(len(codes)), range(outputs)):
            first = (o // per_group) * inputs
            for place in np.ndindex(*spatial):
                window = tuple(
                    slice(place[i] * layer.stride[i], place[i] * layer.stride[i] + reach[i], layer.dilation[i])
                    for i in range(dims)
                )
                out[(n, o, *place)] = self.term(padded[(n, slice(first, first + inputs), *window)], weight[o], o)
        return out

    def _pad(self, layer, codes):
        pairs = [(0, 0), (0, 0)]
        for i, kernel in enumerate(layer.kernel_size):
            if layer.padding == "same":
                total = layer.dilation[i] * (kernel - 1)
                pairs.append((total // 2, total - total // 2))
            else:
                pairs.append((0, 0) if layer.padding == "valid" else (layer.padding[i],) * 2)
        if layer.padding_mode == "zeros":
            return np.pad(codes, pairs, constant_values=self.zero)
        return np.pad(codes, pairs, mode=NUMPY_PADDING[layer.padding_mode])

    def transposed(self, layer, codes, weight):
        """The definition of a transposed convolution: every input value is scattered over the outputs it reaches."""
        dims = len(layer.kernel_size)
        size = [
            (codes.shape[2 + i] - 1) * layer.stride[i]
            - 2 * layer.padding[i]
            + layer.dilation[i] * (layer.kernel_size[i] - 1)
            + layer.output_padding[i]
            + 1
            for i in range(dims)
        ]
        inputs, per_group = codes.shape[1] // layer.groups, weight.shape[1]
        out = np.zeros((len(codes), per_group * layer.groups, *size), np.int64)
        for n, c, j in itertools.product(range(len(codes)), range(codes.shape[1]), range(per_group)):
            o = (c // inputs) * per_group + j
            for place in np.ndindex(*codes.shape[2:]):
                for tap in np.ndindex(*layer.kernel_size):
                    at = tuple(
                        place[i] * layer.stride[i] - layer.padding[i] + tap[i] * layer.dilation[i] for i in range(dims)
                    )
                    if all(0 <= p < s for p, s in zip(at, size, strict=True)):
                        a, w = codes[(n, c, *place)], weight[(c, j, *tap)]
                        out[(n, o, *at)] += self.term(np.array([a]), np.array([w]), o)
        return out


def emulate_layer(layer, x, choice=None, multiplier=None):
    """A calibrated emulated layer in the place of `layer`, with the given INTEGER choice and circuit."""
    site = find_sites(layer, x[:1] if len(x) else torch.zeros(1, *x.shape[1:]))[0]
    emulated = EmulatedLayer(site, layer).requires_grad_(False).eval()
    (choice or Integer()).attach(BuildContext(emulated, x, (site,)), [emulated])
    emulated.multiplier = multiplier
    calibrate(emulated, [x])
    return emulated


def reference_sums(layer, emulated, codes):
    """Reference for the integer sums of `emulated`, which replaces `layer`, as float64 in units of code x code."""
    circuit, operand = emulated.operand.circuit(emulated.multiplier), emulated.operand
    shifts = (circuit.a_bits - operand.input.bits, circuit.b_bits - operand.weight.bits)
    weight_codes, _, _ = emulated.stored_codes()
    _, zero = operand.weight.scale_and_zero(emulated.used_weight())
    outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    zeros = zero.numpy().astype(np.int64)
    reference = Reference(circuit, shifts, int(operand.input.zero), np.resize(zeros, outputs))
    a, w = codes.numpy().astype(np.int64), weight_codes.numpy().astype(np.int64)
    if isinstance(layer, nn.Linear):
        sums = reference.linear(a, w)
    elif layer.transposed:
        sums = reference.transposed(layer, a, w)
    else:
        sums = reference.convolution(layer, a, w)
    return sums / 2 ** sum(shifts)


@pytest.fixture(scope="module", params=(*native.levels(), "torch"))
def level(request):
    """One instruction set after the other; kernels that were chosen for another are forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native.VARIABLE, request.param)
        _forget()
        yield request.param
    _forget()


def _forget():
    for cached in (native.level, products_for, integer_products):
        cached.cache_clear()


@pytest.fixture(scope="session")
def ref():
    """The reference functions."""
    torch.set_num_threads(1)
    return SimpleNamespace(
        Reference=Reference,
        convolutions=CONVOLUTIONS,
        emulate=emulate_layer,
        sums=reference_sums,
        products=signed_products,
    )
