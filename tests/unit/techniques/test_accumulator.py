"""The ACCUMULATOR techniques: layers against loops on Python integers, demands, and what is refused."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import laxity as lx
from laxity.circuits import accumulator_stage, adder_catalogue, default_library, delay_ns
from laxity.core.approximation import Approximation
from laxity.core.demand import Accumulation, Demand
from laxity.core.errors import CircuitError, PlanError, RegistryError, TargetError
from laxity.core.op import Op, Site
from laxity.core.slots import Slot
from laxity.emulate.build import emulated
from laxity.techniques import CircuitAccumulator, CurableCarry

SITE = Site("fc", Op("linear", (40,), (5, 40), (5,), 1, 1, 40, 5), (Slot.OPERAND, Slot.ACCUMULATOR), "fc")


def wrap(value, bits):
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def truncated(low):
    return lambda a, b: wrap((a >> low << low) + (b >> low << low), 20)


def saturated(a, b):
    return min(max(a + b, -(1 << 15)), (1 << 15) - 1)


HOW = {
    CircuitAccumulator("trunc20_5"): (20, truncated(5), 0),
    CircuitAccumulator("trunc20_5", chain=4): (20, truncated(5), 4),
    CircuitAccumulator("ripple16", "saturate"): (16, saturated, 0),
    CircuitAccumulator("ripple14"): (14, lambda a, b: wrap(a + b, 14), 0),
    CurableCarry(14, 5): (14, lambda a, b: wrap(a + b, 14), 0),
}


def added(products, how):
    bits, add, chain = how
    step = chain or len(products)
    total = 0
    for start in range(0, len(products), step):
        state = 0
        for p in products[start : start + step]:
            state = add(state, wrap(int(p), bits))
        total += state
    return total


def approximated(model, x, *choices):
    sites = lx.find_sites(model, x)
    return lx.approximate(model, lx.Plan.assign(sites, choices), calibration=x)


@pytest.mark.parametrize("choice", HOW, ids=lambda c: c.label())
@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_linear_layer(choice, scheme):
    """Zero-point corrections come after the accumulator: they are those of exact sums."""
    torch.manual_seed(1)
    model, x = nn.Sequential(nn.Linear(40, 5)), torch.randn(6, 40) + 0.3
    integer = lx.Integer(8, 8, input_scheme=scheme)
    layer = approximated(model, x, integer, choice)[0]
    codes = layer.operand.input.codes(x).long().numpy()
    weight = layer.stored_codes()[0].long().numpy()
    zero = int(layer.operand.input.zero)
    sums = layer.integer_sums(torch.from_numpy(codes).float())
    for m, n in itertools.product(range(6), range(5)):
        assert sums[m, n] == added(codes[m] * weight[n], HOW[choice]) - zero * weight[n].sum()


@pytest.mark.parametrize("choice", HOW, ids=lambda c: c.label())
def test_convolution_in_the_order_of_the_flattened_weight(choice):
    torch.manual_seed(2)
    model, x = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, stride=2, groups=2)), torch.randn(2, 4, 7, 7)
    layer = approximated(model, x, lx.Integer(), choice)[0]
    codes = layer.operand.input.codes(x)
    weight = layer.stored_codes()[0].flatten(1).long().numpy()
    sums = layer.integer_sums(codes)
    padded = nn.functional.pad(codes, (1, 1, 1, 1)).long().numpy()
    for b, n, i, j in itertools.product(range(2), range(6), range(4), range(4)):
        first = n // 3 * 2
        window = padded[b, first : first + 2, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].ravel()
        assert sums[b, n, i, j] == added(window * weight[n], HOW[choice])


def test_transposed_convolution_accumulates_over_channels_and_adds_taps_exactly():
    torch.manual_seed(3)
    choice = CircuitAccumulator("trunc20_5")
    model, x = nn.Sequential(nn.ConvTranspose1d(5, 2, 3, stride=2)), torch.randn(2, 5, 4)
    layer = approximated(model, x, lx.Integer(), choice)[0]
    codes = layer.operand.input.codes(x)
    a, w = codes.long().numpy(), layer.stored_codes()[0].long().numpy()
    wanted = np.zeros((2, 2, 9), np.int64)
    for b, n, i, tap in itertools.product(range(2), range(2), range(4), range(3)):
        wanted[b, n, 2 * i + tap] += added(a[b, :, i] * w[:, n, tap], HOW[choice])
    assert np.array_equal(layer.integer_sums(codes).numpy(), wanted)


class Product(nn.Module):
    def forward(self, x):
        return torch.matmul(x, x.transpose(-1, -2))


def test_product_of_activations():
    torch.manual_seed(4)
    choice = CircuitAccumulator("trunc20_5")
    x = torch.rand(2, 3, 40)
    model = approximated(nn.Sequential(Product()), x, lx.Integer(), choice)
    (layer,) = emulated(model)
    assert Slot.ACCUMULATOR in layer.site.slots
    kernel, _ = layer.products()
    a, b = layer.operand.input.codes(x), layer.operand.weight.codes(x.transpose(-1, -2))
    products = a.long().numpy()[:, :, None] * b.transpose(-1, -2).long().numpy()[:, None]
    wanted = [[[added(p, HOW[choice]) for p in rows] for rows in sample] for sample in products]
    assert kernel.matmul(a, b).tolist() == wanted
    assert not torch.equal(model(x), approximated(nn.Sequential(Product()), x, lx.Integer())(x))


def test_the_unit_is_the_lowest_bit_of_the_codes_products():
    """Narrow codes sit in the upper bits of the circuit; the accumulator does not see the zeros below them."""
    torch.manual_seed(5)
    model, x = nn.Sequential(nn.Linear(30, 4)), torch.rand(5, 30)
    layer = approximated(model, x, lx.Integer(4, 4), CircuitAccumulator("trunc20_5"))[0]
    codes, weight = layer.operand.input.codes(x), layer.stored_codes()[0]
    sums = layer.integer_sums(codes)
    products = (codes[:, None] * weight[None]).long().numpy()
    for m, n in itertools.product(range(5), range(4)):
        assert sums[m, n] == added(products[m, n], HOW[CircuitAccumulator("trunc20_5")])


def test_gradients_are_those_of_the_represented_operands():
    torch.manual_seed(6)
    model, x = nn.Sequential(nn.Linear(40, 5)), torch.randn(6, 40)
    gradients = []
    for choices in ((lx.Integer(),), (lx.Integer(), CircuitAccumulator("loa20_6"))):
        layer = approximated(model, x, *choices)[0]
        layer.weight.requires_grad_(True)
        layer(x).sum().backward()
        gradients.append(layer.weight.grad)
    assert torch.allclose(*gradients)


def test_demands():
    demand = Demand.of(SITE)
    assert CircuitAccumulator("ripple24").demand(demand, {}) == replace(demand, accumulator_bits=24)
    approximate = CircuitAccumulator("loa20_6", chain=16).demand(demand, {})
    assert approximate.accumulation == Accumulation("loa20_6", "wrap", 16)
    assert approximate.accumulator_bits == 20 + 2  # three chains
    saturating = CircuitAccumulator("ripple20", "saturate").demand(replace(demand, fraction_bits=3), {})
    assert (saturating.accumulation.overflow, saturating.accumulator_bits) == ("saturate", 17)
    curable = CurableCarry(24, 12).demand(demand, {})
    assert (curable.accumulator_bits, curable.arithmetic) == (24, "integer with carries cut every 12 bits")
    with pytest.raises(TargetError, match="no circuit"):
        lx.load_target("mac-array-45nm").cost([curable])


def test_wide_registers_ask_for_no_more_than_the_sums_need():
    narrow = lx.Integer(4, 4).demand(Demand.of(SITE), {})
    assert narrow.accumulator_bits == 4 + 4 + 6
    assert CircuitAccumulator("ripple20").demand(narrow, {}).accumulator_bits == 14
    assert CircuitAccumulator("ripple12").demand(narrow, {}).accumulator_bits == 12


def test_candidates_are_narrow_registers_then_cheaper_adders_with_half_a_unit_of_bias():
    library = default_library()
    adders = [adder_catalogue.get(c.adder) for c in CircuitAccumulator.candidates(SITE)]
    exact = [a for a in adders if a.exact]
    assert adders[: len(exact)] == exact
    assert [a.bits for a in exact] == [20, 19, 18]  # sums of 40 products of 8 x 8 bits have at most 22
    errors = [a.errors() for a in adders[len(exact) :]]
    assert [e.med for e in errors] == sorted(e.med for e in errors)
    for adder, error in zip(adders[len(exact) :], errors, strict=True):
        stage, plain = accumulator_stage(adder), accumulator_stage(adder_catalogue.get(f"ripple{adder.bits}"))
        assert library.area_um2(stage) < library.area_um2(plain)
        assert delay_ns(stage, library) < delay_ns(plain, library)
        assert error.bias == pytest.approx(0.5, abs=0.15)


def test_gates_of_large_sites_are_simulated_on_request_only():
    rows = 1 + 1_000_000 // (40 * 5)
    large = replace(SITE, op=Op("linear", (rows, 40), (5, 40), (rows, 5), 1, rows, 40, 5))
    assert {adder_catalogue.get(c.adder).exact for c in CircuitAccumulator.candidates(SITE)} == {True, False}
    assert {adder_catalogue.get(c.adder).exact for c in CircuitAccumulator.candidates(large)} == {True}


def test_labels_and_json():
    for choice, label in (
        (CircuitAccumulator("loa24_8"), "loa24_8"),
        (CircuitAccumulator("ripple24", "saturate", 16), "ripple24 saturate x16"),
        (CurableCarry(24, 8), "curable24_8"),
    ):
        assert choice.label() == label
        assert Approximation.from_json(choice.to_json()) == choice


def test_cuts_and_delay():
    assert CurableCarry(24, 12).accumulator().cuts == (12,)
    assert CurableCarry(24, 7).accumulator().cuts == (7, 14, 21)
    library = default_library()
    delays = [delay_ns(CurableCarry(24, cut).accumulator().stage, library) for cut in (4, 8, 12, 18, 23)]
    assert delays == sorted(delays)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CircuitAccumulator("lao24_8"), RegistryError, "did you mean"),
        (lambda: CircuitAccumulator("loa24"), CircuitError, "write loa24_<l>"),
        (lambda: CircuitAccumulator("loa24_8", "clip"), CircuitError, "wrap, saturate"),
        (lambda: CircuitAccumulator("loa24_8", chain=-2), PlanError, "chains of -2"),
        (lambda: CircuitAccumulator(24), PlanError, "must be str"),
        (lambda: CurableCarry(24, 24), PlanError, "every 24 bits"),
        (lambda: CurableCarry(60, 12), CircuitError, "cannot be cut"),
    ],
)
def test_impossible_parameters(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("choice", [CircuitAccumulator("loa24_8"), CurableCarry()])
def test_floating_point_sites_are_refused(choice):
    with pytest.raises(PlanError, match="give it an OPERAND choice"):
        approximated(nn.Sequential(nn.Linear(4, 2)), torch.randn(3, 4), choice)


def test_sums_too_wide_for_the_accumulator_of_a_wide_format():
    """Sixteen-bit operands have no product table, which an accumulator needs."""
    with pytest.raises(PlanError, match="needs one"):
        approximated(
            nn.Sequential(nn.Linear(4, 2)), torch.randn(3, 4), lx.Integer(16, 16), CircuitAccumulator("loa40_8")
        )(torch.randn(3, 4))
