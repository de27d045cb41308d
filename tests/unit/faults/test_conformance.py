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
from laxity.faults import BUILT_IN_FAULTS, FAULTS, BitFlip, FaultModel
from laxity.testing.fault_model import check_fault_model

PAGE = Path(__file__).parents[3] / "docs" / "extend-fault-model.md"


@pytest.mark.parametrize("rate", [0.0, 1e-3, 0.5, 1.0])
def test_bit_flips_conform(rate):
    check_fault_model(BitFlip(rate))


def test_built_in_models_are_registered():
    assert [FAULTS[model.kind] for model in BUILT_IN_FAULTS] == list(BUILT_IN_FAULTS)


def test_json_form_and_rates():
    fault = BitFlip(0.25)
    assert fault.to_json() == {"kind": "bit_flip", "rate_per_bit": 0.25}
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
    ],
)
def test_malformed_json_is_refused(data, error, fragment):
    with pytest.raises(error, match=fragment):
        FaultModel.from_json(data)


def broken(corrupt, **members):
    """A fault model with the given behaviour."""
    made = type("Broken", (FaultModel,), {"kind": "broken", "corrupt": corrupt, "__annotations__": {}, **members})
    return dataclass(frozen=True)(made)(0.5)


def in_place(self, words, width_bits, rng):
    words ^= words.dtype.type(self.rate_per_bit > 0)
    return words


def draw_elsewhere(self, words, width_bits, rng):
    return words ^ words.dtype.type(self.rate_per_bit > 0 and next(COUNTER) % 2)


COUNTER = iter(range(10**9))


def flip_all(self, words):
    return ~words if self.rate_per_bit else words.copy()


@pytest.mark.parametrize(
    ("corrupt", "fragment"),
    [
        (in_place, "read-only"),
        (lambda self, w, b, rng: w, "not a new array"),
        (lambda self, w, b, rng: flip_all(self, w), "more than 3 bits"),
        (lambda self, w, b, rng: w.astype(np.int64), "shape or type"),
        (lambda self, w, b, rng: w.reshape(-1).copy(), "shape or type"),
        (draw_elsewhere, "equal generators give different words"),
        (lambda self, w, b, rng: w ^ w.dtype.type(1), "words change at rate 0"),
        (lambda self, w, b, rng: w.copy(), "nothing changes at rate 1"),
        (lambda self, w, b, rng: w[5:2:0], r"corrupt\(\) fails"),
    ],
)
def test_every_fault_of_a_fault_model_is_found(corrupt, fragment, monkeypatch):
    fault = broken(corrupt)
    monkeypatch.setitem(FAULTS._entries, "broken", type(fault))
    with pytest.raises(ConfigError, match=fragment):
        check_fault_model(fault)


def test_a_model_that_is_not_registered_is_found():
    fault = broken(lambda self, w, b, rng: flip_all(self, w))
    with pytest.raises(ConfigError, match="not registered"):
        check_fault_model(fault)


def test_a_model_that_does_not_check_its_rate_is_found(monkeypatch):
    fault = broken(lambda self, w, b, rng: w.copy(), __post_init__=lambda self: None)
    monkeypatch.setitem(FAULTS._entries, "broken", type(fault))
    with pytest.raises(ConfigError, match="rate_per_bit nan is accepted"):
        check_fault_model(fault)


def test_the_base_class_says_what_is_missing():
    class Nothing(FaultModel):
        kind: ClassVar[str] = "nothing"

    with pytest.raises(TypeError, match=r"class Nothing .* corrupt"):
        Nothing(0.1)


def test_the_page_on_adding_a_fault_model_works_as_printed(tmp_path, monkeypatch):
    module, check, use = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "page_stuck_at.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(FAULTS, "_entries", dict(FAULTS._entries))
    imported = importlib.import_module("page_stuck_at")
    monkeypatch.delitem(sys.modules, "page_stuck_at")
    exec(compile(check, str(PAGE), "exec"), {})
    words = np.array([0b0101], np.uint8)
    assert imported.StuckAt(1.0, 0).corrupt(words, 4, np.random.default_rng(0)).tolist() == [0]
    assert imported.StuckAt(1.0, 1).corrupt(words, 4, np.random.default_rng(0)).tolist() == [0b1111]
    names = {}
    exec(compile(use, str(PAGE), "exec"), names)
    assert [r.rate_per_bit for r in names["curve"]] == [0.0, 1e-3, 1e-2]
    assert names["curve"][0].value > 0.9
    assert names["curve"][2].sdc > names["curve"][0].sdc == 0
    assert 20 <= len(module.strip().splitlines()) <= 40
