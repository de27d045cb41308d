"""Operand streams: uniform, from a layer's trace, from a file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import Circuit, Gate, Port, circuit
from laxity.circuits.synthesis import load_streams, trace_streams, uniform_streams
from laxity.circuits.synthesis.operands import streams_key
from laxity.core.demand import OperandTrace
from laxity.core.errors import CircuitError

DADDA = circuit("dadda8")


def trace(activations, weights, signs=None, weight_signs=None):
    a, w = np.asarray(activations), np.asarray(weights)
    zeros = np.zeros_like(a)
    return OperandTrace(
        activations=a,
        activation_signs=zeros if signs is None else np.asarray(signs),
        weights=w,
        weight_signs=np.zeros_like(w) if weight_signs is None else np.asarray(weight_signs),
        partial_sums=zeros,
    )


def test_uniform_streams_cover_all_values_equally():
    streams = uniform_streams(DADDA)
    counts = np.bincount(streams["a"].ravel(), minlength=256)
    assert counts.min() > 180
    assert counts.max() < 340
    assert abs(np.corrcoef(streams["a"].ravel(), streams["b"].ravel())[0, 1]) < 0.02
    assert streams_key(streams) == streams_key(uniform_streams(DADDA))


def test_ports_too_wide_for_simulation():
    nets = tuple(range(2, 65))
    wide = Circuit("wide", (Port("a", nets),), (Port("p", (65,)),), (Gate("INV", (2,), (65,)),), "x")
    with pytest.raises(CircuitError, match="has 63 bits; energy is simulated up to 62"):
        uniform_streams(wide)


def test_a_trace_holds_the_weight_still():
    streams = trace_streams(DADDA, trace([[1, 2, 3], [4, 5, 6]], [7, 8]))
    assert streams["a"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert streams["b"].tolist() == [[7, 7, 7], [8, 8, 8]]


def test_a_signed_trace_is_twos_complement():
    given_trace = trace([[1, 128]], [3], [[1, 1]], [1])
    streams = trace_streams(circuit("dadda8s"), given_trace, signed=True)
    assert streams["a"].tolist() == [[255, 128]]
    assert streams["b"].tolist() == [[253, 253]]
    with pytest.raises(CircuitError, match=r"operands 128\.\.200 do not fit port 'a' .*-128\.\.127"):
        trace_streams(circuit("dadda8s"), trace([[128, 200]], [1]), signed=True)


def test_bad_traces():
    with pytest.raises(CircuitError, match="has no transitions"):
        trace_streams(DADDA, trace([[1], [2]], [7, 8]))
    with pytest.raises(CircuitError, match="do not fit port 'a'"):
        trace_streams(DADDA, trace([[1, 256]], [7]))


def test_files(tmp_path):
    path = tmp_path / "o.npz"
    np.savez(path, a=np.array([1, -1, 255], np.int16), b=np.array([[1, 2, 3]], np.uint8), other=np.zeros(3))
    streams = load_streams(path, DADDA)
    assert streams["a"].tolist() == [[1, 255, 255]]
    assert streams["b"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": [1, 2]}, "has no array 'b'"),
        ({"a": [1.0, 2.0], "b": [1, 2]}, "'a' of .* is float64"),
        ({"a": [1], "b": [1]}, r"give integers \(steps,\)"),
        ({"a": [1, 256], "b": [1, 2]}, r"does not fit 8 bits \(-128..255\)"),
        ({"a": [1, -129], "b": [1, 2]}, "does not fit"),
        ({"a": np.zeros((0, 2), int), "b": np.zeros((0, 2), int)}, "does not fit"),
        ({"a": np.array([{}, {}]), "b": [1, 2]}, r"is no \.npz file of operands"),
    ],
)
def test_bad_files(tmp_path, arrays, message):
    path = tmp_path / "o.npz"
    np.savez(path, **arrays)
    with pytest.raises(CircuitError, match=message):
        load_streams(path, DADDA)


def test_files_that_are_none_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(CircuitError, match=r"is no \.npz file"):
        load_streams(tmp_path / "none.npz", DADDA)
    np.save(tmp_path / "x.npy", np.arange(4))
    (tmp_path / "text.npz").write_text("{")
    for name in ("x.npy", "text.npz"):
        with pytest.raises(CircuitError, match=r"is no \.npz file of operands \(no zip archive\); write it"):
            load_streams(tmp_path / name, DADDA)
    np.savez(tmp_path / "o.npz", a=np.arange(4), b=np.arange(4))
    monkeypatch.setattr("laxity.circuits.synthesis.operands._MAX_FILE_BYTES", 100)
    with pytest.raises(CircuitError, match="give fewer steps"):
        load_streams(tmp_path / "o.npz", DADDA)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 800), st.binary(max_size=8))
def test_damaged_files_are_refused_or_read(tmp_path_factory, at, garbage):
    path = tmp_path_factory.mktemp("damaged") / "o.npz"
    np.savez(path, a=np.arange(4), b=np.arange(4))
    content = path.read_bytes()
    path.write_bytes(content[:at] + garbage + content[at + len(garbage) :])
    try:
        streams = load_streams(path, DADDA)
    except CircuitError:
        return
    assert streams["a"].min() >= 0
