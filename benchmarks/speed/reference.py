"""What emulated operations must give, by the definition: codes, one table entry per product, sums, scaling.

Nothing of laxity's kernels is used. Of every operation outputs are drawn at random, all output channels among them, and
each is computed over its whole receptive field and compared bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.circuits import Multiplier
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.product import EmulatedProduct
from laxity.emulate.slots import Slots

Codes = NDArray[np.int64]
_AT_ONCE = 2**21


class Checker:
    """Compares outputs of emulated operations with their definition.

    Attributes:
        samples: outputs drawn per call.
        calls: calls checked per operation; recurrent layers have one per step.
        compared, wrong: outputs so far.
    """

    def __init__(self, samples: int, calls: int, rng: np.random.Generator) -> None:
        self.samples, self.calls, self._rng = samples, calls, rng
        self.compared = self.wrong = 0
        self._seen: Counter[int] = Counter()

    @property
    def exact(self) -> bool:
        """Outputs have been compared, and none differed."""
        return self.compared > 0 and self.wrong == 0

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Check what all emulated operations of `model` compute meanwhile."""
        hooks = [m.register_forward_hook(self._check) for m in model.modules() if isinstance(m, Slots)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _check(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        self._seen[id(module)] += 1
        if self._seen[id(module)] > self.calls:
            return
        arrays = [x.detach().numpy() for x in inputs]
        if isinstance(module, EmulatedProduct):
            got, wanted = self._product(module, arrays[0], arrays[1], output.detach().numpy())
        elif isinstance(module, EmulatedLayer) and module.form.linear:
            got, wanted = self._linear(module, arrays[0], output.detach().numpy())
        else:
            assert isinstance(module, EmulatedLayer)
            got, wanted = self._convolution(module, arrays[0], output.detach().numpy())
        self.compared += got.size
        self.wrong += int((got != wanted).sum())

    def _draw(self, size: int) -> Codes:
        """Indices below `size`, each about equally often, in random order."""
        return self._rng.permutation(np.arange(self.samples) % size)

    def _any(self, size: int) -> Codes:
        return self._rng.integers(0, size, self.samples)

    def _linear(self, layer: EmulatedLayer, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        rows, results = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
        m, n = self._any(len(rows)), self._draw(results.shape[1])
        weights, scales = _weights(layer)
        codes, scale = _codes(layer.operand.input, rows)
        sums = _sums(layer.multiplier, codes, m, weights, n)
        return results[m, n], _scaled(layer, sums, n, scale * scales)

    def _convolution(self, layer: EmulatedLayer, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        form = layer.form
        if form.transposed or len(form.kernel) != 2 or form.padding_mode != "zeros":
            raise ValueError(f"site {layer.site.name!r} is of a kind that the benchmark has no reference for")
        weights, scales = _weights(layer)
        codes, scale = _codes(layer.operand.input, np.pad(x, [(0, 0), (0, 0), *form.padding]))
        outputs, inputs = weights.shape[:2]
        b, n = self._any(len(x)), self._draw(outputs)
        at = [self._any(size) for size in y.shape[2:]]
        channels = (n // (outputs // form.groups) * inputs)[:, None] + np.arange(inputs)
        rows, columns = (
            (p * s)[:, None] + np.arange(k) * d
            for p, s, k, d in zip(at, form.stride, form.kernel, form.dilation, strict=True)
        )
        window = np.ravel_multi_index(
            (b[:, None, None, None], channels[:, :, None, None], rows[:, None, :, None], columns[:, None, None, :]),
            codes.shape,
        )
        windows = codes.reshape(-1)[window.reshape(self.samples, -1)]
        sums = _sums(layer.multiplier, windows, np.arange(self.samples), weights.reshape(outputs, -1), n)
        return y[b, n, at[0], at[1]], _scaled(layer, sums, n, scale * scales)

    def _product(
        self, product: EmulatedProduct, left: NDArray[Any], right: NDArray[Any], y: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        batch = y.shape[:-2]
        rows = np.broadcast_to(left, (*batch, *left.shape[-2:])).reshape(-1, left.shape[-1])
        columns = np.broadcast_to(right, (*batch, *right.shape[-2:])).swapaxes(-1, -2).reshape(-1, right.shape[-2])
        results = y.reshape(-1, *y.shape[-2:])
        g, m, n = self._any(len(results)), self._any(y.shape[-2]), self._draw(y.shape[-1])
        a, left_scale = _codes(product.operand.input, rows)
        w, right_scale = _codes(product.operand.weight, columns)
        sums = _sums(product.multiplier, a, g * y.shape[-2] + m, w, g * y.shape[-1] + n)
        return results[g, m, n], sums.astype(np.float32) * (left_scale * right_scale)


def _codes(coder: Any, x: NDArray[Any]) -> tuple[Codes, np.float32]:
    """Codes of activations and their scale."""
    scale, zero, low, high = coder.quantiser().numpy()
    if zero:
        raise ValueError("the benchmark's reference knows symmetric codes only")
    return np.clip(np.rint(x / scale), low, high).astype(np.int64), scale


def _weights(layer: EmulatedLayer) -> tuple[Codes, NDArray[np.float32]]:
    """Codes of a weight whose first axis are the outputs, and their scales."""
    coder = layer.operand.weight
    scale = coder.scale_and_zero(layer.weight)[0].numpy()
    weight = layer.weight.detach().numpy()
    top = 2 ** (coder.bits - 1) - 1
    free = np.rint(weight / scale.reshape(-1, *([1] * (weight.ndim - 1))))
    return np.clip(free, -top, top).astype(np.int64), scale


def _sums(multiplier: Multiplier, left: Codes, m: Codes, right: Codes, n: Codes) -> Codes:
    """Sum of the products of row ``m[i]`` of `left` and row ``n[i]`` of `right`, for every i."""
    sums = np.empty(len(m), np.int64)
    step = max(1, _AT_ONCE // left.shape[1])
    for first in range(0, len(m), step):
        part = slice(first, first + step)
        a, a_sign = _operand(left[m[part]], multiplier.a_bits, multiplier.a_signed)
        w, w_sign = _operand(right[n[part]], multiplier.b_bits, multiplier.b_signed)
        sums[part] = (multiplier.table[a, w] * (a_sign * w_sign)).sum(1)
    return sums


def _operand(codes: Codes, bits: int, signed: bool) -> tuple[Codes, Codes]:
    """Indices into the table, and signs to apply outside."""
    return (codes % 2**bits, np.ones_like(codes)) if signed else (np.abs(codes), np.where(codes < 0, -1, 1))


def _scaled(layer: EmulatedLayer, sums: Codes, n: Codes, scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums in float32, scaled and with the bias."""
    values = sums.astype(np.float32) * scales[n] * layer.gain.detach().numpy()[n]
    return values if layer.bias is None else values + layer.bias.detach().numpy()[n]


def check(model: nn.Module, x: Tensor, *, samples: int, calls: int, rng: np.random.Generator) -> Checker:
    """Run `model` once without gradients and check all emulated operations in it."""
    checker = Checker(samples, calls, rng)
    with torch.no_grad(), checker.watching(model):
        model(x)
    return checker
