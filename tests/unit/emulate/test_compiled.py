"""Emulated models compile and export, and compute the same bits then."""

import copy
import pickle
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from laxity import Plan, approximate
from laxity.core.errors import DataError, PlanError
from laxity.emulate.weights import read_state, restore, save_state
from laxity.kernels import native
from laxity.sites.prepare import prepare
from laxity.techniques import (
    BFloat16,
    CircuitAccumulator,
    CircuitMultiplier,
    ComposedProduct,
    HybridFloat,
    Integer,
    Minifloat,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same'"),  # said by the native layers
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),  # torch's own modules about each other
]

CHOICES = {
    "exact": (Integer(),),
    "drum": (Integer(), CircuitMultiplier("drum8_4")),
    "table": (Integer(), CircuitMultiplier("mitchell8")),
    "table with zero-points": (Integer(input_scheme="affine"), CircuitMultiplier("mitchell8")),
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, stride=2, groups=8)
        self.out = nn.Linear(8, 5)

    def forward(self, x):
        x = self.deep(self.conv(x).relu()).relu()
        return self.out(x.mean((2, 3)))


@pytest.fixture(scope="module")
def inputs():
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def network():
    torch.manual_seed(0)
    return Net().eval()


def emulated(inputs, choices):
    """Calibrated, and never run before it is compiled."""
    return approximate(network(), plan_of(choices), calibration=inputs)


