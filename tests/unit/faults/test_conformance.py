"""The base class, the conformance check of fault models, and the page on adding one."""

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from laxity.core.errors import ConfigError, RegistryError
from laxity.faults import (
    BUILT_IN_FAULTS,
    FAULTS,
    BitFlip,
    Burst,
    FaultModel,
    FixedValue,
    IntegerLayout,
    MultiFlip,
    Noise,
    ReducedVoltage,
    Saturated,
    StuckAt,
)
from laxity.testing.fault_model import check_fault_model

PAGE = Path(__file__).parents[3] / "docs" / "extend-fault-model.md"


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.5, 1.0])
@pytest.mark.parametrize("model", BUILT_IN_FAULTS, ids=lambda m: m.kind)
def test_built_in_models_conform(model, rate):
    check_fault_model(model(rate))


@pytest.mark.parametrize(
    "fault",
    [
        *(model(0.01, activity=0.4) for model in BUILT_IN_FAULTS),
        StuckAt(0.01, 1),
        MultiFlip(0.01, 8),
        Burst(0.01, 7, "random"),
        Burst(0.01, 64),
        FixedValue(0.01, -2.5),
        Noise(0.01, 4.0, "step"),
        Saturated(0.01, "positive"),
        Saturated(0.01, "negative"),
        ReducedVoltage(voltage_v=1.15),
        ReducedVoltage(0.01, locality="row", row_bits=100),
        ReducedVoltage(0.01, locality="column", row_bits=100),
    ],
    ids=str,
)
def test_built_in_models_conform_with_other_parameters(fault):
    check_fault_model(fault)


def test_built_in_models_are_registered():
    assert [FAULTS[model.kind] for model in BUILT_IN_FAULTS] == list(BUILT_IN_FAULTS)


def test_json_form_and_rates():
    fault = BitFlip(0.25)
    assert fault.to_json() == {"kind": "bit_flip", "rate_per_bit": 0.25, "activity": 1.0}
    assert FaultModel.from_json(fault.to_json()) == fault
    assert FaultModel.from_json({"kind": "bit_flip", "rate_per_bit": 1}) == BitFlip(1.0)
    assert fault.at(0.5) == BitFlip(0.5)


@pytest.mark.parametrize(
    ("data", "error", "fragment"),
    [
        ({"kind": "bit_flop", "rate_per_bit": 0.1}, RegistryError, "did you mean 'bit_flip'"),
        ({"rate_per_bit": 0.1}, ConfigError, "object with a 'kind'"),
        ([], ConfigError, "object with a 'kind'"),
        ({"kind": "bit_flip"}, ConfigError, "needs parameter 'rate_per_bit'"),
        ({"kind": "bit_flip", "rate_per_bits": 0.1}, ConfigError, "did you mean 'rate_per_bit'"),
        ({"kind": "bit_flip", "rate_per_bit": "0.1"}, ConfigError, "must be float"),
        ({"kind": "bit_flip", "rate_per_bit": True}, ConfigError, "must be float"),
        ({"kind": "bit_flip", "rate_per_bit": 2}, ConfigError, "between 0 and 1"),
        ({"kind": "bit_flip", "rate_per_bit": 0.1, "activity": 0}, ConfigError, "above 0 and at most 1"),
        ({"kind": "bit_flip", "rate_per_bit": 0.1, "activity": 1.5}, ConfigError, "above 0 and at most 1"),
    ],
)
def test_malformed_json_is_refused(data, error, fragment):
    with pytest.raises(error, match=fragment):
        FaultModel.from_json(data)


def flip(self, words, layout, bits, random):
    return BitFlip(0.0).read(words, layout, bits, random)


def broken(**members):
    """A fault model with the given behaviour, else that of bit flips."""
    made = type("Broken", (FaultModel,), {"kind": "broken", "read": flip, "__annotations__": {}, **members})
    return dataclass(frozen=True)(made)(0.5)


def in_place(self, words, layout, rng):
    words ^= words.dtype.type(self.rate_per_bit > 0)
    return words


def draw_elsewhere(self, words, layout, rng):
    return words ^ words.dtype.type(self.rate_per_bit > 0 and next(COUNTER) % 2)


COUNTER = iter(range(10**9))


