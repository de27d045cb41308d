"""The OPERAND techniques of floating-point formats: parameters, emulated layers, demands, faults."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import laxity as lx
from laxity.circuits import catalogue
from laxity.core.approximation import Approximation
from laxity.core.demand import Demand
from laxity.core.errors import PlanError, TargetError
from laxity.core.op import Op, Site
from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.emulate import approximate
from laxity.evaluation.cost import cost_of
from laxity.evaluation.injection import inject
from laxity.evaluation.memory import weight_memories
from laxity.faults import BitFlip
from laxity.targets import load_target
from laxity.techniques import BFloat16, CircuitMultiplier, ComposedProduct, HybridFloat, Integer, Minifloat
from laxity.techniques.data.minifloat import NAMED
from laxity.testing import check_technique

SITE = Site("fc", Op("linear", (300,), (5, 300), (5,), 1, 1, 300, 5), (Slot.OPERAND, Slot.MULTIPLIER), "fc")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weight_exponent": 1}, "E1M3 is no format of 2 to 8 exponent bits"),
        ({"input_mantissa": 11}, "E4M11 is no format"),
        ({"specials": "fn"}, "specials of 'minifloat' cannot be 'fn'"),
        ({"scaling": "chanel"}, "scaling of 'minifloat' cannot be 'chanel'; did you mean 'channel'"),
        ({"calibration": "minmax"}, "calibration of 'minifloat' cannot be 'minmax'"),
        ({"accumulation": "float32"}, "accumulation of 'minifloat' cannot be 'float32'"),
        ({"fraction_bits": 63}, "fraction_bits of 'minifloat' must be between 0 and 62, not 63"),
        ({"bias_shift": 200}, "beyond float32"),
        ({"weight_exponent": 4.0}, "parameter 'weight_exponent' of technique 'minifloat' must be int"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(PlanError, match=message):
        Minifloat(**parameters)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_named_formats(name):
    choice = Minifloat.named(name, scaling="tensor")
    assert choice.formats() == (NAMED[name], NAMED[name])
    assert choice.scaling == "tensor"
    assert Approximation.from_json(choice.to_json()) == choice


def test_names_that_do_not_fit():
    with pytest.raises(PlanError, match="no floating-point format is called 'e4m2'; did you mean"):
        Minifloat.named("e4m2")
    with pytest.raises(PlanError, match="treat infinities and NaN differently"):
        Minifloat.named("e4m3", "e5m2")
    mixed = Minifloat.named("e4m3", "e5m2", specials="nan")
    assert mixed.label() == "wE4M3 aE5M2"


def test_bfloat16_is_a_minifloat():
    weight, activation = BFloat16(3, 7).as_minifloat().formats()
    assert (weight.bits, activation.bits) == (12, 16)
    assert weight.max_exponent == activation.max_exponent == 127
    assert BFloat16(3, 7).label() == "bf16 w3 a7"
    for wrong in (0, 8):
        with pytest.raises(PlanError, match=f"input_mantissa of 'bfloat16' must be between 1 and 7, not {wrong}"):
            BFloat16(7, wrong)


def test_demand_counts_bits_and_names_the_arithmetic():
    demand = Minifloat.named("e4m3").demand(Demand.of(SITE), {})
    assert (demand.weight_bits, demand.input_bits, demand.multiplier) == (8, 8, "dadda4")
    # Products are multiples of 2^-18 below 2^18; 300 of them and a sign.
    assert demand.accumulator_bits == 36 + 9 + 1
    assert demand.arithmetic == "floating-point products E4M3 x E4M3 and exact sums"
    fixed = BFloat16(3, accumulation="fixed", fraction_bits=20).demand(Demand.of(SITE), {})
    assert (fixed.weight_bits, fixed.input_bits, fixed.accumulator_bits, fixed.multiplier) == (12, 16, 64, "dadda8")
    assert fixed.arithmetic == "floating-point products E8M7 x E8M3 and fixed-point sums with 20 fraction bits"


def reference(form_a, form_w, x, weight, bias, multiplier, scale_a, scale_w, cut=None):
    """A linear layer in fractions."""
    out = []
    for row, (n, column) in itertools.product(x.tolist(), enumerate(weight.tolist())):
        total = Fraction(0)
        for a, w in zip(row, column, strict=True):
            ca, cw = form_a.round(torch.tensor([a / scale_a])), form_w.round(torch.tensor([w / scale_w[n]]))
            (ma, pa), (mw, pw) = form_a.significands(ca), form_w.significands(cw)
            up = multiplier.a_bits - form_a.significand_bits, multiplier.b_bits - form_w.significand_bits
            whole = int(multiplier.table[int(ma) << up[0], int(mw) << up[1]])
            term = Fraction(whole, 2 ** sum(up)) * Fraction(float(pa)) * Fraction(float(pw))
            total += term if cut is None else Fraction(int(term * 2**cut), 2**cut)
        out.append(float(total) * scale_a * scale_w[n] + float(bias[n]))
    return torch.tensor(out).reshape(len(x), -1)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (Minifloat.named("e4m3"), None),
        (Minifloat.named("e5m2", scaling="tensor", calibration="mse"), "drum4_3"),
        (Minifloat.named("e2m3", scaling="channel"), "mitchell4"),
        (Minifloat(3, 4, 5, 3, specials="ieee", subnormals=False, bias_shift=2), "udm8"),
        (Minifloat.named("e4m3", scaling="none", accumulation="fixed", fraction_bits=6), "drum8_4"),
        (BFloat16(), "drum8_4"),
        (BFloat16(2, 5, accumulation="fixed", fraction_bits=12), None),
    ],
    ids=str,
)
def test_a_layer_computes_its_definition(choice, name):
    torch.manual_seed(0)
    layer, x = nn.Linear(12, 4), torch.randn(5, 12) * 3
    plan = Plan().with_("0", choice, *([] if name is None else [CircuitMultiplier(name)]))
    model = approximate(nn.Sequential(layer), plan, calibration=x)
    emulated = model[0]
    general = choice.as_minifloat() if isinstance(choice, BFloat16) else choice
    form_w, form_a = general.formats()
    scale, _ = emulated.operand.weight.scale_and_zero(layer.weight)
    scales = np.resize(scale.numpy(), 4).tolist()
    cut = choice.fraction_bits if choice.accumulation == "fixed" else None
    multiplier = catalogue.get(name or "dadda8")
    wanted = reference(
        form_a,
        form_w,
        x,
        layer.weight.detach(),
        layer.bias.detach(),
        multiplier,
        float(emulated.operand.input.scale),
        scales,
        cut,
    )
    assert torch.allclose(model(x), wanted, rtol=1e-6, atol=1e-6)


def test_exact_bfloat16_is_a_convolution_of_casts():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(4, 6, 3, padding=1, stride=2, groups=2), torch.randn(3, 4, 9, 9)
    model = approximate(nn.Sequential(layer), Plan().with_("0", BFloat16()), calibration=x)
    casts = [t.detach().to(torch.bfloat16).double() for t in (x, layer.weight)]
    wanted = nn.functional.conv2d(*casts, None, 2, 1, 1, 2).float() + layer.bias.reshape(1, -1, 1, 1)
    assert torch.allclose(model(x), wanted, rtol=1e-7, atol=0)


@pytest.mark.parametrize("choice", [BFloat16(), Minifloat.named("e4m3", scaling="none")], ids=lambda c: c.label())
def test_transposed_layers_and_tokens(choice):
    torch.manual_seed(0)
    weight, activation = (choice.as_minifloat() if isinstance(choice, BFloat16) else choice).formats()
    up, x = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2), torch.randn(2, 4, 5, 5)
    model = approximate(nn.Sequential(up), Plan().with_("0", choice), calibration=x)
    a, w = activation.round(x).double(), weight.round(up.weight.detach()).double()
    wanted = nn.functional.conv_transpose2d(a, w, None, 2, 1, 0, 2).float() + up.bias.detach().reshape(1, -1, 1, 1)
    assert torch.allclose(model(x), wanted, rtol=1e-6, atol=1e-6)
    tokens, x = nn.Linear(7, 3), torch.randn(2, 5, 7)
    model = approximate(nn.Sequential(tokens), Plan().with_("0", choice), calibration=x)
    a, w = activation.round(x).double(), weight.round(tokens.weight.detach()).double()
    assert torch.allclose(model(x), (a @ w.T).float() + tokens.bias.detach(), rtol=1e-6, atol=1e-6)


def test_gradients_are_those_of_represented_operands():
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 3), torch.randn(4, 6, requires_grad=True)
    plan = Plan().with_("0", Minifloat.named("e2m1", scaling="none"), CircuitMultiplier("drum4_3"))
    model = approximate(nn.Sequential(layer), plan, calibration=x.detach())
    emulated = model[0].requires_grad_(True)
    (model(x) ** 2).sum().backward()
    form = NAMED["e2m1"]
    seen = form.round(layer.weight.detach())
    inside = form.round_freely(layer.weight).abs() <= form.max_value
    upstream = 2 * model(x).detach()
    assert torch.allclose(x.grad, (upstream @ seen) * (form.round_freely(x).abs() <= 6))
    assert torch.allclose(emulated.weight.grad, (upstream.T @ form.round(x.detach())) * inside)


def test_products_of_activations():
    class Product(nn.Module):
        def forward(self, x):
            return torch.matmul(x, x.transpose(1, 2))

    x = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    site = lx.find_sites(Product(), x[:1])[0].name
    model = approximate(Product(), Plan().with_(site, Minifloat.named("e4m3", scaling="none")), calibration=x)
    cast = x.to(torch.float8_e4m3fn).double()
    assert torch.equal(model(x), torch.matmul(cast, cast.transpose(1, 2)).float())


def test_faults_strike_the_words_of_the_format():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(16, 8)
    plan = Plan().with_("0", Minifloat.named("e4m3", scaling="none")).with_("2", Integer())
    model = approximate(net, plan, calibration=x)
    first, second = weight_memories(model)
    assert (first.form, first.width_bits, first.finite) == ("8-bit floats E4M3", 8, False)
    assert second.finite
    wanted = net[0].weight.detach().to(torch.float8_e4m3fn).view(torch.uint8).numpy().ravel()
    assert np.array_equal(first.words, wanted)
    nothing = torch.full((48,), 0x7F, dtype=torch.uint8).numpy().astype(first.words.dtype)
    first.write(nothing)
    assert model[0](x).isnan().all()
    first.restore()
    clean = model(x)
    struck = inject(model, BitFlip(0.3), seed=1)
    assert struck(x).isfinite().all(), "NaN that leaves the first layer is 0 to the integers of the second"
    assert not torch.equal(struck(x), clean)
    assert torch.equal(model(x), clean)


def test_a_target_of_integers_refuses_floats():
    net, x = nn.Sequential(nn.Linear(40, 3)).eval(), torch.randn(50, 40)
    plan = Plan().with_("0", BFloat16())
    with pytest.raises(TargetError, match="site '0' computes floating-point products E8M7 x E8M7 and exact sums"):
        cost_of(approximate(net, plan, calibration=x), plan, load_target("mac-array-45nm"), x, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    "choices",
    [
        [BFloat16()],
        [BFloat16(), CircuitMultiplier("mitchell8")],
        [Minifloat.named("e4m3"), CircuitMultiplier("drum4_3")],
        [Minifloat.named("e5m2", accumulation="fixed", fraction_bits=9)],
        [HybridFloat(scaling="channel")],
        [Integer(16, 16), CircuitMultiplier("mitchell16")],
        [Integer(16, 16), ComposedProduct("drum8_4")],
    ],
    ids=str,
)
def test_a_gpu_computes_the_same_bits(choices):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(8, 6, 3, padding=1, groups=2), torch.randn(2, 8, 7, 7)
    model = approximate(nn.Sequential(layer), Plan().with_("0", *choices), calibration=x)
    codes = model[0].operand.input.codes(x)
    wanted = model[0].integer_sums(codes)
    assert torch.equal(model.to("cuda")[0].integer_sums(codes.cuda()).cpu(), wanted)


@pytest.mark.parametrize(
    "choice",
    [
        Minifloat.named("e4m3", calibration="mse"),
        Minifloat.named("e5m2", saturate=False),
        Minifloat.named("e2m1", subnormals=False),
        Minifloat(3, 2, 4, 3, accumulation="fixed", fraction_bits=10),
        BFloat16(4, 4),
    ],
    ids=lambda c: c.label(),
)
def test_conformance(choice):
    check_technique(choice)
    assert type(choice).candidates(SITE) == ()
