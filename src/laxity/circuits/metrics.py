"""Error metrics of arithmetic against the exact result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from laxity.circuits.distribution import Operands
from laxity.circuits.error_sums import ErrorSums
from laxity.core.errors import CircuitError


@dataclass(frozen=True, slots=True)
class ErrorMetrics:
    """Error of a multiplier or adder; e is approximate minus exact, y the exact product or sum.

    Expectations are over operand pairs: uniform, or weighted with operand histograms. Relative errors are undefined
    where y = 0; such pairs enter all other metrics, and `error_at_zero_operand` tells about them alone.

    Attributes:
        ep: error probability P(e != 0), also called error rate, a fraction.
        med: mean error distance E|e|, also called MAE; with histograms it is the weighted WMED.
        wce: worst-case error max|e|, over the pairs of non-zero weight.
        mred: mean relative error distance E(|e| / |y|) over pairs with y != 0, a fraction.
        max_red: largest |e| / |y| over pairs with y != 0 and non-zero weight, a fraction.
        nmed: med / normaliser.
        mse: mean squared error E(e^2).
        bias: mean error E(e).
        variance: mse - bias^2.
        relative_bias: E(e / y) over pairs with y != 0, a fraction.
        error_at_zero_operand: max|e| over all pairs with y = 0, whatever their weight: for multipliers those with a
            zero operand, for adders of unsigned numbers two zeros.
        normaliser: largest |y|; (2^a - 1)(2^b - 1) for unsigned and 2^(a + b - 2) for signed multipliers, 2 (2^n - 1)
            for adders.
        pairs: number of operand pairs looked at.
        exhaustive: these are all pairs that can occur, not a sample of them.

    Source: J. Liang, J. Han, F. Lombardi, "New metrics for the reliability of approximate and probabilistic adders",
    IEEE Trans. Computers 62(9), 2013 (error distances); Z. Vasicek, V. Mrazek, L. Sekanina, "Automated circuit
    approximation method driven by data distribution", DATE 2019 (WMED).
    """

    ep: float
    med: float
    wce: int
    mred: float
    max_red: float
    nmed: float
    mse: float
    bias: float
    variance: float
    relative_bias: float
    error_at_zero_operand: int
    normaliser: int
    pairs: int
    exhaustive: bool

    def interval(self, metric: str) -> tuple[float, float]:
        """Where the metric lies; exhaustive metrics are exact, so that both ends are the value.

        Raises:
            CircuitError: there is no such metric.
        """
        if metric not in METRICS:
            raise CircuitError(f"unknown metric {metric!r}; use one of {', '.join(METRICS)}")
        value = float(getattr(self, metric))
        return value, value


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of one metric.

    Attributes:
        metric: name of the field.
        low, high: the ends.
        method: ``"binomial"`` (Clopper and Pearson), ``"batches"`` (Student's t over the means of equal batches), or
            ``"bound"`` (too few errors were seen for that: binomial interval of `ep` times the largest error possible).
    """

    metric: str
    low: float
    high: float
    method: str


@dataclass(frozen=True, slots=True)
class SampledMetrics(ErrorMetrics):
    """Metrics of a random sample of operand pairs.

    Attributes:
        confidence: of every single interval.
        intervals: of the metrics that are means; those in `LOWER_BOUNDS` have none.
        seed: root seed of the sample.
    """

    confidence: float
    intervals: tuple[Interval, ...]
    seed: int

    LOWER_BOUNDS: ClassVar[tuple[str, ...]] = ("wce", "max_red")
    """Maxima over a sample: the true ones are at least as large."""

    def interval(self, metric: str) -> tuple[float, float]:
        """The confidence interval; for maxima from the largest value seen to infinity.

        Raises:
            CircuitError: there is no such metric.
        """
        value, _ = ErrorMetrics.interval(self, metric)
        found = [(i.low, i.high) for i in self.intervals if i.metric == metric]
        return found[0] if found else (value, math.inf if metric in self.LOWER_BOUNDS else value)


