"""Gradients by loops over single products, in float64, from tables of derivatives made by loops too."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

PADDING = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def signed_table(multiplier, left, right, bits=(8, 8)):
    """``AM(a, w)`` for all codes: magnitudes in the upper bits of an 8-bit circuit, sign outside; float64."""
    up = 8 - bits[0], 8 - bits[1]
    out = np.zeros((left[1] - left[0] + 1, right[1] - right[0] + 1))
    for i, j in np.ndindex(*out.shape):
        a, w = i + left[0], j + right[0]
        product = int(multiplier.table[abs(a) << up[0], abs(w) << up[1]])
        out[i, j] = (-product if (a < 0) != (w < 0) else product) / 2 ** sum(up)
    return out


def differences(row, window):
    """Central differences of the moving average of one row; the row's average slope where averages do not reach."""
    n = len(row)
    out = np.full(n, (row[-1] - row[0]) / (n - 1))

    def average(b):
        return sum(row[i] for i in range(b - window, b + window + 1)) / (2 * window + 1)

    for b in range(window + 1, n - window - 1):
        out[b] = (average(b + 1) - average(b - 1)) / 2
    return out


def smoothed(table, windows):
    """Both tables of derivatives by differences."""
    dx = np.array([differences(column, windows[0]) for column in table.T]).T
    dw = np.array([differences(row, windows[1]) for row in table])
    return dx, dw


def lines(table, left, right, weights=(None, None)):
    """Both tables of derivatives by straight lines, fitted by numpy."""

    def slope(codes, row, share):
        share = np.ones(len(codes)) if share is None else share
        return np.polyfit(codes, row, 1, w=np.sqrt(share))[0]

    a, w = np.arange(left[0], left[1] + 1), np.arange(right[0], right[1] + 1)
    dx = np.array([slope(a, column, weights[0]) for column in table.T])
    dw = np.array([slope(w, row, weights[1]) for row in table])
    return np.broadcast_to(dx, table.shape), np.broadcast_to(dw[:, None], table.shape)


def connections(layer, shape):
    """(input place or None for padded zeros, weight place, output place) of every product, all of them as tuples."""
    n = shape[0]
    if isinstance(layer, nn.Linear):
        for lead in np.ndindex(*shape[:-1]):
            for o, i in itertools.product(range(layer.out_features), range(layer.in_features)):
                yield (*lead, i), (o, i), (*lead, o)
        return
    dims, groups = len(layer.kernel_size), layer.groups
    taps = list(np.ndindex(*layer.kernel_size))
    with torch.no_grad():
        out_shape = layer(torch.zeros(shape)).shape
    outs, ins = out_shape[1] // groups, shape[1] // groups
    if layer.transposed:
        for b, g, i, o in itertools.product(range(n), range(groups), range(ins), range(outs)):
            for at, tap in itertools.product(np.ndindex(*shape[2:]), taps):
                to = [
                    p * s - q + t * d
                    for p, s, q, t, d in zip(at, layer.stride, layer.padding, tap, layer.dilation, strict=True)
                ]
                if all(0 <= v < m for v, m in zip(to, out_shape[2:], strict=True)):
                    yield (b, g * ins + i, *at), (g * ins + i, o, *tap), (b, g * outs + o, *to)
        return
    pads = [(0, 0)] * dims
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        pads = [(t // 2, t - t // 2) for t in totals]
    elif layer.padding != "valid":
        pads = [(p, p) for p in layer.padding]
    numbers = np.arange(np.prod(shape[2:])).reshape(shape[2:])
    if layer.padding_mode == "zeros":
        padded = np.pad(numbers, pads, constant_values=-1)
    else:
        padded = np.pad(numbers, pads, mode=PADDING[layer.padding_mode])
    for b, g, i, o in itertools.product(range(n), range(groups), range(ins), range(outs)):
        for at, tap in itertools.product(np.ndindex(*out_shape[2:]), taps):
            source = tuple(p * s + t * d for p, s, t, d in zip(at, layer.stride, tap, layer.dilation, strict=True))
            number = int(padded[source])
            place = None if number < 0 else (b, g * ins + i, *np.unravel_index(number, shape[2:]))
            yield place, (g * outs + o, i, *tap), (b, g * outs + o, *at)


def layer_gradients(layer, emulated, x, upstream, dx, dw):
    """Gradients of input, weight and bias of an emulated layer by loops over its products.

    Args:
        layer: as torch computes it.
        emulated: the same, emulated.
        x, upstream: input and gradient of the output.
        dx, dw: derivatives of the product in units of codes, from the least codes on.
    """
    code, coder = emulated.operand.input, emulated.operand.weight
    (low, high), (least, most) = code.code_range, coder.code_range
    scale, zero = (t.double().numpy() for t in coder.scale_and_zero(layer.weight))
    axis = 1 if getattr(layer, "transposed", False) else 0
    shape = [1] * layer.weight.dim()
    shape[axis] = -1
    s, z = (np.broadcast_to(v.reshape(shape), layer.weight.shape) for v in (scale, zero))
    free_x = torch.round(x / code.scale) + code.zero
    free_w = torch.round(layer.weight.detach() / torch.tensor(s, dtype=torch.float32)) + torch.tensor(z)
    a = free_x.clamp(low, high).numpy().astype(int)
    w = free_w.clamp(least, most).numpy().astype(int)
    za, sx = int(code.zero), float(code.scale)
    g = upstream.double().numpy()
    channel = g.ndim - 1 if isinstance(layer, nn.Linear) else 1
    gain_shape = [1] * g.ndim
    gain_shape[channel] = -1
    scaled = g * emulated.gain.double().numpy().reshape(gain_shape)
    of_x, of_w = np.zeros(x.shape), np.zeros(layer.weight.shape)
    for at, by, to in connections(layer, tuple(x.shape)):
        left = za if at is None else a[at]
        if at is not None:
            of_x[at] += scaled[to] * s[by] * (dx[left - low, w[by] - least] - z[by])
        of_w[by] += scaled[to] * sx * (dw[left - low, w[by] - least] - za)
    of_x *= ((free_x >= low) & (free_x <= high)).numpy()
    of_w *= ((free_w >= least) & (free_w <= most)).numpy()
    of_bias = g.sum(tuple(d for d in range(g.ndim) if d != channel))
    return tuple(torch.from_numpy(v).float() for v in (of_x, of_w, of_bias))


@pytest.fixture(scope="session")
def loops():
    """The functions above."""
    return SimpleNamespace(table=signed_table, smoothed=smoothed, lines=lines, gradients=layer_gradients)
