"""Synthetic operand traces and small networks for the tests of targets."""

import numpy as np
import pytest

from laxity.core.demand import Demand, OperandTrace
from laxity.core.op import Op, Site


def _trace(activations, weights):
    """Segments of all elements of an array: activations (rows, steps), weights (columns, rows)."""
    products = weights[:, :, None] * activations[None]
    sums = np.cumsum(products, axis=1) - products
    shape = (weights.size, activations.shape[1])
    return OperandTrace(
        activations=np.broadcast_to(activations, products.shape).reshape(shape),
        activation_signs=np.zeros(shape, dtype=np.int64),
        weights=np.abs(weights).ravel(),
        weight_signs=(weights < 0).astype(np.int64).ravel(),
        partial_sums=sums.reshape(shape),
    )


@pytest.fixture(scope="session")
def make_trace():
    """Turns activations (rows, steps) and weights (columns, rows) into a trace."""
    return _trace


@pytest.fixture(scope="session")
def dnn_like():
    """Makes 8-bit traces: activations |N(0, 40)| of which half are zero, weights N(0, 25)."""

    def make(seed=0, rows=16, columns=4, steps=33):
        generator = np.random.default_rng(seed)
        magnitudes = np.abs(generator.normal(0, 40, (rows, steps))).round().clip(0, 255)
        activations = np.where(generator.random((rows, steps)) < 0.5, 0, magnitudes).astype(np.int64)
        weights = generator.normal(0, 25, (columns, rows)).round().clip(-127, 127).astype(np.int64)
        return _trace(activations, weights)

    return make


@pytest.fixture(scope="session")
def digits_cnn():
    """Demands of a small network for 8 x 8 images: three convolutions and a linear layer, no traces."""
    ops = [
        Op("conv2d", (i, size, size), (o, i, 3, 3), (o, size, size), 1, size**2, 9 * i, o)
        for i, o, size in ((1, 16, 8), (16, 32, 8), (32, 32, 4))
    ]
    ops.append(Op("linear", (128,), (10, 128), (10,), 1, 1, 128, 10))
    return [Demand.of(Site(f"layer{n}", op, (), f"layer{n}")) for n, op in enumerate(ops)]


@pytest.fixture(scope="session")
def resnet20():
    """Demands of ResNet-20 for CIFAR-10, projection shortcuts included: 22 sites, no traces."""
    layers = [(3, 16, 32, 3, 1)] + [(16, 16, 32, 3, 1)] * 6
    for inputs, outputs, size in ((16, 32, 16), (32, 64, 8)):
        layers += [(inputs, outputs, size, 3, 2), (inputs, outputs, size, 1, 2)]
        layers += [(outputs, outputs, size, 3, 1)] * 5
    ops = [
        Op("conv2d", (i, size * stride, size * stride), (o, i, k, k), (o, size, size), 1, size**2, i * k * k, o)
        for i, o, size, k, stride in layers
    ]
    ops.append(Op("linear", (64,), (10, 64), (10,), 1, 1, 64, 10))
    return [Demand.of(Site(f"layer{n}", op, (), f"layer{n}")) for n, op in enumerate(ops)]
