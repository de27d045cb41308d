"""Layers of 9 to 16 bit integers against loops over netlists, and what targets say about them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import laxity as lx
from laxity.circuits import catalogue, evaluate
from laxity.circuits.wide import ComposedMultiplier, core
from laxity.core.errors import PlanError, TargetError
from laxity.core.plan import Plan
from laxity.emulate import approximate
from laxity.emulate.operands import operand_traces
from laxity.evaluation.cost import cost_of
from laxity.targets import load_target
from laxity.techniques import CircuitMultiplier, ComposedProduct, Integer
from laxity.testing import check_technique


class Netlist:
    """Indexed like a product table, but evaluates the netlist."""

    def __init__(self, name):
        self._circuit = catalogue.circuit(name)

    def __getitem__(self, operands):
        return evaluate(self._circuit, dict(zip("ab", operands, strict=True)))["p"]


class Parts:
    """Indexed like a table of 16-bit products, from the table of an 8-bit circuit."""

    def __init__(self, name):
        self._table = catalogue.get(name).table

    def __getitem__(self, operands):
        (a, b), t = operands, self._table
        low, high = t[a & 255, b & 255], t[a >> 8, b >> 8]
        return low + ((t[a >> 8, b & 255] + t[a & 255, b >> 8]) << 8) + (high << 16)


LAYERS = {
    "linear": (lambda: nn.Linear(11, 4), (3, 11)),
    "conv": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 7, 7)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("schemes", [("symmetric", "symmetric"), ("affine", "affine")])
@pytest.mark.parametrize(
    ("bits", "name", "table", "width"),
    [
        ((16, 16), "dadda16", Netlist("dadda16"), 16),
        ((12, 9), "drum12_6", Netlist("drum12_6"), 12),
        ((10, 16), "mitchell16", Netlist("mitchell16"), 16),
        ((16, 12), "drum8_4", Parts("drum8_4"), 16),
    ],
)
def test_sums_equal_loops_over_the_netlist(ref, kind, schemes, bits, name, table, width):
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer, x = make(), torch.randn(shape)
    multiplier = ComposedMultiplier(catalogue.get(name)) if isinstance(table, Parts) else core(name)
    emulated = ref.emulate(layer, x, Integer(*bits, *schemes), multiplier)
    codes = emulated.operand.input.codes(x)
    weight, _, _ = emulated.stored_codes()
    assert codes.abs().max() > 2 ** (bits[1] - 2)
    shifts = (width - bits[1], width - bits[0])
    _, zero = emulated.operand.weight.scale_and_zero(emulated.used_weight())
    outputs = len(weight)
    reference = ref.Reference(
        SimpleNamespace(table=table),
        shifts,
        int(emulated.operand.input.zero),
        np.resize(zero.numpy().astype(np.int64), outputs),
    )
    a, w = codes.numpy().astype(np.int64), weight.numpy().astype(np.int64)
    wanted = reference.linear(a, w) if kind == "linear" else reference.convolution(layer, a, w)
    assert torch.equal(emulated.integer_sums(codes).double() * 2 ** sum(shifts), torch.from_numpy(wanted).double())


def test_sixteen_bits_come_near_float():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).eval()
    x = torch.randn(4, 3, 8, 8)
    plan = Plan.assign(lx.find_sites(net, x[:1]), [Integer(16, 16)])
    got = approximate(net, plan, calibration=x)(x)
    assert torch.allclose(got, net(x), atol=2e-4)


def test_codes_wider_than_the_circuit_are_refused():
    net, x = nn.Sequential(nn.Linear(4, 2)), torch.randn(8, 4)
    plan = Plan().with_("0", Integer(12, 12), CircuitMultiplier("drum8_4"))
    with pytest.raises(PlanError, match=r"operands of 12 x 12 bits do not fit .* composed of narrower ones"):
        approximate(net, plan, calibration=x)(x)


def test_traces_of_wide_codes():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(40, 3)), torch.randn(50, 40)
    plan = Plan().with_("0", Integer(12, 16), CircuitMultiplier("mitchell16"))
    model = approximate(net, plan, calibration=x)
    trace = operand_traces(model, x, seed=1, tile_rows=4)["0"]
    assert trace.activations.max() > 1 << 13
    assert trace.weights.max() > 1 << 13
    assert not (trace.weights % 16).any()
    composed = approximate(net, Plan().with_("0", Integer(12, 16), ComposedProduct("drum8_4")), calibration=x)
    assert operand_traces(composed, x, seed=1) == {}


def test_a_target_of_eight_bits_refuses_them():
    net, x = nn.Sequential(nn.Linear(40, 3)).eval(), torch.randn(50, 40)
    target = load_target("mac-array-45nm")
    wide = Plan().with_("0", Integer(12, 12))
    with pytest.raises(TargetError, match=r"'dadda12' has 12-bit operands, array.operand_bits is 8|clock allows"):
        cost_of(approximate(net, wide, calibration=x), wide, target, x, seed=0)
    composed = Plan().with_("0", Integer(16, 16), ComposedProduct("drum8_4"))
    with pytest.raises(TargetError, match=r"'2 x 2 drum8_4' has 16-bit operands, array\.operand_bits is 8"):
        cost_of(approximate(net, composed, calibration=x), composed, target, x, seed=0)


@pytest.mark.parametrize("choice", [Integer(16, 16), Integer(9, 12), ComposedProduct("drum8_4")])
def test_conformance(choice):
    check_technique(choice)
