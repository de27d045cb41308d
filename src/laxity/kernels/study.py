"""What a multiplier's table is like, and which kernel follows from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from laxity.circuits import Multiplier
from laxity.kernels import MOST_ENTRIES, MOST_TERMS, native, products_for
from laxity.kernels.analysis import CodeRange, IntArray, factorise, signed_table
from laxity.kernels.layout import is_odd, layout_of
from laxity.kernels.rates import look_up_rate, low_rank_rate
from laxity.kernels.terms import byte_terms

_PRIMES = (2147483629, 2147483587)


@dataclass(frozen=True, slots=True)
class Study:
    """Facts of a table for one pair of operand ranges.

    Attributes:
        activations, weights: ranges of codes.
        rank: exact rank of the table.
        error_rank: exact rank of the table less the exact product.
        terms: products of one-operand integer functions that add up to the table, None where more than 8 are needed.
        byte_terms: the same with factors of one byte each.
        row_bits: width of the products of one weight, less the smallest of them.
        residual_bits: the same after a slope in the activation is taken off each weight's products.
        odd: the activation's sign is the product's.
        zero_activation, zero_weight: products with a zero operand are all zero.
        kernel: what computes sums of these products here.
        reason: why this kernel.
    """

    activations: CodeRange
    weights: CodeRange
    rank: int
    error_rank: int
    terms: int | None
    byte_terms: int | None
    row_bits: int
    residual_bits: int
    odd: bool
    zero_activation: bool
    zero_weight: bool
    kernel: str
    reason: str

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def usual_ranges(multiplier: Multiplier) -> list[tuple[CodeRange, CodeRange]]:
    """Ranges of activation and weight codes for which this multiplier is used: unsigned activations, then signed ones.

    A multiplier of unsigned operands takes magnitudes, with signs outside; weights never use the most negative code.
    """
    top = (1 << (multiplier.b_bits - 1)) - 1
    weights = (-top, top)
    half = (1 << (multiplier.a_bits - 1)) - 1
    signed = (-half, half)
    return [(signed, weights)] if multiplier.a_signed else [((0, 2 * half + 1), weights), (signed, weights)]


@lru_cache(maxsize=512)
def study(multiplier: Multiplier, left: CodeRange, right: CodeRange) -> Study:
    """Analyse a multiplier with a table for one pair of operand ranges.

    Raises:
        PlanError: the codes do not fit the circuit.
    """
    table = signed_table(multiplier, left, right)
    a, w = np.arange(left[0], left[1] + 1), np.arange(right[0], right[1] + 1)
    factors = factorise(table, left, right, MOST_TERMS)
    pieces = None if factors is None else len(byte_terms(factors).terms)
    zero_a, zero_w = table[a == 0], table[:, w == 0]
    return Study(
        left,
        right,
        rank(table),
        rank(table - np.multiply.outer(a, w)),
        None if factors is None else factors.terms,
        pieces,
        _width(table),
        _residual_width(table, a),
        is_odd(table, left),
        not zero_a.any(),
        not zero_w.any(),
        products_for(multiplier, left, right)[0].describe(),
        _reason(table, left, pieces),
    )


def rank(matrix: IntArray) -> int:
    """Rank of an integer matrix, by elimination modulo two primes.

    Each is a lower bound, and below the true rank only if the prime divides the determinant of every largest regular
    minor.
    """
    return max(_rank_modulo(matrix, prime) for prime in _PRIMES)


def _rank_modulo(matrix: IntArray, prime: int) -> int:
    rows = np.unique(matrix % prime, axis=0)
    found = 0
    for column in range(rows.shape[1]):
        pivots = np.flatnonzero(rows[found:, column])
        if not pivots.size:
            continue
        chosen = found + pivots[0]
        rows[[found, chosen]] = rows[[chosen, found]]
        rows[found] = rows[found] * pow(int(rows[found, column]), -1, prime) % prime
        below = rows[found + 1 :]
        below -= below[:, column : column + 1] * rows[found] % prime
        below %= prime
        found += 1
        if found == len(rows):
            break
    return found


def _width(table: IntArray) -> int:
    return int((table.max(axis=0) - table.min(axis=0)).max()).bit_length()


def _residual_width(table: IntArray, a: IntArray) -> int:
    """Narrowest rows after taking ``slope * a`` off each, over all whole slopes.

    The span is a convex function of the slope, so from that of least squares it falls towards the best one.
    """
    centred = a - a.mean()
    start = np.rint((centred @ table) / max(1.0, float(centred @ centred))).astype(np.int64)
    best = np.ptp(table - np.multiply.outer(a, start), axis=0)
    for direction in (-1, 1):
        slope, span = start, best
        while True:
            slope = slope + direction
            further = np.ptp(table - np.multiply.outer(a, slope), axis=0)
            if not (further < span).any():
                break
            best, span = np.minimum(best, further), further
    return int(best.max()).bit_length()


def _reason(table: IntArray, left: CodeRange, pieces: int | None) -> str:
    level = native.level()
    if level == "torch":
        return "no compiled kernels here"
    layout = layout_of(table, left) if max(table.shape) <= MOST_ENTRIES else None
    if layout is None:
        return "operands of more than eight bits"
    look_up = look_up_rate(level, layout)
    if pieces is None:
        return f"the table does not factor; look-up makes about {look_up:.0f} G products/s per core"
    dots = low_rank_rate(level, pieces)
    return f"dot products would make about {dots:.0f}, look-up {look_up:.0f} G products/s per core"
