"""Error metrics of arithmetic against the exact result, exhaustive over all operand pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from laxity.core.errors import CircuitError


@dataclass(frozen=True, slots=True)
class ErrorMetrics:
    """Error of a product table; e is approximate minus exact, y the exact product.

    Expectations are over operand pairs: uniform, or weighted with operand histograms.

    Attributes:
        ep: error probability P(e != 0), a fraction.
        med: mean error distance E|e|, also called MAE; with histograms it is the weighted WMED.
        wce: worst-case error max|e|, over the pairs of non-zero weight.
        mred: mean relative error distance E(|e| / |y|) over pairs with y != 0, a fraction.
        max_red: largest |e| / |y| over pairs with y != 0, a fraction.
        nmed: med / normaliser.
        mse: mean squared error E(e^2).
        bias: mean error E(e).
        error_at_zero_operand: max|e| over pairs with a zero operand, where the relative error is undefined.
        normaliser: largest |y|; (2^a - 1)(2^b - 1) for unsigned and 2^(a + b - 2) for signed operands.

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
    error_at_zero_operand: int
    normaliser: int


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
) -> ErrorMetrics:
    """Compare a product table with the exact one.

    Args:
        table: approximate results, int64 (2**a_bits, 2**b_bits).
        exact: exact results of the same shape.
        a_histogram: non-negative weights (2**a_bits,) of the codes of a; uniform if not given.
        b_histogram: likewise for b.

    Raises:
        CircuitError: the shapes differ, or a histogram has a wrong length, a negative weight or no weight at all.
    """
    if table.shape != exact.shape or table.ndim != 2:
        raise CircuitError(f"table {table.shape} and exact products {exact.shape} must be equal two-dimensional shapes")
    a_weights = _weights(a_histogram, table.shape[0], "a")
    b_weights = _weights(b_histogram, table.shape[1], "b")
    error = (table - exact).astype(np.float64)
    distance = np.abs(error)
    magnitude = np.abs(exact)
    weight = np.multiply.outer(a_weights, b_weights)
    used = weight > 0
    relative = np.divide(distance, magnitude, out=np.zeros_like(distance), where=magnitude > 0)
    nonzero_weight = float(weight[magnitude > 0].sum())
    normaliser = int(magnitude.max())
    med = _expectation(distance, a_weights, b_weights)
    return ErrorMetrics(
        ep=_expectation((distance > 0).astype(np.float64), a_weights, b_weights),
        med=med,
        wce=int(distance[used].max()),
        mred=_expectation(relative, a_weights, b_weights) / nonzero_weight if nonzero_weight else 0.0,
        max_red=float(relative[used].max()),
        nmed=med / normaliser if normaliser else 0.0,
        mse=_expectation(error * error, a_weights, b_weights),
        bias=_expectation(error, a_weights, b_weights),
        error_at_zero_operand=int(distance[magnitude == 0].max(initial=0.0)),
        normaliser=normaliser,
    )


def _weights(histogram: npt.ArrayLike | None, size: int, operand: str) -> npt.NDArray[np.float64]:
    if histogram is None:
        return np.full(size, 1.0 / size)
    weights = np.asarray(histogram, dtype=np.float64)
    if weights.shape != (size,):
        raise CircuitError(f"histogram of operand {operand} has shape {weights.shape}; give {size} weights by code")
    total = float(weights.sum())
    if not np.isfinite(total) or weights.min() < 0 or total <= 0:
        raise CircuitError(f"histogram of operand {operand} needs finite weights >= 0 with a positive sum")
    return weights / total


def _expectation(values: npt.NDArray[np.float64], a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return float(a @ values @ b)
