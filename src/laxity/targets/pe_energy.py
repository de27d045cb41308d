"""Switching energy of a processing element on the operands that it sees, remembered within the process."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from laxity.circuits.activity import INPUT_BLOCK, Delays, switching_energy
from laxity.circuits.cells import default_library
from laxity.circuits.pe import ProcessingElement
from laxity.core.demand import IntArray, OperandTrace
from laxity.core.errors import TargetError
from laxity.core.seeds import stream
from laxity.targets.pe_design import MULTIPLIER_BLOCK

UNIFORM_STEPS = 33
"""Activations per segment of the substitute for a missing trace."""

UNIFORM_COLUMNS = 4
"""Columns of the array from which the substitute takes its segments."""


@dataclass(frozen=True, slots=True)
class MacEnergy:
    """Means over the transitions of a trace.

    Attributes:
        multiplier_pj: inside and between the gates of the core, per executed MAC.
        accumulator_pj: adder and sign logic, per executed MAC.
        register_load_pj: charging of the gate inputs that the registers drive, per executed MAC.
        activation_toggles: bits of the activation register, sign included, that change per step.
        sum_toggles: bits of the partial-sum register that change per step.
        transitions: number of transitions.
    """

    multiplier_pj: float
    accumulator_pj: float
    register_load_pj: float
    activation_toggles: float
    sum_toggles: float
    transitions: int


class EnergyCache:
    """Least recently used results by (element, trace, delay model); safe between threads.

    Args:
        capacity: number of results kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._results: OrderedDict[tuple[str, str, str], MacEnergy] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of results kept now."""
        return len(self._results)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._results.clear()

    def mac_energy(self, pe: ProcessingElement, trace: OperandTrace, delays: Delays = "inertial") -> MacEnergy:
        """As `measure`, from memory where the same element has met the same trace before.

        Raises:
            TargetError: as `measure`.
        """
        key = (pe.circuit.key, trace.key, delays)
        with self._lock:
            known = self._results.get(key)
            if known is not None:
                self._results.move_to_end(key)
                return known
        result = measure(pe, trace, delays)
        with self._lock:
            self._results[key] = result
            while len(self._results) > self.capacity:
                self._results.popitem(last=False)
        return result


CACHE = EnergyCache(capacity=16384)
"""Results of this process."""


def measure(pe: ProcessingElement, trace: OperandTrace, delays: Delays = "inertial") -> MacEnergy:
    """Simulate the element on a trace: the weight of a segment rests while activations and sums stream past.

    Partial sums are the exact ones of the trace, wrapped at the width of the accumulator.

    Raises:
        TargetError: the trace is empty, its parts do not fit each other, or operands are wider than the multiplier.
    """
    streams = operand_streams(pe, trace)
    switching = switching_energy(pe.circuit, streams, default_library(), delays)
    core_pj, load_pj = switching.block_pj(MULTIPLIER_BLOCK), switching.block_pj(INPUT_BLOCK)
    rest = [part.energy_pj for part in switching.blocks if part.block not in (MULTIPLIER_BLOCK, INPUT_BLOCK)]
    return MacEnergy(
        multiplier_pj=core_pj,
        accumulator_pj=sum(rest),
        register_load_pj=load_pj,
        activation_toggles=_toggles(trace.activations) + _toggles(trace.activation_signs),
        sum_toggles=_toggles(streams["psum_in"]),
        transitions=switching.transitions,
    )


def operand_streams(pe: ProcessingElement, trace: OperandTrace) -> dict[str, IntArray]:
    """Values at the input ports of the element, int64 (segments, steps) by port name.

    Raises:
        TargetError: as `measure`.
    """
    _check_shapes(trace)
    for port, operand, magnitudes in (("a", "activation", trace.activations), ("b", "weight", trace.weights)):
        width, largest = pe.core.port(port).width, int(magnitudes.max())
        if largest >> width or magnitudes.min() < 0:
            raise TargetError(
                f"{operand} magnitudes {magnitudes.min()}..{largest} do not fit the {width}-bit operand of "
                f"{pe.core.name!r}; sample magnitudes, or use a wider multiplier"
            )
    shape = trace.activations.shape
    return {
        "a": trace.activations,
        "a_sign": trace.activation_signs,
        "b": np.broadcast_to(trace.weights[:, None], shape),
        "b_sign": np.broadcast_to(trace.weight_signs[:, None], shape),
        "psum_in": (trace.partial_sums >> pe.dropped) & ((1 << pe.accumulator_bits) - 1),
    }


def _check_shapes(trace: OperandTrace) -> None:
    shape = trace.activations.shape
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
        raise TargetError(f"a trace of shape {shape} has no transitions; sample (segments, steps) with 2 steps or more")
    wrong = [n for n in ("activation_signs", "partial_sums") if getattr(trace, n).shape != shape]
    wrong += [n for n in ("weights", "weight_signs") if getattr(trace, n).shape != shape[:1]]
    if wrong:
        raise TargetError(
            f"{wrong[0]} of a trace have shape {getattr(trace, wrong[0]).shape}; activations have {shape}"
        )


def _toggles(values: IntArray) -> float:
    """Mean number of bits that change per step."""
    return float(np.bitwise_count(values[:, 1:] ^ values[:, :-1]).mean())


@functools.lru_cache(maxsize=64)
def uniform_trace(activation_bits: int, weight_bits: int, rows: int) -> OperandTrace:
    """Substitute for a missing trace: uniform unsigned activations and uniform two's complement weights (seeded).

    The segments are the elements of a few columns of `rows` rows; each receives the sum of the products above it.

    Args:
        activation_bits: activations are uniform in 0..2**activation_bits - 1.
        weight_bits: weights are uniform over all words of this width; with 1 bit they are -1 and +1.
        rows: rows of the array.
    """
    generator = stream(0, "uniform operands", activation_bits, weight_bits, rows)
    activations = generator.integers(0, 1 << activation_bits, (rows, UNIFORM_STEPS))
    half = 1 << (weight_bits - 1)
    weights = generator.integers(-half, half, (UNIFORM_COLUMNS, rows))
    if weight_bits == 1:
        weights = 2 * weights + 1
    products = weights[:, :, None] * activations[None]
    above = np.cumsum(products, axis=1) - products
    segments = (UNIFORM_COLUMNS * rows, UNIFORM_STEPS)
    streamed = np.broadcast_to(activations, products.shape).reshape(segments)
    return OperandTrace(
        activations=streamed,
        activation_signs=np.zeros(segments, dtype=np.int64),
        weights=np.abs(weights).ravel(),
        weight_signs=(weights < 0).astype(np.int64).ravel(),
        partial_sums=above.reshape(segments),
    )
