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

    An unsigned operand enters as its magnitude and its sign is applied to the product; the sign bit of zero is that of
    plus, as in hardware. A two's complement operand enters as it is. Codes are shifted left by `shifts` before they
    enter the circuit; the products are not shifted back.

    Raises:
        PlanError: a code does not fit the circuit.
    """
    rows, row_signs = _operand(left, shifts[0], multiplier.a_bits, multiplier.a_signed, multiplier.name, "activation")
    columns, column_signs = _operand(
        right, shifts[1], multiplier.b_bits, multiplier.b_signed, multiplier.name, "weight"
    )
    return np.ascontiguousarray(row_signs[:, None] * column_signs[None, :] * multiplier.table[np.ix_(rows, columns)])


def _operand(codes: CodeRange, shift: int, bits: int, signed: bool, name: str, what: str) -> tuple[IntArray, IntArray]:
    """Table indices of all codes, and the signs to apply outside."""
    values = np.arange(codes[0], codes[1] + 1) << shift
    fits = (
        values[0] >= -(2 ** (bits - 1)) and values[-1] < 2 ** (bits - 1) if signed else np.abs(values).max() < 2**bits
    )
    if not fits:
        raise PlanError(
            f"{what} codes {values[0]}..{values[-1]} do not fit the {bits}-bit operand of {name!r}; "
            "choose fewer bits or a wider multiplier"
        )
    if signed:
        return values % 2**bits, np.ones_like(values)
    return np.abs(values), np.where(values < 0, -1, 1)


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

    def bound(self) -> int:
        """Largest magnitude of all terms of one product together."""
        peaks = zip(np.abs(self.left).max(1), np.abs(self.right).max(1), strict=True)
        return sum(int(a) * int(w) for a, w in peaks)


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
    if not table.any():
        return Factorisation(np.zeros_like(a)[None], np.zeros_like(w)[None])
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
