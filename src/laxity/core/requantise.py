"""From sums to codes by integers only: a multiplier of 16 bits, a rounding shift, a zero-point and a clamp.

This is the definition that software and hardware share. A sum of 32 bits times a multiplier of 16 bits is a word of 48
bits; half of the shifted-out unit is added to it, so that the arithmetic right shift rounds to nearest, halves towards
plus infinity. No value is ever a float.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import PlanError

IntArray = NDArray[np.int64]

MULTIPLIER_BITS = 16
"""Width of the unsigned multiplier, whose highest bit is set unless it is 0."""

LEAST_SHIFT, MOST_SHIFT = 1, 47
"""How far products are shifted right."""

SUM_BITS, PRODUCT_BITS = 32, 48
"""Widths of sums and of their products with the multiplier, two's complement."""

LEAST_SUM, GREATEST_SUM = -(1 << (SUM_BITS - 1)), (1 << (SUM_BITS - 1)) - 1
RELATIVE_ERROR = 2.0**-16
"""Greatest relative error of a multiplier and its shift against the scale that they stand for."""

_LEAST_SCALE = 2.0 ** (MULTIPLIER_BITS - 1 - MOST_SHIFT)
_GREATEST_SCALE = ((1 << MULTIPLIER_BITS) - 1) * 2.0**-LEAST_SHIFT
_PRODUCT_LIMIT = 1 << (PRODUCT_BITS - 1)


def requantise(
    sums: IntArray, multiplier: IntArray | int, shift: IntArray | int, zero: int, low: int, high: int
) -> IntArray:
    """``clamp(((sums * multiplier + (1 << (shift - 1))) >> shift) + zero, low, high)``, int64.

    Args:
        sums: integers of at most 32 bits.
        multiplier: 0, or 16 bits with the highest set; broadcasts against `sums`, as does `shift`.
        shift: 1 to 47.
        zero: added after the shift.
        low: least result.
        high: greatest result.
    """
    product = np.asarray(sums, np.int64) * multiplier
    half = np.left_shift(np.int64(1), np.asarray(shift, np.int64) - 1)
    found: IntArray = np.clip(((product + half) >> shift) + zero, low, high)
    return found


def multiplier_and_shift(scale: float) -> tuple[int, int]:
    """The multiplier and the shift whose quotient ``multiplier / 2**shift`` is nearest to a scale.

    The relative error is at most 2**-16. Scales below 2**-32 take any sum of 32 bits to 0, and so does the multiplier 0
    that stands for them, which is no error.

    Raises:
        PlanError: the scale is negative, not finite, or above 32767.5.
    """
    if not 0 <= scale < math.inf:
        raise PlanError(f"a requantisation by {scale} is not possible; scales are positive and finite")
    if scale < _LEAST_SCALE:
        return 0, LEAST_SHIFT
    fraction, exponent = math.frexp(scale)
    multiplier, shift = round(fraction * (1 << MULTIPLIER_BITS)), MULTIPLIER_BITS - exponent
    if multiplier == 1 << MULTIPLIER_BITS:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < LEAST_SHIFT:
        raise PlanError(f"a requantisation by {scale:.6g} is not possible; scales are below 2**15")
    return multiplier, shift


