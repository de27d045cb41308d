"""Errors that faults cause, from the counts of a simulation, or weighted with a distribution of operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.error_sums import FloatArray, IntArray
from laxity.circuits.simulate import Words
from laxity.circuits.stuck_at.engine import Engine
from laxity.circuits.stuck_at.fault import Fault
from laxity.circuits.stuck_at.sums import COUNTS, Lanes, Sums


@dataclass(frozen=True, slots=True, eq=False)
class FaultErrors:
    """Errors of each of some faults; d is the result minus the one without fault, e the result minus the exact one.

    Attributes:
        observability: P(d != 0), a fraction, float64 (faults,).
        fault_med: E|d|, float64 (faults,).
        fault_wce: max|d| over pairs of positive weight, int64 (faults,).
        fault_bias: E(d), float64 (faults,).
        ep: P(e != 0), a fraction, float64 (faults,).
        med: E|e|, float64 (faults,).
        wce: max|e| over pairs of positive weight, int64 (faults,).
        bias: E(e), float64 (faults,).
    """

    observability: FloatArray
    fault_med: FloatArray
    fault_wce: IntArray
    fault_bias: FloatArray
    ep: FloatArray
    med: FloatArray
    wce: IntArray
    bias: FloatArray

    def take(self, places: Sequence[int] | IntArray) -> FaultErrors:
        """The errors of some of the faults, in another order."""
        return FaultErrors(*(getattr(self, name)[places] for name in self.__dataclass_fields__))


def equal_errors(sums: Sums, pairs: int) -> FaultErrors:
    """Errors where all pairs count alike."""
    columns = dict(zip(COUNTS, sums.counts.T, strict=True))
    means = {name: column / pairs for name, column in columns.items()}
    return FaultErrors(
        means["shown"],
        means["fault_distance"],
        columns["fault_worst"],
        means["fault_error"],
        means["wrong"],
        means["distance"],
        columns["worst"],
        means["error"],
    )


def weighted_errors(engine: Engine, faults: Sequence[Fault], lanes: Lanes) -> FaultErrors:
    """Errors where pairs have the weights of the lanes; simulates every fault once more."""
    weights = lanes.weights
    used, rows = weights > 0, []
    for fault in faults:
        values = lanes.changed(engine.differences(fault))
        rows.append((*_weighted(values - lanes.golden, weights, used), *_weighted(values - lanes.exact, weights, used)))
    return FaultErrors(*(np.array(column) for column in zip(*rows, strict=True)))


def _weighted(errors: np.ndarray, weights: FloatArray, used: np.ndarray) -> tuple[float, float, int, float]:
    """Weight of errors that are not 0, mean magnitude, largest magnitude, mean."""
    magnitudes = np.abs(errors)
    return (
        float(np.vdot(errors != 0, weights)),
        float(np.vdot(magnitudes, weights)),
        int(magnitudes.max(initial=0, where=used)),
        float(np.vdot(errors, weights)),
    )


def word_signature(signature: Words) -> str:
    """A signature in 32 hexadecimal digits."""
    return "".join(f"{int(word):016x}" for word in signature)
