"""Every torch operator of laxity meets torch's own checks: schema, fake results, dispatch and gradients."""

import itertools

import numpy as np
import pytest
import torch
from torch.library import opcheck

from laxity.circuits import catalogue
from laxity.kernels import Geometry, native, opaque, products_for
from laxity.kernels.call import flat
from laxity.kernels.gather import GatherProducts
from laxity.kernels.lowrank import LowRankProducts
from laxity.kernels.operators import LIBRARY
from laxity.kernels.products import Scaling
from laxity.kernels.represent import represent
from laxity.kernels.stationary import stationary_codes
from laxity.kernels.table import TableProducts

RANGES = (0, 255), (-127, 127)
OPS = torch.ops.laxity
COMPILED = pytest.mark.skipif(native.level() == "torch", reason="laxity is installed without compiled kernels")
QUANTISER = torch.tensor([0.02, 3.0, 0.0, 255.0])


def scaling(outputs):
    return Scaling(torch.full((outputs,), 1e-3), torch.ones(outputs), torch.linspace(-1, 1, outputs))


def samples(layout):
    """A grouped convolution and a linear layer: input, weight codes, geometry."""
    rng = np.random.default_rng(0)

    def codes(*shape):
        return torch.from_numpy(rng.integers(-127, 128, shape).astype(np.float32))

    image = torch.from_numpy(rng.standard_normal((2, 4, 6, 5)).astype(np.float32))
    if layout == "last":
        image = image.contiguous(memory_format=torch.channels_last)
    yield image, codes(6, 2, 3, 2), Geometry((1, 2), (1, 1), 2, (1, 0), (1, 1))
    yield image[:, :, 0, 0], codes(7, 4, 1), Geometry((1,), (1,), 1)


def arguments(name, layout):
    """Arguments of the operators that compute layers, with and without scaling."""
    circuit = catalogue.get("mitchell8" if name == "table" else "drum8_4")
    kernel = products_for(circuit, *RANGES)[0]
    assert isinstance(kernel, {"table": TableProducts, "lowrank": LowRankProducts}[name])
    taken = []
    for (x, weight, geometry), scaled in itertools.product(samples(layout), (True, False)):
        operand = kernel.ready(kernel.rows(weight), geometry.groups)
        taken.append((x, kernel.bind(QUANTISER, operand, geometry, scaling(len(weight)) if scaled else None, "site")))
    return taken


class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the calls of laxity's operators."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "laxity":
            self.calls.append((func, args))
        return func(*args, **(kwargs or {}))


@COMPILED
@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("name", ["table", "lowrank"])
def test_layers(name, layout):
    for x, call in arguments(name, layout):
        with Recorder() as seen:
            traced = call(x)
        assert torch.equal(traced, call(x))
        (func, given), *rest = [c for c in seen.calls if c[0].name() in {f"laxity::{name}", "laxity::stationary"}]
        assert not rest
        opcheck(func, given)


@COMPILED
@pytest.mark.parametrize("layout", ["first", "last"])
def test_activations_at_rest(layout):
    kernel = products_for(catalogue.get("mitchell8"), *RANGES)[0]
    assert isinstance(kernel, TableProducts)
    form = kernel._transposed(3)
    assert form is not None
    for x, weight, geometry in samples(layout):
        operand = kernel.ready(kernel.rows(weight), geometry.groups)
        rows, taps = operand.tensors[0], weight[0, 0].numel()
        constants = form.zero_row[rows.to(torch.int64)].sum(1)
        for scaled in (scaling(len(weight)), None):
            scales = (scaled.scale, scaled.gain, scaled.bias) if scaled else (None, None, None)
            given = (
                x, QUANTISER, stationary_codes(rows, geometry.groups, taps), form.layout.table, form.layout.least,
                constants, *scales, flat(geometry, operand.kernel), form.numbers, False, "site",
            )  # fmt: skip
            opcheck(OPS.stationary, given)
            wanted = kernel.bind(QUANTISER, operand, geometry, scaled, "site")(x)
            assert torch.equal(OPS.stationary(*given), wanted)


@COMPILED
@pytest.mark.parametrize("terms", [[1], [2, 1]])
def test_packing(terms):
    rows = torch.randint(0, 99, (6, 3, 4), dtype=torch.uint8)
    maps = torch.randint(-128, 128, (sum(terms), 99), dtype=torch.int8)
    opcheck(OPS.lowrank_pack, (rows, maps, 2, terms))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_represented_values(memory):
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=memory)
    opcheck(OPS.represent, (x.requires_grad_(True), QUANTISER))
    assert torch.equal(represent(x, QUANTISER), ((x / 0.02).round() + 3).clamp(0, 255).sub(3) * QUANTISER[0])
    opcheck(OPS.pass_gradient, (torch.randn(2, 3, 4, 5), x.detach(), QUANTISER))


def test_represented_weights():
    weight, scale = torch.randn(5, 3, 2, requires_grad=True), torch.rand(5) * 0.02 + 0.001
    for given in (scale, scale[:1]):
        opcheck(OPS.represent_weights, (weight, given, 31))
        opcheck(OPS.pass_weight_gradient, (torch.randn(5, 3, 2), weight.detach(), given, 31))


def test_any_kernel():
    table = np.random.default_rng(1).integers(-99, 99, (256, 255))
    kernel = GatherProducts(*RANGES, table)
    number = opaque.number_of(kernel)
    assert opaque.number_of(kernel) == number
    for x, weight, geometry in samples("first"):
        if x.dim() > 2:
            codes = torch.clamp(torch.round(x * 50) + 99, 0, 255)
            given = codes, weight, geometry.stride, geometry.dilation, geometry.groups, number
            opcheck(OPS.convolve, given)
            assert torch.equal(OPS.convolve(*given), kernel.convolve(codes, kernel.prepare(weight), geometry).double())
    opcheck(OPS.finite, (torch.randn(3, 4).T, "site"))
    left, right = torch.full((2, 3, 4), 7.0), torch.full((4, 5), -9.0)
    opcheck(OPS.multiply, (left, right, number))
    assert (OPS.multiply(left, right, number) == 4 * table[7, 118]).all()


def test_nothing_is_left_out():
    """A new operator needs a test here."""
    layers = {"table", "lowrank", "stationary", "lowrank_pack"}
    elementwise = {"represent", "pass_gradient", "represent_weights", "pass_weight_gradient"}
    tested = layers | elementwise | {"convolve", "multiply", "finite"}
    assert {name.partition("::")[2].partition(".")[0] for name in LIBRARY._op_defs} == tested