def plan_of(choices):
    plan = Plan()
    for name in ("conv", "deep", "out"):
        plan = plan.with_(name, *choices)
    return plan


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", list(CHOICES))
def test_compiled_whole(inputs, name, backend):
    model = emulated(inputs, CHOICES[name])
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    got = compiled(inputs), compiled(inputs[:3])  # the second batch size makes it dynamic
    assert torch.equal(got[0], model(inputs))
    assert torch.equal(got[1], model(inputs)[:3])


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="inductor needs a C++ compiler")
def test_compiled_by_inductor(inputs, monkeypatch):
    """Inductor makes its own code of what lies between the operators; sums of the mean may be in another order."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", folder)
        model = emulated(inputs, CHOICES["table"])
        model.out = nn.Identity()
        got = torch.compile(model, backend="inductor", fullgraph=True)(inputs)
    torch.testing.assert_close(got, model(inputs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", list(CHOICES))
def test_exported(inputs, name, strict):
    model = emulated(inputs, CHOICES[name])
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(model, (inputs,), strict=strict, dynamic_shapes=shapes)
    graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    targets = [str(node.target) for graph in graphs for node in graph.nodes]
    own = ("laxity.convolve",) if native.level() == "torch" else ("laxity.table.", "laxity.lowrank.")
    assert sum(target.startswith(own) for target in targets) == 3
    for batch in (inputs, inputs[:1], inputs.repeat(3, 1, 1, 1)):
        assert torch.equal(program.module()(batch), model(batch))


@pytest.mark.skipif(native.level() == "torch", reason="laxity is installed without compiled kernels")
def test_exported_programs_can_be_saved(inputs, tmp_path):
    """The graph of layers with operators of their own holds all they need."""
    model = emulated(inputs, CHOICES["table"])
    wanted = model(inputs)
    torch.export.save(torch.export.export(model, (inputs,)), tmp_path / "model.pt2")
    del model
    assert torch.equal(torch.export.load(tmp_path / "model.pt2").module()(inputs), wanted)


LAYERS = {
    "strided": (nn.Conv1d(4, 6, 3, stride=2), (2, 4, 9)),
    "volume": (nn.Conv3d(2, 3, 2, padding=1), (2, 2, 4, 4, 4)),
    "same": (nn.Conv2d(2, 3, 2, padding="same"), (2, 2, 4, 4)),
    "reflected": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 2, 4, 4)),
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 2, 4, 4)),
    "tokens": (nn.Linear(4, 3), (2, 5, 4)),
}
FORMATS = {
    "zero-points everywhere": (Integer(weight_scheme="affine", input_scheme="affine"), CircuitMultiplier("mitchell8")),
    "12 bits": (Integer(12, 12),),
    "composed": (Integer(12, 12), ComposedProduct("mitchell8")),
    "minifloat": (Minifloat(),),
    "bfloat16": (BFloat16(),),
    "hybrid": (HybridFloat(),),
    "accumulator": (Integer(), CircuitAccumulator("loa16_4")),
}


def check_layer(layer, shape, choices):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    model = approximate(nn.Sequential(copy.deepcopy(layer)).eval(), Plan().with_("0", *choices), calibration=x)
    wanted = model(x)
    assert torch.equal(torch.compile(model, backend="aot_eager", fullgraph=True)(x), wanted)
    for strict in (True, False):
        assert torch.equal(torch.export.export(model, (x,), strict=strict).module()(x), wanted)


@pytest.mark.parametrize("name", list(LAYERS))
def test_every_kind_of_layer(name):
    check_layer(*LAYERS[name], CHOICES["table"])


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_number_format(name):
    check_layer(nn.Conv2d(2, 3, 2), (2, 2, 4, 4), FORMATS[name])


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("name", ["drum", "table with zero-points"])
def test_compiled_training_step(inputs, name, backend):
    model = emulated(inputs, CHOICES[name]).requires_grad_(True)
    twin = copy.deepcopy(model)
    model(inputs).square().sum().backward()
    torch.compile(twin, backend=backend, fullgraph=True)(inputs).square().sum().backward()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(other.grad, one.grad)


def test_weights_that_change_later_count(inputs):
    """A compiled model is not bound to the weights it was traced with."""
    model = emulated(inputs, CHOICES["table"])
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    before = compiled(inputs)
    with torch.no_grad():
        model.conv.weight.mul_(-0.5)
    assert torch.equal(compiled(inputs), model(inputs))
    assert not torch.equal(compiled(inputs), before)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state dict", "saved weights"])
def test_copies_compile_without_having_run(inputs, way, tmp_path):
    plan = plan_of(CHOICES["table with zero-points"])
    model = approximate(network(), plan, calibration=inputs)
    wanted = model(inputs)
    if way == "deepcopy":
        other = copy.deepcopy(model)
    elif way == "pickle":
        other = pickle.loads(pickle.dumps(model))
    elif way == "state dict":
        other = approximate(network(), plan, calibration=inputs.abs() * 3)
        other.load_state_dict(model.state_dict())
    else:
        save_state(model, Path(tmp_path) / "weights")
        other = restore(prepare(network(), inputs[:1]), plan, read_state(Path(tmp_path) / "weights"))
    assert torch.equal(torch.compile(other, backend="eager", fullgraph=True)(inputs), wanted)
    assert torch.equal(other(inputs), wanted)


class Similarity(nn.Module):
    def forward(self, x):
        return x @ x.transpose(-1, -2)


def test_functional_products():
    """Calls inside a forward method are redirected while it runs, which stays outside of compiled graphs."""
    x = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(3))
    model = approximate(Similarity(), Plan().with_(":matmul#0", *CHOICES["table with zero-points"]), calibration=x)
    wanted = model(x)
    assert torch.equal(torch.compile(model, backend="eager")(x), wanted)
    assert torch.equal(torch.export.export(model, (x,), strict=False).module()(x), wanted)


@pytest.mark.parametrize("choice", [CHOICES["table"], FORMATS["zero-points everywhere"]])
def test_compiled_models_refuse_values_that_are_not_finite(inputs, choice):
    compiled = torch.compile(emulated(inputs, choice), backend="aot_eager", fullgraph=True)
    bad = inputs.clone()
    bad[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="input of site 'conv'"):
        compiled(bad)
    assert torch.is_grad_enabled()


def test_a_kernel_that_is_gone_is_an_error():
    with pytest.raises(PlanError, match="kernel 999999 of a compiled or exported model is not in this process"):
        torch.ops.laxity.multiply(torch.zeros(2, 3), torch.zeros(3, 2), 999999)