METRICS = (
    *("ep", "med", "wce", "mred", "max_red", "nmed", "mse", "bias", "variance", "relative_bias"),
    "error_at_zero_operand",
)
"""Names of the metrics, without the facts about how they were taken."""


def facts_of(metrics: ErrorMetrics) -> dict[str, Any]:
    """Metrics as JSON values by name; of a sample also ``intervals`` (metric to [low, high]), ``lower_bounds``,
    ``confidence`` and ``seed``.
    """
    facts: dict[str, Any] = {name: getattr(metrics, name) for name in (*METRICS, "normaliser", "pairs", "exhaustive")}
    if isinstance(metrics, SampledMetrics):
        facts["intervals"] = {i.metric: [i.low, i.high] for i in metrics.intervals}
        facts["lower_bounds"] = list(metrics.LOWER_BOUNDS)
        facts["confidence"], facts["seed"] = metrics.confidence, metrics.seed
    return facts


def operand_values(bits: int, signed: bool) -> npt.NDArray[np.int64]:
    """Value of each code 0..2**bits - 1: the code itself, or its two's complement value."""
    codes = np.arange(1 << bits, dtype=np.int64)
    return np.where(codes >> (bits - 1), codes - (1 << bits), codes) if signed else codes


def exact_products(a_bits: int, b_bits: int, a_signed: bool, b_signed: bool) -> npt.NDArray[np.int64]:
    """Exact product of the operand values, int64 (2**a_bits, 2**b_bits) by code."""
    return np.multiply.outer(operand_values(a_bits, a_signed), operand_values(b_bits, b_signed))


def error_metrics(
    table: npt.NDArray[np.int64],
    exact: npt.NDArray[np.int64],
    a_histogram: npt.ArrayLike | None = None,
    b_histogram: npt.ArrayLike | None = None,
    joint_histogram: npt.ArrayLike | None = None,
) -> ErrorMetrics:
    """Compare a table of results with the exact one.

    Args:
        table: approximate results, int64 (2**a_bits, 2**b_bits).
        exact: exact results of the same shape.
        a_histogram: non-negative weights (2**a_bits,) of the codes of a; uniform if not given.
        b_histogram: likewise for b.
        joint_histogram: non-negative weights of the shape of the table, instead of both.

    Raises:
        CircuitError: the shapes differ, or a histogram has a wrong shape, a negative weight or no weight at all.
    """
    if table.shape != exact.shape or table.ndim != 2:
        raise CircuitError(f"table {table.shape} and exact products {exact.shape} must be equal two-dimensional shapes")
    operands = Operands(a_histogram, b_histogram, joint_histogram)
    operands.check(*table.shape)
    sums = ErrorSums()
    sums.add(table, exact, operands.block(0, *table.shape))
    at_zero = int(np.abs(table[exact == 0]).max(initial=0))
    return metrics_of(sums, int(np.abs(exact).max()), at_zero)


def metrics_of(sums: ErrorSums, normaliser: int, error_at_zero: int) -> ErrorMetrics:
    """Metrics from sums over all operand pairs.

    Args:
        sums: of positive weight.
        normaliser: largest magnitude of an exact result.
        error_at_zero: largest error where the exact result is 0.
    """
    med, bias, mse = sums.distance / sums.weight, sums.error / sums.weight, sums.square / sums.weight
    return ErrorMetrics(
        ep=sums.wrong / sums.weight,
        med=med,
        wce=sums.worst,
        mred=sums.relative / sums.defined if sums.defined else 0.0,
        max_red=sums.worst_relative,
        nmed=med / normaliser if normaliser else 0.0,
        mse=mse,
        bias=bias,
        variance=max(0.0, mse - bias * bias),
        relative_bias=sums.signed_relative / sums.defined if sums.defined else 0.0,
        error_at_zero_operand=error_at_zero,
        normaliser=normaliser,
        pairs=sums.pairs,
        exhaustive=True,
    )
