"""Weight memories: which words a model stores, and what the model computes once they are changed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.errors import DataError, TaskError
from laxity.core.plan import Plan
from laxity.emulate import approximate
from laxity.emulate.build import emulated
from laxity.evaluation.memory import FloatMemory, describe, weight_memories
from laxity.sites import find_sites
from laxity.techniques import HybridFloat, Integer, MagnitudePruning, Minifloat

NAMES = ["conv1", "conv2", "conv3", "linear"]


def float_word(value, bit):
    """The float32 that results from one flipped bit, through a memory."""
    weight = nn.Parameter(torch.tensor([[value, 7.0]]))
    memory = FloatMemory("w", weight)
    words = memory.words.copy()
    words[0] ^= np.uint32(1 << bit)
    memory.write(words)
    assert weight[0, 1] == 7.0
    return weight[0, 0].item()


@pytest.mark.parametrize(
    ("value", "bit", "after"),
    [
        (1.0, 31, -1.0),
        (1.0, 30, float("inf")),
        (1.0, 23, 0.5),
        (1.0, 22, 1.5),
        (1.0, 0, 1 + 2**-23),
        (0.0, 30, 2.0),
        (0.0, 31, -0.0),
        (-0.75, 23, -1.5),
    ],
)
def test_single_flips_of_float32_words(value, bit, after):
    result = float_word(value, bit)
    assert result == after
    assert np.signbit(result) == np.signbit(after)


def test_a_flip_can_give_nan():
    assert np.isnan(float_word(1.5, 30))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_all_bit_patterns_are_written_and_restored_exactly(dtype):
    width = torch.finfo(dtype).bits
    weight = nn.Parameter(torch.tensor([1.0, -0.0, float("nan"), float("-inf"), 3e-5]).to(dtype))
    memory = FloatMemory("w", weight)
    before = memory.words.copy()
    assert memory.width_bits == width
    memory.write(~before)
    assert np.array_equal(FloatMemory("w", weight).words, ~before)
    memory.restore()
    assert np.array_equal(FloatMemory("w", weight).words, before)


def test_words_follow_the_shape_of_a_weight_with_another_memory_layout():
    weight = nn.Parameter(torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last))
    before = weight.detach().clone()
    memory = FloatMemory("w", weight)
    words = memory.words.copy()
    words[17] ^= np.uint32(1 << 31)
    memory.write(words)
    expected = before.reshape(-1).clone()
    expected[17] = -expected[17]
    assert torch.equal(weight.detach().reshape(-1), expected)
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_stored_words_cannot_be_changed_by_accident():
    memory = FloatMemory("w", nn.Parameter(torch.ones(2)))
    with pytest.raises(ValueError, match="read-only"):
        memory.words[0] = 0


def test_original_and_exact_network_store_the_same_weights(digits):
    original = weight_memories(digits.original, digits.task.example_input)
    exact = weight_memories(digits.exact, digits.task.example_input)
    shapes = [s.op.weight_elements for s in digits.sites]
    assert [m.name for m in original] == [m.name for m in exact] == NAMES
    assert [m.words.size for m in original] == [m.words.size for m in exact] == shapes
    assert {m.width_bits for m in original} == {32}
    assert {m.width_bits for m in exact} == {8}
    words = sum(shapes)
    assert describe(original) == (
        f"{32 * words} weight bits of 4 layers ({words} float32); biases and scales are fault-free"
    )
    assert f"{8 * words} weight bits of 4 layers ({words} 8-bit sign-magnitude integers)" in describe(exact)


def test_modules_without_an_example_give_the_same_memories(digits):
    with_example = weight_memories(digits.original, digits.task.example_input)
    without = weight_memories(digits.original)
    for one, other in zip(with_example, without, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.words, other.words)


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_a_layer_computes_with_the_codes_that_were_written(digits, scheme):
    """Against the definition: output = sum of (input code) (weight code - zero) times both scales, plus bias."""
    model = digits.build(Integer(8, 8, weight_scheme=scheme))
    memory = next(m for m in weight_memories(model) if m.name == "conv2")
    layer = model.get_submodule("conv2")
    rng = np.random.default_rng(0)
    words = rng.integers(0, 256, memory.words.size).astype(np.uint32)
    memory.write(words)
    plain = words.astype(np.int64)
    codes = plain if scheme == "affine" else np.where(plain > 127, 128 - plain, plain)
    x = torch.rand(2, 16, 8, 8) * 3
    scale, zero = layer.operand.weight.scale_and_zero(layer.weight)
    values = (torch.from_numpy(codes).reshape(layer.weight.shape).double() - zero.reshape(-1, 1, 1, 1)) * scale.reshape(
        -1, 1, 1, 1
    )
    represented = layer.operand.input.codes(x).double() * layer.operand.input.scale
    expected = F.conv2d(represented, values, layer.bias.double(), padding=1)
    assert torch.allclose(layer(x).double(), expected, rtol=1e-5, atol=1e-4)
    memory.restore()
    assert layer.forced_codes is None
    clean = layer.operand.weight.represent(layer.weight, layer.stored_codes()[0], scale, zero)
    assert torch.allclose(
        layer(x).double(), F.conv2d(represented, clean.double(), layer.bias.double(), padding=1), rtol=1e-5, atol=1e-4
    )


def test_words_that_are_too_wide_are_refused_and_leave_the_layer_alone(digits):
    model = copy.deepcopy(digits.exact)
    memory = weight_memories(model)[0]
    with pytest.raises(DataError, match="more than 8 bits"):
        memory.write(memory.words + np.uint32(256))
    assert model.get_submodule("conv1").forced_codes is None


@pytest.mark.parametrize("scheme", ["symmetric", "affine"])
def test_masked_integer_weights_are_not_stored(digits, scheme):
    model = digits.build(MagnitudePruning(0.3), Integer(weight_scheme=scheme))
    memories = weight_memories(model)
    total = sum(s.op.weight_elements for s in digits.sites)
    for memory in memories:
        layer = model.get_submodule(memory.name)
        memory.write(memory.words ^ np.uint32(0xFF))
        coder = layer.operand.weight
        scale, zero = coder.scale_and_zero(layer.used_weight())
        clean = coder.codes(layer.used_weight(), scale, zero)
        struck = layer.forced_codes
        empty = clean == zero.reshape(-1, *[1] * (clean.dim() - 1))
        masked = layer.structure.mask == 0
        assert bool((empty | ~masked).all())
        assert torch.equal(struck[empty], clean[empty])
        assert bool((struck[~empty] != clean[~empty]).all())
        assert memory.words.size == int((~empty).sum())
    stored = sum(m.words.size for m in memories)
    assert 0.2 * total < stored <= round(0.3 * total)
    assert "zero weights of 4 pruned layers are not stored" in describe(memories)


def test_masked_float_weights_are_not_stored(digits):
    model = digits.build(MagnitudePruning(0.3))
    for memory in weight_memories(model):
        layer = model.get_submodule(memory.name)
        before = layer.used_weight().detach().clone()
        memory.write(memory.words ^ np.uint32(1 << 31))
        assert torch.equal(layer.used_weight().detach(), -before)
        assert memory.words.size == int((before != 0).sum()) < before.numel()
        memory.restore()
        assert torch.equal(layer.used_weight().detach(), before)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize(
    ("operand", "form"),
    [
        (Integer(6, 8), "sign_magnitude"),
        (Integer(8, 8, weight_scheme="affine"), "unsigned"),
        (Integer(8, 8, weight_scheme="affine", granularity="tensor"), "unsigned"),
        (Minifloat.named("e4m3"), "float"),
        (Minifloat.named("e3m2", scaling="tensor"), "float"),
        (HybridFloat(scaling="channel"), "listed"),
    ],
    ids=lambda x: x if isinstance(x, str) else x.label(),
)
def test_the_layout_says_what_the_words_of_a_layer_mean(digits, operand, form, pruned):
    """Values of words are the weights that the layer computes with, but for their scales."""
    model = digits.build(operand, *([MagnitudePruning(0.5)] if pruned else []))
    rng = np.random.default_rng(0)
    for memory in weight_memories(model):
        layer = model.get_submodule(memory.name)
        coder, weight = layer.operand.weight, layer.used_weight().detach()
        scale, zero = coder.scale_and_zero(weight)
        meant = coder.represent(weight, coder.codes(weight, scale, zero), scale, zero)
        expected = (meant / scale.reshape(-1, *[1] * (weight.dim() - 1))).double().numpy().reshape(-1)
        stored = np.flatnonzero(expected) if pruned else np.arange(expected.size)
        assert (memory.layout.form, memory.layout.width_bits) == (form, memory.width_bits)
        values = memory.layout.values(memory.words)
        assert values == pytest.approx(expected[stored], rel=1e-6)
        some = rng.choice(memory.words.size, 20)
        assert np.array_equal(memory.layout.at(some).values(memory.words[some]), values[some])
        # The words of these values are those that are stored, but for the sign of zero.
        same = memory.layout.words(values, memory.words.dtype) == memory.words
        assert np.all(same | (values == 0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_layout_says_what_floating_point_words_mean(dtype):
    weight = nn.Parameter(torch.tensor([1.5, -0.0, float("nan"), float("-inf"), 3e-5, -1e4]).to(dtype))
    memory = FloatMemory("w", weight)
    assert np.array_equal(memory.layout.values(memory.words), weight.detach().double().numpy(), equal_nan=True)


def test_a_partly_emulated_network_stores_both_kinds(digits):
    model = digits.build(Integer(4, 8), at=["conv2"])
    forms = {m.name: (m.width_bits, m.form) for m in weight_memories(model, digits.task.example_input)}
    floats = (32, "float32")
    assert forms == {"conv1": floats, "conv2": (4, "4-bit sign-magnitude integers"), "conv3": floats, "linear": floats}


class Functional(nn.Module):
    """Passes its weight to a function, and uses one weight in two layers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Parameter(torch.randn(6, 4))
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.relu(self.first(F.linear(x, self.w))))


def test_functional_and_shared_weights_are_stored_once_each():
    model, example = Functional().eval(), torch.randn(1, 4)
    found = weight_memories(model, example)
    assert [(m.name, m.words.size) for m in found] == [(":linear#0", 24), ("first", 36)]
    assert [m.name for m in weight_memories(model)] == ["first"]
    sites = find_sites(model, example)
    emulated_model = approximate(model, Plan.assign(sites[:1], [Integer()]), calibration=torch.randn(8, 4))
    assert len(list(emulated(emulated_model))) == 1
    assert [(m.name, m.width_bits) for m in weight_memories(emulated_model, example)] == [
        (":linear#0", 8),
        ("first", 32),
    ]


def test_the_example_is_not_changed_by_a_model_that_works_in_place():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)).eval()
    example = torch.tensor([[-1.0, 2.0, -3.0]])
    weight_memories(model, example)
    assert example.tolist() == [[-1.0, 2.0, -3.0]]


def test_models_without_stored_weights_are_refused():
    with pytest.raises(TaskError, match="no stored weight"):
        weight_memories(nn.ReLU())
    with pytest.raises(TaskError, match=r"torch\.complex64"):
        weight_memories(nn.Linear(2, 2, dtype=torch.complex64))
