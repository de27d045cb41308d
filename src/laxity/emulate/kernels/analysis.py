"""What a product table is made of: exact sums of few products of one-operand functions, where they exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.circuits import Multiplier
from laxity.core.errors import PlanError

IntArray = NDArray[np.int64]
CodeRange = tuple[int, int]


def signed_table(
    multiplier: Multiplier, left: CodeRange, right: CodeRange, shifts: tuple[int, int] = (0, 0)
) -> IntArray:
    """Products of all pairs of codes in two ranges: ``out[a - left[0], w - right[0]]``, int64.

    An unsigned circuit multiplies magnitudes and the sign is applied outside. Codes are shifted left by `shifts`
    before they enter the circuit; the products are not shifted back.

    Raises:
        PlanError: a code does not fit the circuit.
    """
    a = np.arange(left[0], left[1] + 1) << shifts[0]
    w = np.arange(right[0], right[1] + 1) << shifts[1]
    for codes, bits, what in ((a, multiplier.a_bits, "activation"), (w, multiplier.b_bits, "weight")):
        limit = 2 ** (bits - 1) if multiplier.signed else 2**bits - 1
        if np.abs(codes).max() > limit or (multiplier.signed and codes.max() >= limit):
            raise PlanError(
                f"{what} codes {codes[0]}..{codes[-1]} do not fit the {bits}-bit operand of {multiplier.name!r}; "
                "choose fewer bits or a wider multiplier"
            )
    table = multiplier.table
    if multiplier.signed:
        return np.ascontiguousarray(table[np.ix_(a % table.shape[0], w % table.shape[1])])
    return np.ascontiguousarray(np.sign(a)[:, None] * np.sign(w)[None, :] * table[np.ix_(np.abs(a), np.abs(w))])


def reduce_table(table: IntArray, shift: int) -> tuple[IntArray, int]:
    """Divide out as many of `shift` factors of two as all products have; return the table and how many are left."""
    while shift and not (table & 1).any():
        table, shift = table >> 1, shift - 1
    return table, shift


@dataclass(frozen=True, slots=True, eq=False)
class Factorisation:
    """A table as an exact sum of terms ``left[r][a] * right[r][w]`` with integer factors.

    Attributes:
        left: int64 (terms, codes of the left operand).
        right: int64 (terms, codes of the right operand).
    """

    left: IntArray
    right: IntArray

    @property
    def terms(self) -> int:
        """Number of terms."""
        return int(self.left.shape[0])


def factorise(table: IntArray, left: CodeRange, right: CodeRange, limit: int) -> Factorisation | None:
    """Write a table as a sum of at most `limit` integer products, exactly, or return None.

    Both the table itself and its error against the exact product are tried; the shorter sum wins. Every result is
    verified entry by entry in integers.
    """
    a = np.arange(left[0], left[1] + 1, dtype=np.int64)
    w = np.arange(right[0], right[1] + 1, dtype=np.int64)
    exact = np.multiply.outer(a, w)
    if np.array_equal(table, exact):
        return Factorisation(a[None], w[None])
    found = []
    direct = _integer_factors(table, a, w, limit)
    if direct is not None:
        found.append(direct)
    error = _integer_factors(table - exact, a, w, limit - 1)
    if error is not None:
        found.append(Factorisation(np.vstack([a[None], error.left]), np.vstack([w[None], error.right])))
    return min(found, key=lambda f: f.terms, default=None)


def _integer_factors(matrix: IntArray, a: IntArray, w: IntArray, limit: int) -> Factorisation | None:
    """Integer factors by rows that span the others; columns are tried where rows give fractions."""
    by_rows = _span(matrix, np.argsort(np.abs(a), kind="stable"), limit)
    if by_rows is not None:
        return Factorisation(by_rows[0].T.copy(), by_rows[1])
    by_columns = _span(matrix.T, np.argsort(np.abs(w), kind="stable"), limit)
    if by_columns is not None:
        return Factorisation(by_columns[1], by_columns[0].T.copy())
    return None


def _span(matrix: IntArray, order: IntArray, limit: int) -> tuple[IntArray, IntArray] | None:
    """Coefficients (rows, r) and basis rows (r, columns) with ``matrix == coefficients @ basis``, or None.

    Rows are taken in `order`: small operands first, so that bit-wise multipliers are spanned by powers of two.
    """
    residual = matrix.astype(np.float64)
    scale = max(1.0, float(np.abs(residual).max()))
    basis: list[IntArray] = []
    for row in order:
        if np.abs(residual[row]).max() <= 1e-9 * scale * matrix.shape[1]:
            continue
        if len(basis) == limit:
            return None
        basis.append(matrix[row] // max(1, int(np.gcd.reduce(matrix[row]))))
        direction = residual[row] / np.linalg.norm(residual[row])
        residual -= np.outer(residual @ direction, direction)
    if not basis:
        return None
    rows = np.stack(basis)
    solution = np.linalg.lstsq(rows.T.astype(np.float64), matrix.T.astype(np.float64), rcond=None)[0]
    coefficients = np.rint(solution.T).astype(np.int64)
    return (coefficients, rows) if np.array_equal(coefficients @ rows, matrix) else None
