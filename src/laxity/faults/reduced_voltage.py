"""DRAM at reduced supply voltage, from measured error rates."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Self

import numpy as np

from laxity.core.errors import ConfigError
from laxity.faults.bit_flip import BitFlip
from laxity.faults.fault import FAULTS, is_number
from laxity.faults.layout import IntArray, Layout
from laxity.faults.masks import check_width, mask_at, struck_positions
from laxity.faults.words import Words

BEAT_BITS = 64

BEAT_ERROR_RATES = {1.10: 0.50, 1.15: 0.40, 1.20: 0.35, 1.25: 0.10, 1.30: 0.0}
"""Supply voltage in V, and the fraction of beats, transfers of 64 bits, with errors in them; none above.

Source: measurements of DDR3L by K. K. Chang et al., Understanding reduced-voltage operation in modern DRAM devices,
SIGMETRICS, 2017, as tabulated in V. Akhlaghi, dissertation, UC San Diego, 2020, table 4.6.
"""

_HIGHEST_V = 1.5

LOCALITIES = ("uniform", "row", "column")


@FAULTS.register("reduced_voltage")
@dataclasses.dataclass(frozen=True)
class ReducedVoltage(BitFlip):
    """Bits of DRAM at reduced supply voltage are inverted, everywhere or in weak rows or columns only.

    Give either the voltage, which sets the rate, or the rate. `at` keeps the locality and forgets the voltage, so that
    a sweep over voltages is one over ``bit_error_rate(voltage_v)``. Measured errors gather in few rows; with a locality
    other than uniform, every row or column is weak with the same probability, and every bit of weak ones is struck
    independently, at a rate such that a bit is struck at `rate_per_bit` on the whole. Every call of `corrupt` draws the
    weak ones anew, as in another device; the words of each memory begin a row. Single faults are bit flips.

    Attributes:
        voltage_v: supply voltage, 1.1 to 1.5 V; None where the rate is given.
        locality: ``uniform|row|column``.
        weak_fraction: probability that a row or column is weak; raised to `rate_per_bit` where it is below that.
        row_bits: bits per row; 8 KiB if not given.

    Source: errors by wordline and by bitline as in S. Koppula et al., EDEN: enabling energy-efficient, high-performance
    deep neural network inference using approximate DRAM, MICRO, 2019.
    """

    kind: ClassVar[str] = "reduced_voltage"

    rate_per_bit: float = 0.0
    voltage_v: float | None = None
    locality: str = "uniform"
    weak_fraction: float = 0.1
    row_bits: int = 65536

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.voltage_v is not None:
            rate = bit_error_rate(self.voltage_v)
            if self.rate_per_bit not in (0.0, rate):
                raise ConfigError(
                    f"'reduced_voltage' at {self.voltage_v} V has rate_per_bit {rate:.4g}, not {self.rate_per_bit!r}; "
                    "give one of the two"
                )
            object.__setattr__(self, "rate_per_bit", rate)
        if self.locality not in LOCALITIES:
            raise ConfigError(f"locality of 'reduced_voltage' is one of {', '.join(LOCALITIES)}, not {self.locality!r}")
        if not is_number(self.weak_fraction) or not 0 < self.weak_fraction <= 1:
            raise ConfigError(
                f"weak_fraction of 'reduced_voltage' is a fraction above 0 and at most 1, not {self.weak_fraction!r}"
            )
        if type(self.row_bits) is not int or self.row_bits < 1:
            raise ConfigError(f"row_bits of 'reduced_voltage' is a whole number from 1, not {self.row_bits!r}")

    def at(self, rate_per_bit: float) -> Self:
        """See `FaultModel.at`."""
        return dataclasses.replace(self, rate_per_bit=rate_per_bit, voltage_v=None)

    def corrupt(self, words: Words, layout: Layout, rng: np.random.Generator) -> Words:
        """See `FaultModel.corrupt`; bits of weak rows or columns only."""
        if self.locality == "uniform":
            return super().corrupt(words, layout, rng)
        width = layout.width_bits
        check_width(words, width)
        struck = mask_at(self._clustered(words.size * width, rng), words.size, width, words.dtype)
        flipped: Words = words ^ struck.reshape(words.shape)
        return flipped

    def _clustered(self, bits: int, rng: np.random.Generator) -> IntArray:
        """Numbers of the struck bits, distinct."""
        rows, share = -(-bits // self.row_bits), max(self.weak_fraction, self.rate_per_bit)
        # How many lines there are, the bits of each, and how far apart lines, and bits of a line, lie in memory.
        rowwise = (rows, self.row_bits, self.row_bits, 1)
        lines, inside, step, stride = rowwise if self.locality == "row" else (self.row_bits, rows, 1, self.row_bits)
        weak = np.flatnonzero(rng.random(lines) < share)
        drawn = struck_positions(len(weak) * inside, self.rate_per_bit * self.activity / share, rng)
        positions: IntArray = weak[drawn // inside] * step + drawn % inside * stride
        return positions[positions < bits]


def bit_error_rate(voltage_v: float) -> float:
    """Probability that a stored bit is read wrong at a supply voltage.

    With independent bits, ``1 - (1 - P)**(1/64)`` of the beat error rate P. Between the measured voltages P is
    interpolated linearly, which is an assumption; from 1.3 V on it is 0.

    Raises:
        ConfigError: the voltage lies outside the measured range.
    """
    low = min(BEAT_ERROR_RATES)
    if not is_number(voltage_v) or not low <= voltage_v <= _HIGHEST_V:
        raise ConfigError(
            f"error rates of DRAM are known from {low} V to {_HIGHEST_V} V, and voltage_v is {voltage_v!r}; choose a "
            "voltage in that range"
        )
    beat = float(np.interp(voltage_v, list(BEAT_ERROR_RATES), list(BEAT_ERROR_RATES.values())))
    return -math.expm1(math.log1p(-beat) / BEAT_BITS)


def lowest_voltage(rate_per_bit: float) -> float:
    """The lowest measured voltage, in V, at which bits are read wrong no more often than that.

    Raises:
        ConfigError: the rate is no probability.
    """
    if not is_number(rate_per_bit) or not 0 <= rate_per_bit <= 1:
        raise ConfigError(f"rate_per_bit is a probability between 0 and 1, not {rate_per_bit!r}")
    return min(v for v in BEAT_ERROR_RATES if bit_error_rate(v) <= rate_per_bit)