@pytest.mark.parametrize(
    ("corrupt", "fragment"),
    [
        (in_place, "read-only"),
        (lambda self, w, layout, rng: w, "not a new array"),
        (lambda self, w, layout, rng: ~w if self.rate_per_bit else w.copy(), "more than 3 bits"),
        (lambda self, w, layout, rng: w.astype(np.int64), "shape or type"),
        (lambda self, w, layout, rng: w.reshape(-1).copy(), "shape or type"),
        (draw_elsewhere, "equal generators give different words"),
        (lambda self, w, layout, rng: w ^ w.dtype.type(1), "words change at rate 0"),
        (lambda self, w, layout, rng: w.copy(), "nothing changes at rate 1"),
        (lambda self, w, layout, rng: w[5:2:0], r"corrupt\(\) fails"),
    ],
)
def test_every_fault_of_corrupting_is_found(corrupt, fragment, monkeypatch):
    fault = broken(corrupt=corrupt)
    monkeypatch.setitem(FAULTS._entries, "broken", type(fault))
    with pytest.raises(ConfigError, match=fragment):
        check_fault_model(fault)


def read_in_place(self, words, layout, bits, random):
    words ^= words.dtype.type(1)
    return words


@pytest.mark.parametrize(
    ("members", "fragment"),
    [
        ({"read": read_in_place}, r"strike\(\) fails, perhaps on words that are read-only"),
        ({"read": lambda self, w, layout, bits, random: w}, r"strike\(\): the result is not a new array"),
        ({"read": lambda self, w, layout, bits, random: ~w}, r"strike\(\): a word has more than 3 bits"),
        ({"read": lambda self, w, layout, bits, random: w.astype(np.int64)}, r"strike\(\): shape or type"),
        ({"read": lambda self, w, layout, bits, random: w[:-1].copy()}, r"strike\(\): shape or type"),
        ({"read": lambda self, w, layout, bits, random: np.sort(w)}, "depends on more than each word"),
        ({"read": lambda self, w, layout, bits, random: w ^ w.dtype.type(next(COUNTER) % 2)}, "depends on more than"),
        ({"read": lambda self, w, layout, bits, random: w ^ w.dtype.type(3)}, r"bits that reach\(\) does not name"),
        ({"read": lambda self, w, layout, bits, random: w ^ random[:, 0].astype(w.dtype)}, r"strike\(\) fails"),
        ({"unit": "byte"}, "unit is 'byte', not 'bit' or 'word'"),
    ],
)
def test_every_fault_of_striking_is_found(members, fragment, monkeypatch):
    fault = broken(**members, corrupt=BitFlip.corrupt)
    monkeypatch.setitem(FAULTS._entries, "broken", type(fault))
    with pytest.raises(ConfigError, match=fragment):
        check_fault_model(fault)


def test_a_model_that_is_not_registered_is_found():
    fault = broken()
    with pytest.raises(ConfigError, match="not registered"):
        check_fault_model(fault)


def test_a_model_that_does_not_check_its_rate_is_found(monkeypatch):
    fault = broken(__post_init__=lambda self: None)
    monkeypatch.setitem(FAULTS._entries, "broken", type(fault))
    with pytest.raises(ConfigError, match="rate_per_bit nan is accepted"):
        check_fault_model(fault)


def test_the_base_class_says_what_is_missing():
    class Nothing(FaultModel):
        kind: ClassVar[str] = "nothing"

    with pytest.raises(TypeError, match=r"class Nothing .* read"):
        Nothing(0.1)


def test_the_page_on_adding_a_fault_model_works_as_printed(tmp_path, monkeypatch):
    module, check, use = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "page_coupled.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(FAULTS, "_entries", dict(FAULTS._entries))
    imported = importlib.import_module("page_coupled")
    monkeypatch.delitem(sys.modules, "page_coupled")
    exec(compile(check, str(PAGE), "exec"), {})
    words, bits = np.full(4, 0b0110, np.uint8), np.arange(4)
    for wired, expected in (("and", [0b0110, 0b0100, 0b0110, 0b0110]), ("or", [0b0110, 0b0110, 0b0110, 0b1110])):
        found = imported.Coupled(0.0, wired).strike(words, IntegerLayout(4), bits, np.zeros((4, 0), np.uint64))
        assert found.tolist() == expected
    names = {}
    exec(compile(use, str(PAGE), "exec"), names)
    assert [r.rate_per_bit for r in names["curve"]] == [0.0, 1e-3, 1e-2]
    assert names["curve"][0].value > 0.9
    assert names["curve"][2].sdc > names["curve"][0].sdc == 0
    assert 20 <= len(module.strip().splitlines()) <= 40
