"""The OPERAND technique of hybrid dot products: parameters, layers, memory, training."""

import pytest
import torch
from torch import nn

import laxity as lx
from laxity.core.approximation import Approximation
from laxity.core.demand import Demand
from laxity.core.errors import DataError, PlanError, TargetError
from laxity.core.op import Op, Site
from laxity.core.plan import Plan
from laxity.core.slots import Slot
from laxity.emulate import approximate
from laxity.evaluation.cost import cost_of
from laxity.evaluation.memory import weight_memories
from laxity.evaluation.quality import compare, predict
from laxity.kernels.hybrid import HybridFormat
from laxity.targets import load_target
from laxity.techniques import CircuitMultiplier, HybridFloat
from laxity.techniques.data.hybrid import Float32Input
from laxity.testing import check_technique

SITE = Site("conv", Op("conv2d", (55, 3, 16), (60, 55, 3, 3), (60, 3, 16), 1, 48, 495, 60), (Slot.OPERAND,), "conv")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"exponent_bits": 7}, "S1E7M1 is no hybrid format"),
        ({"exponents": "all"}, "exponents of S1E4M1 cannot be 'all'"),
        ({"scaling": "row"}, "scaling of 'hybrid_float' cannot be 'row'"),
        ({"input_bits": 1}, "input_bits of 'hybrid_float' must be 0 for float32 or between 2 and 16, not 1"),
        ({"fraction_bits": -1}, "fraction_bits of 'hybrid_float' must be between 0 and 62, not -1"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(PlanError, match=message):
        HybridFloat(**parameters)


def test_demand_and_label():
    choice = HybridFloat()
    demand = choice.demand(Demand.of(SITE), {})
    assert (demand.weight_bits, demand.input_bits, demand.accumulator_bits) == (6, 32, 64)
    # The filter buffer of the published tensor processor: 55 x 3 x 3 x 60 weights of 6 bits.
    assert demand.weight_storage_bits == 178_200
    assert choice.label() == "S1E4M1 a32"
    assert HybridFloat(5, 0, input_bits=8).label() == "S1E5M0 a8"
    assert Approximation.from_json(choice.to_json()) == choice


@pytest.mark.parametrize(
    "choice",
    [
        HybridFloat(),
        HybridFloat(5, 0, scaling="channel"),
        HybridFloat(4, 1, "negative", "truncate", scaling="tensor"),
        HybridFloat(scaling="channel", fraction_bits=8),
        HybridFloat(input_bits=8, scaling="channel"),
        HybridFloat(4, 7, scaling="channel", fraction_bits=12),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_a_layer_computes_its_definition(choice, kind):
    torch.manual_seed(0)
    layer = nn.Linear(20, 4) if kind == "linear" else nn.Conv2d(4, 6, 3, padding=1, groups=2)
    x = torch.randn(5, 20) if kind == "linear" else torch.randn(2, 4, 6, 6)
    model = approximate(nn.Sequential(layer), Plan().with_("0", choice), calibration=x)
    emulated = model[0]
    form = choice.number_format()
    scale, _ = emulated.operand.weight.scale_and_zero(layer.weight)
    spread = scale.reshape(-1, *([1] * (layer.weight.dim() - 1)))
    w = form.held(form.round(layer.weight.detach() / spread)).double()
    a = emulated.operand.input.codes(x)
    assert torch.equal(a, x) or choice.input_bits
    unit = 2.0**choice.fraction_bits
    if kind == "linear":
        sums = (torch.trunc(a.double()[:, None] * w * unit) / unit).sum(-1)
    else:
        patches = nn.functional.unfold(a.double(), 3, padding=1).reshape(2, 2, 18, 36)
        products = patches[:, :, None] * w.reshape(2, 3, 18)[None, ..., None]
        sums = (torch.trunc(products * unit) / unit).sum(3).reshape(2, 6, 6, 6)
    tail = (1, 1) if kind == "conv" else ()
    values = sums.float() * (scale * emulated.operand.input.scale).expand(w.shape[0]).reshape(-1, *tail)
    assert torch.equal(model(x), values + layer.bias.detach().reshape(-1, *tail))


def test_subnormal_activations_are_zero():
    coder = Float32Input()
    x = torch.tensor([1e-39, -1e-40, 2.0**-126, 0.0, 3.5])
    assert coder.codes(x).tolist() == [0.0, 0.0, 2.0**-126, 0.0, 3.5]
    with pytest.raises(DataError, match="activations at site 'a' are not finite"):
        coder.calibrate(torch.tensor([torch.nan]), "a")


def test_gradients_pass_where_weights_are_not_clipped():
    layer, x = nn.Linear(3, 1, bias=False), torch.tensor([[1.0, 2.0, 3.0]])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.3, 300.0, -1e-4]]))
    model = approximate(nn.Sequential(layer), Plan().with_("0", HybridFloat()), calibration=x)
    model[0].requires_grad_(True)
    model(x).sum().backward()
    # 0.3 rounds to 0.25, half way up to 0.375 is 0.3125; 300 stays at 192; 1e-4 is rounded to 0, not clipped.
    assert model(x).item() == 0.25 + 2 * 192
    assert model[0].weight.grad.tolist() == [[1.0, 0.0, 3.0]]
    positive = approximate(nn.Sequential(layer), Plan().with_("0", HybridFloat(signed=False)), calibration=x)
    positive[0].requires_grad_(True)
    positive(x).sum().backward()
    assert positive[0].weight.grad.tolist() == [[1.0, 0.0, 0.0]]


