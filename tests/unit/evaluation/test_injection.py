"""Injection gives a corrupted copy; the given model stays as it is."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from laxity.core.errors import ConfigError, DataError, TaskError
from laxity.emulate.build import emulated
from laxity.evaluation.injection import inject
from laxity.faults import BitFlip, FaultModel
from laxity.techniques import CircuitMultiplier, Integer


def state(model):
    """Everything that an injection could change."""
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    forced = [layer.forced_codes for layer in emulated(model) if hasattr(layer, "forced_codes")]
    hooks = sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())
    return tensors, forced, hooks, [m.training for m in model.modules()]


def unchanged(model, before):
    tensors, *rest = state(model)
    same = all(torch.equal(value, before[0][name]) for name, value in tensors.items())
    return same and tensors.keys() == before[0].keys() and rest == list(before[1:])


@dataclass(frozen=True)
class Wrong(FaultModel):
    """Gives words that no memory can hold."""

    kind: ClassVar[str] = "wrong"

    how: str = "shape"

    def read(self, words, layout, bits, random):
        """Nothing is wrong with single faults."""
        return words.copy()

    def corrupt(self, words, layout, rng):
        """Break the rule named by `how`."""
        if self.how == "in place":
            return np.bitwise_not(words, out=words)
        wide = words | words.dtype.type(1 << layout.width_bits)
        return {"shape": words[:-1].copy(), "type": words.astype(np.uint64), "width": wide}[self.how]


@pytest.mark.parametrize("name", ["original", "exact", "approximated"])
def test_the_given_model_is_untouched(digits, name):
    model, before = getattr(digits, name), state(getattr(digits, name))
    x = digits.task.test.fetch(range(20))[0]
    with torch.no_grad():
        clean = model(x)
        struck = inject(model, BitFlip(0.05), seed=0)
        assert unchanged(model, before)
        assert torch.equal(model(x), clean)
        assert not torch.equal(struck(x).nan_to_num(), clean)


@pytest.mark.parametrize(
    ("how", "error"), [("shape", ConfigError), ("type", ConfigError), ("width", DataError), ("in place", ValueError)]
)
def test_a_wrong_fault_model_is_refused_and_the_model_is_untouched(digits, how, error):
    before = state(digits.exact)
    with pytest.raises(error):
        inject(digits.exact, Wrong(0.1, how), seed=0)
    assert unchanged(digits.exact, before)


def test_the_seed_decides(digits):
    def codes(seed):
        return [layer.forced_codes for layer in emulated(inject(digits.exact, BitFlip(0.01), seed=seed))]

    assert all(torch.equal(a, b) for a, b in zip(codes(1), codes(1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(codes(1), codes(2), strict=True))


def test_rate_zero_gives_an_equal_model(digits):
    x = digits.task.test.fetch(range(20))[0]
    with torch.no_grad():
        assert torch.equal(inject(digits.exact, BitFlip(0.0), seed=0)(x), digits.exact(x))
        assert torch.equal(inject(digits.original, BitFlip(0.0), seed=0)(x), digits.original(x))


def test_networks_with_equal_words_at_a_site_get_equal_faults_there(digits):
    """The multiplier, and other widths at other sites, do not change what happens in a memory."""
    first = inject(digits.exact, BitFlip(0.01), seed=3)
    other_circuit = inject(digits.build(Integer(), CircuitMultiplier("drum8_4")), BitFlip(0.01), seed=3)
    part = inject(digits.build(Integer(), at=["conv2"]), BitFlip(0.01), seed=3)
    for layer, same in zip(emulated(first), emulated(other_circuit), strict=True):
        assert torch.equal(layer.forced_codes, same.forced_codes)
    assert torch.equal(part.get_submodule("conv2").forced_codes, first.get_submodule("conv2").forced_codes)


def test_faults_add_up_when_a_copy_is_struck_again(digits):
    """Inverting every bit twice gives the first codes; only 127 loses its sign, as minus zero in between."""
    twice = inject(inject(digits.exact, BitFlip(1.0), seed=0), BitFlip(1.0), seed=1)
    for layer in emulated(twice):
        clean = layer.stored_codes()[0]
        assert torch.equal(layer.forced_codes, torch.where(clean == 127, -127.0, clean))


def test_half_of_the_bits_flip_in_every_layer(digits):
    """At rate one half, words are uniform whatever was stored: mean magnitude 63.5, half of them negative."""
    struck = inject(digits.exact, BitFlip(0.5), seed=0)
    codes = torch.cat([layer.forced_codes.flatten() for layer in emulated(struck)]).double().numpy()
    magnitudes = np.abs(codes)
    error = np.sqrt((128**2 - 1) / 12 / codes.size)
    assert abs(magnitudes.mean() - 63.5) < 4 * error
    negative = (codes < 0).mean()
    assert abs(negative - 0.5 * 127 / 128) < 4 * 0.5 / np.sqrt(codes.size)


@dataclass(frozen=True)
class AllOnes(FaultModel):
    """Every word of 32 bits becomes NaN; others stay."""

    kind: ClassVar[str] = "all_ones"
    unit: ClassVar[str] = "word"

    def read(self, words, layout, bits, random):
        """Set all bits of long words."""
        return words | words.dtype.type(2**32 - 1) if layout.width_bits == 32 else words.copy()


@pytest.mark.parametrize("multiplier", ["dadda8", "mitchell8", "drum8_4"])
def test_nan_enters_an_integer_site_as_zero(digits, multiplier):
    model = digits.build(Integer(), CircuitMultiplier(multiplier), at=["conv2"])
    struck = inject(model, AllOnes(1.0), seed=0)
    seen = []
    struck.get_submodule("conv2").register_forward_hook(lambda m, args, out: seen.append((m, args[0], out)))
    x = digits.task.test.fetch(range(3))[0]
    with torch.no_grad():
        assert bool(torch.isnan(struck(x)).all())
        layer, entered, left = seen[0]
        assert torch.equal(entered, torch.zeros_like(entered))
        assert torch.equal(left, layer(torch.zeros(3, 16, 8, 8)))


def test_a_model_in_training_mode_keeps_it_and_its_statistics():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = state(model)
    struck = inject(model, BitFlip(0.5), seed=0, example_input=torch.randn(1, 1, 5, 5))
    assert unchanged(model, before)
    assert model.training
    assert not struck.training
    assert torch.equal(struck[1].running_mean, torch.zeros(2))


def test_biases_and_normalisation_are_not_struck(digits):
    struck = inject(digits.original, BitFlip(1.0), seed=0).state_dict()
    weights = {"conv1.weight", "conv2.weight", "conv3.weight", "linear.weight"}
    for name, value in digits.original.state_dict().items():
        assert torch.equal(struck[name], value) == (name not in weights)


def test_a_model_without_weights_is_refused():
    with pytest.raises(TaskError, match="no stored weight"):
        inject(nn.Flatten(), BitFlip(0.1), seed=0)
