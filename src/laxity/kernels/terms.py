"""Integer factors cut into bytes, as dot-product instructions take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laxity.kernels.analysis import Factorisation, IntArray

BYTE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """``factor * map[a] * weight[w]``.

    Attributes:
        factor: of the product.
        map: uint8 (left codes,).
        weight: int8 (right codes,).
    """

    factor: int
    map: IntArray
    weight: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class ByteTerms:
    """A factorisation in bytes: ``sum of terms + constant[w]``.

    Attributes:
        terms: those of equal factor next to each other.
        constant: int64 (right codes,), what does not depend on the left code.
    """

    terms: tuple[Term, ...]
    constant: IntArray

    def bundles(self) -> list[tuple[int, int]]:
        """Factor and number of terms of each bundle of terms with equal factor."""
        found: list[tuple[int, int]] = []
        for term in self.terms:
            if found and found[-1][0] == term.factor:
                found[-1] = (term.factor, found[-1][1] + 1)
            else:
                found.append((term.factor, 1))
        return found

    def bound(self) -> int:
        """Largest magnitude of all terms of one product together."""
        return sum(abs(t.factor) * int(t.map.max()) * int(np.abs(t.weight).max()) for t in self.terms)


def byte_terms(factors: Factorisation) -> ByteTerms:
    """Cut both factors of every term into bytes: unsigned ones for activations, signed ones for weights.

    What a left factor is at least is taken out of it; it becomes part of the constant.
    """
    constant = np.zeros(factors.right.shape[1], np.int64)
    terms: list[Term] = []
    for left, right in zip(factors.left, factors.right, strict=True):
        least = int(left.min())
        constant += least * right
        for left_scale, digits in _unsigned(left - least):
            for right_scale, weight in _signed(right):
                terms.append(Term(left_scale * right_scale, digits, weight))
    terms.sort(key=lambda t: abs(t.factor))
    return ByteTerms(tuple(terms), constant)


def _unsigned(values: IntArray) -> list[tuple[int, IntArray]]:
    """Digits to the base 256 of non-negative values, after their common divisor; digits that are all 0 are left out."""
    scale = max(1, int(np.gcd.reduce(values)))
    values, found = values // scale, []
    while values.any():
        digit = values % BYTE
        if digit.any():
            found.append((scale, digit))
        values, scale = values // BYTE, scale * BYTE
    return found


def _signed(values: IntArray) -> list[tuple[int, IntArray]]:
    """Digits from -128 to 127 to the base 256, after their common divisor; digits that are all 0 are left out."""
    scale = max(1, int(np.gcd.reduce(values)))
    values, found = values // scale, []
    while values.any():
        digit = (values + BYTE // 2) % BYTE - BYTE // 2
        if digit.any():
            found.append((scale, digit))
        values, scale = (values - digit) // BYTE, scale * BYTE
    return found