@dataclass(frozen=True, slots=True)
class Requantiser:
    """A requantisation, with one multiplier and shift for all sums or one per output channel.

    Attributes:
        multipliers: 0, or in 2**15..2**16 - 1.
        shifts: 1 to 47, as many as multipliers.
        zero: zero-point of the results.
        low, high: least and greatest result.

    Raises:
        PlanError: a value out of range.
    """

    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    zero: int
    low: int
    high: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        top = 1 << MULTIPLIER_BITS
        if not self.multipliers or len(self.multipliers) != len(self.shifts):
            raise PlanError(
                f"a requantiser has {len(self.multipliers)} multipliers and {len(self.shifts)} shifts; give as many "
                "of one as of the other"
            )
        for m, s in zip(self.multipliers, self.shifts, strict=True):
            if not ((m == 0 or top >> 1 <= m < top) and LEAST_SHIFT <= s <= MOST_SHIFT):
                raise PlanError(
                    f"requantisation by {m} >> {s} is not possible; multipliers are 0 or {top >> 1}..{top - 1}, shifts "
                    f"{LEAST_SHIFT}..{MOST_SHIFT}"
                )
        if not LEAST_SUM <= self.low <= self.high <= GREATEST_SUM or not LEAST_SUM <= self.zero <= GREATEST_SUM:
            raise PlanError(
                f"requantisation into {self.low}..{self.high} with zero-point {self.zero} is not possible; codes have "
                f"at most {SUM_BITS} bits and the least is not above the greatest"
            )

    @classmethod
    def from_scale(cls, scale: float | Sequence[float], zero: int = 0, low: int = 0, high: int = 255) -> Requantiser:
        """The requantiser nearest to multiplication by `scale`, one or one per output channel.

        Scales above 32767.5 take every sum but 0 out of the range of codes that are at most 32767 from their
        zero-point, and so does 32767.5, which stands for them; that is no error.

        Raises:
            PlanError: as `multiplier_and_shift`, where codes have a wider range.
        """
        scales = [float(s) for s in ((scale,) if isinstance(scale, (int, float)) else scale)]
        if max(high - zero, zero - low) < _GREATEST_SCALE:
            scales = [_GREATEST_SCALE if _GREATEST_SCALE < s < math.inf else s for s in scales]
        pairs = [multiplier_and_shift(s) for s in scales]
        return cls(tuple(m for m, _ in pairs), tuple(s for _, s in pairs), zero, low, high)

    @property
    def scales(self) -> tuple[float, ...]:
        """What the multipliers and shifts stand for, exactly."""
        return tuple(math.ldexp(m, -s) for m, s in zip(self.multipliers, self.shifts, strict=True))

    def clamped(self, low: int, high: int) -> Requantiser:
        """The same with limits that are at least as narrow."""
        least, most = max(self.low, low), min(self.high, high)
        return replace(self, low=min(least, most), high=most)

    def overflows(self, sums: Iterable[tuple[int, int]]) -> int | None:
        """The first channel whose product may leave 48 bits, or None.

        Args:
            sums: least and greatest sum per multiplier.
        """
        for channel, ((least, most), m, s) in enumerate(zip(sums, self.multipliers, self.shifts, strict=True)):
            half = 1 << (s - 1)
            if least * m < -_PRODUCT_LIMIT or most * m + half >= _PRODUCT_LIMIT:
                return channel
        return None

    def apply(self, sums: IntArray, axis: int = 1) -> IntArray:
        """Requantise sums whose `axis` runs over output channels, int64."""
        shape = [1] * sums.ndim
        if len(self.multipliers) > 1:
            shape[axis] = -1
        multiplier, shift = (np.array(v, np.int64).reshape(shape) for v in (self.multipliers, self.shifts))
        return requantise(sums, multiplier, shift, self.zero, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Addition:
    """The sum of two coded values as a code of a third kind.

    ``clamp((((a - zeros[0]) * multipliers[0] + (b - zeros[1]) * multipliers[1] + (1 << (shift - 1))) >> shift) + zero,
    low, high)``: both codes are brought to a common scale and rounded once.

    Attributes:
        zeros: zero-points of both operands.
        multipliers: of 16 bits; the greater one has its highest bit set.
        shift: 1 to 47.
        zero: zero-point of the results.
        low, high: least and greatest result.

    Raises:
        PlanError: a value out of range.
    """

    zeros: tuple[int, int]
    multipliers: tuple[int, int]
    shift: int
    zero: int
    low: int
    high: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        Requantiser((max(self.multipliers, default=0),), (self.shift,), self.zero, self.low, self.high)
        if len(self.multipliers) != 2 or len(self.zeros) != 2 or min(self.multipliers) < 0:
            raise PlanError(f"an addition has two operands with multipliers of at least 0, not {self.multipliers}")

    @classmethod
    def from_scales(
        cls, scales: tuple[float, float], zeros: tuple[int, int], zero: int = 0, low: int = 0, high: int = 255
    ) -> Addition:
        """The addition of codes whose scales, over that of the result, are nearest to `scales`.

        The error of either multiplier is at most 2**-16 of the greater scale. Where that is above 32767.5 and codes of
        the result are at most 32767 from their zero-point, both are divided so that it is 32767.5: a step of the
        operand with the greater scale leaves the range of the result either way.

        Raises:
            PlanError: as `multiplier_and_shift`, where codes have a wider range.
        """
        if max(high - zero, zero - low) < _GREATEST_SCALE < max(scales) < math.inf:
            first, second = (s / max(scales) * _GREATEST_SCALE for s in scales)
            scales = first, second
        greatest, shift = multiplier_and_shift(max(scales))
        if not greatest:
            return cls(zeros, (0, 0), shift, zero, low, high)
        left, right = (min(round(math.ldexp(s, shift)), (1 << MULTIPLIER_BITS) - 1) for s in scales)
        return cls(zeros, (left, right), shift, zero, low, high)

    def apply(self, left: IntArray, right: IntArray) -> IntArray:
        """Add codes of equal shapes, int64."""
        a = (np.asarray(left, np.int64) - self.zeros[0]) * self.multipliers[0]
        b = (np.asarray(right, np.int64) - self.zeros[1]) * self.multipliers[1]
        found: IntArray = np.clip(((a + b + (1 << (self.shift - 1))) >> self.shift) + self.zero, self.low, self.high)
        return found
