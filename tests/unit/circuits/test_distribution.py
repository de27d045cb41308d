"""Operand distributions: files of them, draws, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import Operands, errors_of, load_operands
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream


@pytest.mark.parametrize("kind", ["a", "b", "both", "joint", "pairs"])
def test_draws_follow_the_weights(kind):
    rng = stream(1, kind)
    a, b = rng.random(4) * [1, 0, 1, 1], rng.random(8)
    joint = rng.random((4, 8)) * (rng.random((4, 8)) < 0.5)
    pairs = rng.integers(0, 4, (2, 30))
    operands, wanted = {
        "a": (Operands(a), np.outer(a, np.ones(8))),
        "b": (Operands(None, b), np.outer(np.ones(4), b)),
        "both": (Operands(a, b), np.outer(a, b)),
        "joint": (Operands(joint=joint), joint),
        "pairs": (Operands.of_pairs(*pairs), np.bincount(pairs[0] * 8 + pairs[1], minlength=32).reshape(4, 8)),
    }[kind]
    count = 20000
    drawn = operands.draw(stream(2, kind), count, 2, 3)
    found = np.bincount(drawn[0] * 8 + drawn[1], minlength=32).reshape(4, 8)
    wanted = wanted / wanted.sum() * count
    assert not found[wanted == 0].any()
    assert np.all(np.abs(found - wanted) <= 5 * np.sqrt(wanted) + 1)


@pytest.mark.parametrize("size", [1, 7, 256])
def test_weights_at_the_end_are_not_exceeded(size):
    weights = np.zeros(256)
    weights[:size] = 0.1
    assert Operands(weights).draw(stream(0), 5000, 8, 8)[0].max() < size


def test_files(tmp_path):
    rng = stream(3, "files")
    joint, a = rng.random((256, 256)), rng.random(256)
    codes = rng.integers(0, 256, (2, 3, 50))
    np.save(tmp_path / "joint.npy", joint)
    np.savez(tmp_path / "joint.npz", joint_histogram=joint)
    np.savez(tmp_path / "a.npz", a_histogram=a)
    np.savez(tmp_path / "pairs.npz", a=codes[0], b=codes[1], more=np.zeros(3))
    for name, operands in {
        "joint.npy": Operands(joint=joint),
        "joint.npz": Operands(joint=joint),
        "a.npz": Operands(a),
        "pairs.npz": Operands.of_pairs(*codes),
    }.items():
        assert errors_of("udm8", load_operands(tmp_path / name)) == errors_of("udm8", operands)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones(256)}, "name them a_histogram"),
        ({"a_histogram": -np.ones(256)}, "finite weights"),
        ({"a_histogram": np.ones((2, 128))}, "dimension"),
        ({"a_histogram": np.array(["x"])}, "no numbers"),
        ({"a_histogram": np.ones(256), "joint_histogram": np.ones((256, 256))}, "one distribution"),
        ({"a": np.ones(5), "b": np.ones(5)}, "integers"),
        ({"a": np.arange(5), "b": np.arange(6)}, "one shape"),
        ({"a": np.arange(5) - 2, "b": np.arange(5)}, "negative"),
        ({"a": np.zeros(0, int), "b": np.zeros(0, int)}, "integers of one shape"),
        ({"a_histogram": np.array([None], dtype=object)}, "is no .npy or .npz"),
    ],
)
def test_bad_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(CircuitError, match=message):
        load_operands(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "operands",
    [
        Operands(np.ones(128)),
        Operands(None, np.ones(512)),
        Operands(joint=np.ones((256, 128))),
        Operands.of_pairs([256], [0]),
        Operands.of_pairs([0], [300]),
    ],
)
def test_distributions_must_fit_the_operands(operands):
    with pytest.raises(CircuitError, match=r"histogram|codes"):
        errors_of("udm8", operands)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_damaged_files_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("damaged") / "file.npz"
    for start in (b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00"):
        path.write_bytes(start + content)
        with pytest.raises(CircuitError):
            load_operands(path)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(CircuitError, match=r"no \.npy or \.npz"):
        load_operands(tmp_path / "none.npz")
