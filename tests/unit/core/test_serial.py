"""JSON forms, canonical text, content keys and files that appear whole."""

import enum
import json
import math
import os
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laxity.core.errors import RunError
from laxity.core.serial import canonical, content_key, to_json, write_atomic, write_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


@dataclass(frozen=True)
class Pair:
    """A nested value."""

    left: object
    right: object


@given(VALUES)
def test_plain_values_stay_as_they_are(value):
    assert to_json(value) == value
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=6))
def test_order_of_keys_does_not_change_the_text(value):
    backwards = dict(reversed(value.items()))
    assert canonical(backwards) == canonical(value)
    assert content_key(backwards) == content_key(value)
    assert "\n" not in canonical(value)


def test_rich_values_become_plain():
    value = Pair((1, Colour.RED), {"x": {3, 1, 2}, 5: np.float32(0.5)})
    assert to_json(value) == {"left": [1, "red"], "right": {"x": [1, 2, 3], "5": 0.5}}
    assert to_json(np.int64(7)) == 7
    assert to_json(frozenset("ba")) == ["a", "b"]
    assert to_json([math.nan, math.inf, 1.5]) == [None, None, 1.5]


@pytest.mark.parametrize("value", [object(), Pair, np.zeros(3), np.zeros((1,)), b"x", lambda: 0])
def test_values_without_a_json_form_are_refused(value):
    with pytest.raises(TypeError, match="has no JSON form"):
        to_json(value)


def test_keys_are_hexadecimal_of_the_wanted_length():
    assert len(content_key("a")) == 16
    assert len(content_key("a", 40)) == 40
    assert content_key("a") != content_key("b")


def test_files_are_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": (1, 2)})
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, broken):
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    target = "laxity.core.serial.os.fsync" if broken == "fsync" else "laxity.core.serial.Path.replace"
    with monkeypatch.context() as patch:
        patch.setattr(target, fail)
        with pytest.raises(RunError, match=rf"cannot write {path}: No space left on device; free space or choose"):
            write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_folders_that_cannot_be_made_are_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"cannot write .*file/below"):
        write_atomic(tmp_path / "file" / "below", "x")