def test_products_of_activations():
    class Product(nn.Module):
        def forward(self, x):
            return torch.matmul(x, x.transpose(1, 2))

    x = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    site = lx.find_sites(Product(), x[:1])[0].name
    model = approximate(Product(), Plan().with_(site, HybridFloat(scaling="tensor")), calibration=x)
    form, scale = HybridFormat(), float(x.abs().max())
    scale = 2.0 ** torch.tensor(scale / form.max_value).log2().ceil().item()
    w = form.held(form.round(x / scale)).double()
    products = x.double()[:, :, None] * w[:, None]
    assert torch.equal(model(x), (torch.trunc(products * 2**23) / 2**23).sum(-1).float() * scale)


def test_memory_holds_the_words():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(8, 6)), torch.randn(16, 8)
    model = approximate(net, Plan().with_("0", HybridFloat()), calibration=x)
    memory = weight_memories(model)[0]
    assert (memory.form, memory.width_bits, memory.finite) == ("6-bit floats S1E4M1", 6, True)
    words = memory.words.copy()
    words[:] = 14  # sign 0, field 7, mantissa 0: the value 1
    memory.write(words)
    assert torch.allclose(model(x), x.sum(1, keepdim=True) + net[0].bias, atol=1e-5)


def test_other_slots_are_refused():
    net, x = nn.Sequential(nn.Linear(8, 6)), torch.randn(16, 8)
    plan = Plan().with_("0", HybridFloat(), CircuitMultiplier("drum8_4"))
    with pytest.raises(PlanError, match="site '0' multiplies by shifting and adding, so there is no place"):
        approximate(net, plan, calibration=x)(x)
    plan = Plan().with_("0", HybridFloat())
    with pytest.raises(TargetError, match="site '0' computes hybrid products float32 x S1E4M1 and fixed-point sums"):
        cost_of(approximate(net, plan, calibration=x), plan, load_target("mac-array-45nm"), x, seed=0)


@pytest.mark.parametrize("choice", [HybridFloat(scaling="channel"), HybridFloat(5, 0, input_bits=8, scaling="tensor")])
def test_conformance(choice):
    check_technique(choice)
    assert HybridFloat.candidates(SITE) == ()


@pytest.mark.slow
def test_six_bits_keep_accuracy_after_training():
    """E4M1 loses at most half a point when trained with it, and no more than logarithmic weights do."""
    task = lx.load_task("digits")
    sites = lx.find_sites(task.model, task.example_input)
    exact = predict(task.model, task, "test")
    drops = {}
    for choice in (HybridFloat(), HybridFloat(5, 0)):
        model = lx.approximate(task, Plan.assign(sites, [choice]))
        before = compare(exact, predict(model, task, "test")).drop
        lx.retrain(model, task, lx.Recovery(epochs=2, learning_rate=1e-3), seed=0)
        drops[choice.mantissa_bits] = before, compare(exact, predict(model, task, "test")).drop
    assert drops[1][1] <= 0.005
    assert drops[1][1] <= drops[0][1]
    assert drops[1][0] < drops[0][0]
