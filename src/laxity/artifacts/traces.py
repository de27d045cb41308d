"""Operands that the circuits of a network meet, written to files that circuits are measured with."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from laxity.core.demand import OperandTrace
from laxity.core.errors import PlanError
from laxity.core.seeds import stream
from laxity.core.serial import write_atomic, write_json
from laxity.emulate.build import emulated
from laxity.emulate.operands import operand_traces

INDEX = "traces.json"
"""File that lists the others."""

NETWORK = "network"
"""Name under which segments of all sites are drawn together, each site as often as it multiplies."""

_SEGMENTS = 256
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")

Arrays = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class WrittenTrace:
    """Files of one site.

    Attributes:
        site: its name; `NETWORK` for all together.
        macs: products that the site computes per sample.
        trace: name of the file with operands in the order in which an element meets them.
        histogram: name of the file with how often each magnitude occurs.
        segments, steps: shape of the trace; the weight rests during a segment.
        zero_activations: share of activations that are 0.
    """

    site: str
    macs: int
    trace: str
    histogram: str
    segments: int
    steps: int
    zero_activations: float


def write_traces(model: nn.Module, inputs: Tensor, folder: Path, *, seed: int = 0) -> tuple[WrittenTrace, ...]:
    """Sample what the multipliers of an approximated model meet, and write it.

    A trace has the arrays ``a`` and ``b``, magnitudes of activation and weight, int64 (segments, steps), beside
    ``a_sign``, ``b_sign`` (0 or 1) and ``psum_in`` (signed, what arrives from the elements above). A histogram has
    ``a_histogram`` and ``b_histogram``, by magnitude.

    Args:
        model: calibrated model.
        inputs: float32 (n, ...); the first 16 are used.
        folder: is made.
        seed: root seed of the places that are sampled.

    Raises:
        PlanError: no site computes with integers.
        RunError: the folder cannot be written.
    """
    sites = {layer.site.name: layer.site for layer in emulated(model)}
    found = operand_traces(model, inputs, seed=seed)
    if not found:
        raise PlanError("no site computes with integers, so no multiplier has operands; give sites OPERAND choices")
    arrays = {name: _arrays(trace) for name, trace in found.items()}
    macs = {name: sites[name].op.macs for name in arrays}
    written = [
        _write(folder, f"{number:02d}_{_UNSAFE.sub('_', name)}", name, macs[name], arrays[name])
        for number, name in enumerate(arrays)
    ]
    written.append(_write(folder, NETWORK, NETWORK, sum(macs.values()), _together(arrays, macs, seed)))
    write_json(folder / INDEX, {"seed": seed, "traces": written})
    return tuple(written)


def _arrays(trace: OperandTrace) -> Arrays:
    shape = trace.activations.shape
    return {
        "a": trace.activations,
        "b": np.broadcast_to(trace.weights[:, None], shape).copy(),
        "a_sign": trace.activation_signs,
        "b_sign": np.broadcast_to(trace.weight_signs[:, None], shape).copy(),
        "psum_in": trace.partial_sums,
    }


def _together(arrays: Mapping[str, Arrays], macs: Mapping[str, int], seed: int) -> Arrays:
    generator = stream(seed, "traces", NETWORK)
    share = np.array([macs[name] for name in arrays], dtype=np.float64)
    several = list(arrays.values())
    drawn = [several[k] for k in generator.choice(len(several), _SEGMENTS, p=share / share.sum())]
    rows = [int(generator.integers(len(one["a"]))) for one in drawn]
    return {key: np.stack([one[key][row] for one, row in zip(drawn, rows, strict=True)]) for key in drawn[0]}


def _write(folder: Path, stem: str, site: str, macs: int, arrays: Arrays) -> WrittenTrace:
    names = f"{stem}.trace.npz", f"{stem}.histogram.npz"
    # As many codes as the wider operand needs, at least those of 8 bits, which most circuits take.
    codes = 1 << max(8, *(int(arrays[key].max()).bit_length() for key in "ab"))
    counts = {f"{key}_histogram": np.bincount(arrays[key].ravel(), minlength=codes) for key in "ab"}
    for name, content in zip(names, (arrays, counts), strict=True):
        buffer = io.BytesIO()
        np.savez(buffer, **content)  # type: ignore[arg-type]
        write_atomic(folder / name, buffer.getvalue())
    segments, steps = arrays["a"].shape
    return WrittenTrace(site, macs, *names, segments, steps, float((arrays["a"] == 0).mean()))
