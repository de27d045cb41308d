"""Operand streams for energy figures: uniform ones, and those that a layer of a network sees."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from laxity.circuits.netlist import Circuit, Port
from laxity.core.demand import OperandTrace
from laxity.core.errors import CircuitError
from laxity.core.seeds import stream

Streams = Mapping[str, npt.NDArray[np.int64]]
"""For each input port, unsigned integers (segments, steps); a transition is a step inside a segment."""

UNIFORM = "uniform"
"""Name of the operand source in which every input vector is drawn anew, all values being equally likely."""

UNIFORM_TRANSITIONS = 65536
"""Transitions of the uniform source."""

_WIDEST_PORT = 62
_MAX_FILE_BYTES = 256 << 20
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, SyntaxError, OverflowError, MemoryError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, struct.error),
)
"""What numpy and zipfile raise on damaged archives, encrypted and unsupported entries among them."""


def uniform_streams(circuit: Circuit, transitions: int = UNIFORM_TRANSITIONS) -> Streams:
    """Seeded uniform vectors at all input ports, int64 (1, transitions + 1).

    Raises:
        CircuitError: a port is wider than 62 bits.
    """
    streams = {}
    for port in circuit.inputs:
        if port.width > _WIDEST_PORT:
            raise CircuitError(
                f"port {port.name!r} of {circuit.name!r} has {port.width} bits; energy is simulated up to "
                f"{_WIDEST_PORT}"
            )
        generator = stream(0, "uniform streams", port.name, port.width)
        streams[port.name] = generator.integers(0, 1 << port.width, (1, transitions + 1), dtype=np.int64)
    return streams


def trace_streams(circuit: Circuit, trace: OperandTrace, *, signed: bool = False) -> Streams:
    """What the ports a and b of a multiplier see in a layer: the weight rests while activations stream past.

    Args:
        circuit: a multiplier with ports a and b.
        trace: sampled operands, as magnitudes and signs.
        signed: whether the ports take two's complement; otherwise they get the magnitudes.

    Raises:
        CircuitError: the trace is empty, or operands do not fit the ports.
    """
    shape = trace.activations.shape
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
        raise CircuitError(
            f"a trace of shape {shape} has no transitions; sample (segments, steps) with 2 steps or more"
        )
    operands = {
        "a": (trace.activations, trace.activation_signs),
        "b": (np.broadcast_to(trace.weights[:, None], shape), np.broadcast_to(trace.weight_signs[:, None], shape)),
    }
    streams = {}
    for name, (magnitudes, signs) in operands.items():
        width = circuit.port(name).width
        values = np.where(signs != 0, -magnitudes, magnitudes) if signed else magnitudes
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        if values.min() < low or values.max() > high:
            raise CircuitError(
                f"operands {values.min()}..{values.max()} do not fit port {name!r} of {circuit.name!r} ({low}..{high})"
            )
        streams[name] = values.astype(np.int64) & ((1 << width) - 1)
    return streams


def load_streams(path: Path, circuit: Circuit) -> Streams:
    """Read streams from an .npz file with one array of integers for each input port.

    Args:
        path: the file; its arrays have one shape, (steps,) or (segments, steps); those of no port are ignored.
            Negative values are taken as two's complement.
        circuit: names the ports.

    Raises:
        CircuitError: the file is no such file, or values do not fit the ports.
    """
    try:
        content = io.BytesIO(path.read_bytes())
        if not zipfile.is_zipfile(content):
            raise CircuitError(f"{path} is no .npz file of operands (no zip archive); write it with numpy.savez")
        content.seek(0)
        with np.load(content, allow_pickle=False) as file:
            if sum(entry.file_size for entry in file.zip.infolist()) > _MAX_FILE_BYTES:
                raise CircuitError(f"{path} holds more than {_MAX_FILE_BYTES >> 20} MiB; give fewer steps")
            missing = [port.name for port in circuit.inputs if port.name not in file.files]
            if missing:
                raise CircuitError(f"{path} has no array {missing[0]!r}; give one for each input of {circuit.name!r}")
            arrays = {port.name: file[port.name] for port in circuit.inputs}
    except _DAMAGE as error:
        raise CircuitError(f"{path} is no .npz file of operands ({error}); write it with numpy.savez") from error
    return {port.name: _stream(path, port, arrays[port.name]) for port in circuit.inputs}


def _stream(path: Path, port: Port, array: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2) or array.shape[-1] < 2:
        raise CircuitError(
            f"array {port.name!r} of {path} is {array.dtype} {array.shape}; give integers (steps,) or (segments, steps)"
        )
    low, high = -(1 << (port.width - 1)), (1 << port.width) - 1
    if array.size == 0 or int(array.min()) < low or int(array.max()) > high:
        raise CircuitError(f"array {port.name!r} of {path} does not fit {port.width} bits ({low}..{high})")
    return np.atleast_2d(array.astype(np.int64)) & high


def streams_key(streams: Streams) -> str:
    """Hash of names, shapes and values."""
    hashed = hashlib.sha256()
    for name, values in sorted(streams.items()):
        array = np.ascontiguousarray(values, dtype="<i8")
        hashed.update(f"{name} {array.shape};".encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()[:32]
