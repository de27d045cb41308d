"""Products of floating-point numbers: signs xored, exponents added, significands multiplied exactly or by a circuit.

The product of two values is ``sign * 2**(exponents) * T[significand, significand]``, not rounded; it is 0 where an
operand is 0, whatever the circuit makes of it. Significands carry their hidden bit, subnormal ones have none. Where the
circuit is wider than a significand, this one occupies the upper bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from laxity.circuits import Multiplier
from laxity.circuits.wide import Core, WideMultiplier
from laxity.core.errors import PlanError
from laxity.kernels.analysis import Factorisation, IntArray, factorise, reduce_table, signed_table
from laxity.kernels.floats import FloatFormat

MOST_TERMS = 8


@dataclass(frozen=True, slots=True, eq=False)
class MantissaTerms:
    """A table of significand products as a sum of products of one-operand functions.

    Attributes:
        left, right: int64 (terms, significands of the operand).
        peak: bound on the sum of magnitudes of all terms of one product.
        shift: products are ``2**-shift`` times the sum.
    """

    left: Tensor
    right: Tensor
    peak: int
    shift: int


@lru_cache(maxsize=128)
def mantissa_table(core: Core, left_bits: int, right_bits: int) -> tuple[IntArray, int]:
    """Products of all pairs of significands, int64 (2**left_bits, 2**right_bits), and how far they are shifted up.

    Raises:
        PlanError: the significands do not fit the circuit, or it is composed of others.
    """
    if not isinstance(core, Multiplier | WideMultiplier):
        raise PlanError(
            f"significands cannot be multiplied by parts of {core.name!r}; name a circuit as wide as they are"
        )
    shifts = core.a_bits - left_bits, core.b_bits - right_bits
    if min(shifts) < 0:
        raise PlanError(
            f"significands of {left_bits} x {right_bits} bits (hidden bit included) do not fit multiplier "
            f"{core.name!r} ({core.a_bits} x {core.b_bits}); choose fewer mantissa bits or a wider multiplier"
        )
    if isinstance(core, Multiplier):
        table = signed_table(core, (0, 2**left_bits - 1), (0, 2**right_bits - 1), shifts)
    else:
        a, b = np.arange(2**left_bits) << shifts[0], np.arange(2**right_bits) << shifts[1]
        table = core.product(a[:, None], b[None])
    return reduce_table(table, sum(shifts))


@lru_cache(maxsize=128)
def mantissa_terms(core: Core, left_bits: int, right_bits: int) -> MantissaTerms | None:
    """The terms of a circuit's significand products; None if they are exact.

    Few integer products are found where they exist; else each significand of the narrower operand has its own term.

    Raises:
        PlanError: as `mantissa_table`.
    """
    table, shift = mantissa_table(core, left_bits, right_bits)
    a, b = np.arange(2**left_bits), np.arange(2**right_bits)
    if np.array_equal(table, np.multiply.outer(a, b) << shift):
        return None
    factors = factorise(table, (0, 2**left_bits - 1), (0, 2**right_bits - 1), MOST_TERMS)
    if factors is not None:
        peak = int((np.abs(factors.left).max(1) * np.abs(factors.right).max(1)).sum())
    else:
        factors, peak = _one_by_one(table), int(np.abs(table).max())
    return MantissaTerms(torch.from_numpy(factors.left), torch.from_numpy(factors.right), peak, shift)


def _one_by_one(table: IntArray) -> Factorisation:
    """A term per row or per column that is not zero, whichever are fewer; one of them is not zero in each product."""
    rows, columns = np.flatnonzero(table.any(1)), np.flatnonzero(table.any(0))
    if len(columns) <= len(rows):
        chosen = np.eye(table.shape[1], dtype=np.int64)[columns]
        return Factorisation(np.ascontiguousarray(table.T[columns]), chosen)
    chosen = np.eye(table.shape[0], dtype=np.int64)[rows]
    return Factorisation(chosen, np.ascontiguousarray(table[rows]))


class PairProduct:
    """Single products of floating-point values, exact or by a circuit on significands.

    Args:
        left, right: formats; they are needed with a circuit only.
        core: the circuit, or None for exact products.

    Raises:
        PlanError: as `mantissa_table`.
    """

    def __init__(self, left: FloatFormat | None, right: FloatFormat | None, core: Core | None) -> None:
        self._formats: tuple[FloatFormat, FloatFormat] | None = None
        if core is None or left is None or right is None:
            return
        table, shift = mantissa_table(core, left.significand_bits, right.significand_bits)
        self._formats = left, right
        self._table = torch.from_numpy(table.astype(np.float64).ravel() * 2.0**-shift)

    @property
    def exact(self) -> bool:
        """Whether no circuit approximates products."""
        return self._formats is None

    def __call__(self, a: Tensor, w: Tensor) -> Tensor:
        """Products of values that broadcast against each other, float64."""
        if self._formats is None:
            return a.to(torch.float64) * w.to(torch.float64)
        left, right = self._formats
        (rows, row_powers), (columns, column_powers) = left.significands(a), right.significands(w)
        index = (rows << right.significand_bits) + columns
        return self._table.to(a.device)[index].mul_(row_powers).mul_(column_powers)
