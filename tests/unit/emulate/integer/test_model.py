"""Integer models as modules: copies, states, other ends, and everything they refuse."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.circuits import Multiplier, adder_catalogue, catalogue
from laxity.core.errors import CircuitError, DataError, PlanError, RunError
from laxity.core.interpret import run_program
from laxity.core.plan import Plan
from laxity.core.program_file import load_program, program_key, save_program
from laxity.emulate import EmulatedLayer, FloatEnds, IntegerModel, approximate, integer_model
from laxity.emulate.weights import read_state, save_state
from laxity.evaluation.quality import predict
from laxity.sites import find_sites
from laxity.task import load_task
from laxity.techniques import BFloat16, CircuitAccumulator, CircuitMultiplier, Integer


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4))


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(9)
    return torch.randn(12, 1, 4, 4)


@pytest.fixture(scope="module")
def integer(lab, inputs):
    return lab.make(small(), inputs, Integer(), CircuitMultiplier("drum8_4"), CircuitAccumulator("loa20_4"))


def test_copies_and_pickles_compute_the_same(integer, inputs):
    codes = integer.quantise(inputs)
    wanted = integer(codes)
    for other in (copy.deepcopy(integer), pickle.loads(pickle.dumps(integer))):
        assert torch.equal(other(codes), wanted)
        assert program_key(other.program) == program_key(integer.program)


def test_the_state_is_the_program(lab, integer, inputs, tmp_path):
    other = lab.make(small(1), inputs)
    codes = integer.quantise(inputs)
    state = integer.state_dict()
    assert list(state) == ["_extra_state"]
    save_state(integer, tmp_path / "state.safetensors")
    other.load_state_dict(read_state(tmp_path / "state.safetensors"))
    assert program_key(other.program) == program_key(integer.program)
    assert torch.equal(other(codes), integer(codes))
    lab.compare(other, codes)
    torch.save(state, tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    with pytest.raises(RunError, match="of the state"):
        other.load_state_dict({"_extra_state": torch.zeros(9, dtype=torch.uint8)})


def test_a_saved_program_is_a_model_again(lab, integer, inputs, tmp_path):
    save_program(integer.program, tmp_path / "net.npz")
    again = IntegerModel(load_program(tmp_path / "net.npz"))
    codes = integer.quantise(inputs)
    assert torch.equal(again(codes), integer(codes))
    assert np.array_equal(integer.program.input_code.quantise(inputs.numpy()), codes.numpy())
    assert again.program.code_of("0").bits == 8


def test_other_circuits_than_those_of_the_program_are_refused(integer):
    table = catalogue.get("drum8_4").table + 1
    other = Multiplier.from_table(table, a_signed=False, b_signed=False, name="drum8_4")
    with pytest.raises(CircuitError, match="drum8_4"):
        IntegerModel(integer.program, {"drum8_4": other})
    with pytest.raises(CircuitError, match="loa20_4"):
        IntegerModel(integer.program, adders={"loa20_4": adder_catalogue.get("ripple20")})


def test_statements_of_a_program_are_proven(integer):
    first, *rest = integer.program.steps
    claims = dataclasses.replace(first, greatest_sums=np.zeros_like(first.greatest_sums))
    with pytest.raises(PlanError, match="bounds"):
        IntegerModel(dataclasses.replace(integer.program, steps=(claims, *rest)))


def test_bits_that_products_lack_are_proven(lab, inputs):
    program = lab.make(small(), inputs, Integer(4, 8), CircuitMultiplier("mitchell8")).program
    first, *rest = program.steps
    assert first.shifts == (0, 4)
    for change in (-1, 1):
        claims = dataclasses.replace(first, product_shift=first.product_shift + change)
        with pytest.raises(PlanError, match=r"not all 0|does not fit"):
            IntegerModel(dataclasses.replace(program, steps=(claims, *rest)))


def test_inputs_that_are_no_codes_are_refused(integer, inputs):
    codes = integer.quantise(inputs)
    high = integer.program.input_code.high
    for wrong in (inputs, codes.to(torch.bool), codes[0], codes[:, :, :3], torch.full_like(codes, high + 1)):
        with pytest.raises(DataError, match="codes"):
            integer(wrong)
    with pytest.raises(DataError, match="NaN"):
        integer.quantise(inputs * float("nan"))
    assert integer(codes[:0]).shape == (0, 4)
    assert torch.equal(integer(codes.to(torch.int64)), integer(codes))


def test_outputs_are_logits_of_one_scale(integer, inputs, lab):
    model = lab.approximated(small(), inputs, Integer(), CircuitMultiplier("drum8_4"), CircuitAccumulator("loa20_4"))
    found = FloatEnds(integer)(inputs)
    assert found.dtype == torch.float32
    integers = integer(integer.quantise(inputs))
    assert integers.dtype == torch.int32
    assert torch.equal(found.argmax(1), integers.argmax(1))
    with torch.no_grad():
        assert torch.allclose(found, model(inputs), atol=0.05 * float(model(inputs).abs().max()))


@pytest.mark.parametrize(
    ("choices", "differ"),
    [
        ((Integer(),), 1),
        ((Integer(), CircuitMultiplier("drum8_4")), 2),
        ((Integer(), CircuitMultiplier("mitchell8")), 2),
        ((Integer(4, 8),), 2),
        ((Integer(8, 8, "affine", "affine"),), 2),
    ],
)
def test_digits_are_told_apart_as_by_the_emulation(choices, differ):
    task = load_task("digits")
    plan = Plan.assign(find_sites(task.model, task.example_input), choices)
    model = approximate(task, plan)
    integer = integer_model(model, task.calibration.fetch(range(64))[0])
    before, after = predict(model, task, "test"), predict(FloatEnds(integer), task, "test")
    assert int((before.classes != after.classes).sum()) <= differ
    codes = integer.quantise(task.test.fetch(range(2))[0])
    wanted = run_program(integer.program, codes.numpy(), integer.tables)
    assert all(np.array_equal(value.numpy(), wanted[name]) for name, value in integer.trace(codes).items())


class Calls(nn.Module):
    """A linear layer, then whatever the test wants, then another one."""

    def __init__(self, function):
        super().__init__()
        self.first, self.second, self.function = nn.Linear(4, 4), nn.Linear(4, 3), function

    def forward(self, x):
        return self.second(self.function(self.first(x)))


def changed(y):
    y[:, :2].relu_()
    return y


def written(y):
    y = y.clone()
    y[:, 0] = 0.0
    return y


REFUSED = {
    "softmax": (lambda y: F.softmax(y, 1), ":softmax#0.*logits"),
    "gelu": (F.gelu, ":gelu#0.*no integer form"),
    "constant": (lambda y: y + 1.0, ":add#0.*no second activation"),
    "parameter": (lambda y: y + torch.ones(1, 4), ":add#0"),
    "product": (lambda y: y * y, ":mul#0.*no integer form"),
    "alpha": (lambda y: torch.add(y, y, alpha=2), ":add#0"),
    "dtype": (lambda y: y.double().float(), ":double#0"),
    "mean": (lambda y: y.mean(1, keepdim=True).expand(-1, 4), "cannot be part"),
    "batch": (lambda y: y.flip(0), ":flip#0"),
    "samples": (lambda y: torch.cat([y, y])[: len(y)], "cannot be part"),
    "pick": (lambda y: y[:, [0, 1, 2, 3]], "slices"),
    "limits": (lambda y: y.clamp(0.5, 1.0), "0 does not lie"),
    "contents": (lambda y: y if y.sum() > 0 else -y, "looks at the contents"),
    "in place": (changed, "changed in place"),
    "written": (written, "__setitem__"),
    "reflected": (lambda y: F.pad(y[None], (1, 1), mode="replicate")[0][:, 1:5], "cannot be part"),
    "training": (lambda y: F.dropout(y, training=True), "as in training"),
    "float": (lambda y: F.linear(y, torch.eye(4)), "floating point|computed on the fly|:linear"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_integer_form_is_named(lab, what):
    function, message = REFUSED[what]
    torch.manual_seed(0)
    x = torch.rand(3, 4)
    model = approximate(
        Calls(function).eval(),
        Plan((("first", *choice()), ("second", *choice()))),
        calibration=x,
        exact=[":*"],
    ) if what == "float" else lab.approximated(Calls(function).eval(), x)  # fmt: skip
    with pytest.raises(PlanError, match=message):
        integer_model(model, x)


def choice():
    return Integer.slot, Integer()


class Pooled(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(1, 2, 3), function

    def forward(self, x):
        return self.function(self.conv(x))


@pytest.mark.parametrize(
    "function",
    [
        lambda y: F.avg_pool2d(y, 2, padding=1, count_include_pad=False),
        lambda y: F.avg_pool2d(y, 3, stride=2, padding=1, ceil_mode=True),
        lambda y: F.adaptive_avg_pool2d(y, 4),
        lambda y: F.adaptive_max_pool2d(y, 2, return_indices=True)[0],
        lambda y: F.max_pool2d(y, 2, return_indices=True)[0],
        lambda y: y.mean(2),
        lambda y: y.reshape(-1, 6, 6),
        lambda y: y.transpose(1, 2),
        lambda y: (y, y),
        lambda y: y.amax((2, 3)),
    ],
)
def test_pooling_and_shapes_that_are_refused(lab, inputs, function):
    x = torch.randn(3, 1, 8, 8)
    with pytest.raises(PlanError, match=r"cannot be part|returns a tuple"):
        integer_model(lab.approximated(Pooled(function).eval(), x), x)


def one_layer(layer, x, *choices):
    return approximate(layer.eval(), Plan.assign(find_sites(layer, x), choices), calibration=x)


def test_layers_that_are_refused(lab):
    image, row = torch.randn(3, 2, 6, 6), torch.randn(3, 4)
    cases = [
        (nn.ConvTranspose2d(2, 2, 3), image, (Integer(),), "transposed convolution"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), image, (Integer(),), "'reflect'"),
        (nn.Linear(4, 2), row, (BFloat16(),), "integer codes"),
        (nn.Linear(4, 2), row, (Integer(12, 12),), "no table"),
        (nn.LSTM(4, 2, batch_first=True), torch.randn(3, 2, 4), (Integer(),), "cannot be part|returns|in place"),
    ]
    for layer, x, choices, message in cases:
        with pytest.raises(PlanError, match=message):
            integer_model(one_layer(layer, x, *choices), x)
    attention = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    with pytest.raises(PlanError, match="cannot be part"):
        integer_model(one_layer(attention, torch.randn(2, 3, 4), Integer()), torch.randn(2, 3, 4))


def test_layers_without_codes_and_norms_that_stay_are_refused(lab):
    x = torch.randn(6, 4)
    first_only = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    plan = Plan((("0", *choice()),))
    with pytest.raises(PlanError, match=r"'2:linear#0'.*OPERAND"):
        integer_model(approximate(first_only.eval(), plan, calibration=x), x)
    norm = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(PlanError, match="normalisation"):
        integer_model(lab.approximated(norm.eval(), x), x)
    folded = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Identity(), nn.Linear(4, 2))
    assert [s.kind for s in lab.make(folded, x).program.steps] == ["product", "product"]


def test_sums_that_do_not_fit_are_refused(lab):
    layer, x = nn.Linear(4, 2), torch.randn(6, 4)
    model = lab.approximated(layer.eval(), x)
    large = Multiplier.from_table(np.full((256, 256), 2**29), a_signed=False, b_signed=False, name="large")
    huge = Multiplier.from_table(np.full((256, 256), 2**33), a_signed=False, b_signed=False, name="huge")
    for table, message in ((large, "have 32 bits"), (huge, "reach 8589934592")):
        next(m for m in model.modules() if isinstance(m, EmulatedLayer)).multiplier = table
        with pytest.raises(PlanError, match=message):
            integer_model(model, x)


def test_circuits_of_one_name_are_refused(lab):
    model = lab.approximated(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).eval(), x := torch.randn(6, 4))
    for layer, add in zip(model, (0, 2), strict=True):
        table = catalogue.get("dadda8").table + add
        layer.multiplier = Multiplier.from_table(table, a_signed=False, b_signed=False, name="mine")
    with pytest.raises(PlanError, match="another multiplier 'mine'"):
        integer_model(model, x)


def test_examples_that_are_none_are_refused(lab):
    model = lab.approximated(nn.Linear(4, 2).eval(), x := torch.randn(6, 4))
    for example in (x[:0], x.double(), x[0], x.tolist()):
        with pytest.raises(DataError, match="example"):
            integer_model(model, example)
    for bits in (1, 17):
        with pytest.raises(PlanError, match="2 to 16 bits"):
            integer_model(model, x, bits=bits)


class Changing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        y = self.layer(x)
        return F.relu(y) if len(x) < 16 else y


def test_models_that_do_different_things_are_refused(lab):
    x = torch.randn(20, 4)
    with pytest.raises(PlanError, match="different things"):
        integer_model(lab.approximated(Changing().eval(), x), x)


def test_the_model_given_stays_as_it_is(lab, inputs):
    model = lab.approximated(small().eval(), inputs)
    model.train()
    with torch.no_grad():
        before = model(inputs)
        integer_model(model, inputs)
        assert model.training
        assert all(m.training for m in model.modules())
        assert torch.equal(model(inputs), before)
    assert not any(m._forward_hooks for m in model.modules())
