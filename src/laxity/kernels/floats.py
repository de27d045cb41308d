"""Floating-point formats: exact rounding, stored words, significands. Values travel as float32, which holds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.core.errors import DataError, PlanError

SPECIALS = ("ieee", "nan", "none")


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """A binary floating-point format with a sign bit.

    Attributes:
        exponent_bits: 2 to 8.
        mantissa_bits: 0 to 10, without the hidden bit.
        bias: of the exponent field.
        specials: ``ieee``: the largest exponent field stands for infinities and NaN; ``nan``: only the word of all ones
            (with either sign) stands for NaN; ``none``: every word is a finite value.
        subnormals: gradual underflow; otherwise what rounds to a subnormal value becomes 0.
        saturate: what is too large becomes the largest finite value; otherwise infinity where there is one, else NaN.

    Raises:
        PlanError: widths out of range, no word is left for NaN, or float32 does not hold all values.

    Source: IEEE 754-2019; the specials ``nan`` and ``none`` are those of E4M3 and of the 6- and 4-bit formats in the
    OCP 8-bit Floating Point and Microscaling Formats specifications, revision 1.0.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: str = "ieee"
    subnormals: bool = True
    saturate: bool = True

    def __post_init__(self) -> None:
        """Check that the format exists and fits float32."""
        if not (2 <= self.exponent_bits <= 8 and 0 <= self.mantissa_bits <= 10):
            raise PlanError(f"{self.name} is no format of 2 to 8 exponent bits and 0 to 10 mantissa bits")
        if self.specials not in SPECIALS:
            raise PlanError(f"specials of {self.name} cannot be {self.specials!r}; use one of {', '.join(SPECIALS)}")
        if self.specials == "ieee" and not self.mantissa_bits:
            raise PlanError(f"{self.name} without mantissa has no word for NaN beside infinity; use specials 'none'")
        if not self.saturate and self.specials == "none":
            raise PlanError(f"{self.name} has finite values only, so it must saturate")
        if self.max_exponent > 127 or self.min_exponent < -126:
            raise PlanError(
                f"{self.name} with bias {self.bias} reaches from 2^{self.min_exponent} to 2^{self.max_exponent}, "
                "beyond float32; choose a bias nearer to the middle of the exponents, or specials 'ieee'"
            )

    @property
    def name(self) -> str:
        """For example ``E4M3``."""
        return f"E{self.exponent_bits}M{self.mantissa_bits}"

    @property
    def bits(self) -> int:
        """Width of a word."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def significand_bits(self) -> int:
        """Width of the mantissa with its hidden bit."""
        return self.mantissa_bits + 1

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal value, and of subnormal ones."""
        return 1 - self.bias

    @property
    def max_exponent(self) -> int:
        """Exponent of the largest finite value."""
        reserved = self.specials == "ieee" or (self.specials == "nan" and not self.mantissa_bits)
        return (1 << self.exponent_bits) - 1 - reserved - self.bias

    @property
    def max_value(self) -> float:
        """Largest finite value."""
        taken = self.specials == "nan" and self.mantissa_bits > 0
        return (2.0 - (1 + taken) * 2.0**-self.mantissa_bits) * 2.0**self.max_exponent

    @property
    def quantum(self) -> int:
        """Every finite value is a multiple of two to this power."""
        return self.min_exponent - self.mantissa_bits

    def round_freely(self, x: Tensor) -> Tensor:
        """The nearest value with this precision and smallest exponent, whatever its size, ties to even: float64."""
        exact = x.detach().to(torch.float64)
        exponents = exponent_of(exact).clamp(self.min_exponent, 1000)
        rounded = torch.round(exact * power_of_two(self.mantissa_bits - exponents))
        value = rounded * power_of_two(exponents - self.mantissa_bits)
        if self.subnormals:
            return value
        return torch.where(value.abs() < 2.0**self.min_exponent, value * 0.0, value)

    def round(self, x: Tensor) -> Tensor:
        """The value that stands for `x` (float32 or float64), as float32; NaN stays NaN."""
        value = self.round_freely(x)
        if self.saturate:
            return value.clamp(-self.max_value, self.max_value).to(torch.float32)
        beyond = float("inf") if self.specials == "ieee" else float("nan")
        return torch.where(value.abs() > self.max_value, beyond * value.sign(), value).to(torch.float32)

    def encode(self, values: Tensor) -> Tensor:
        """Words of values of this format, int64: sign, exponent field, mantissa from high to low.

        Raises:
            DataError: a value is not of this format.
        """
        exact = values.detach().to(torch.float64)
        magnitude = torch.where(exact.isfinite(), exact.abs(), 0.0)
        exponents = exponent_of(magnitude).clamp_min(self.min_exponent)
        whole = (magnitude * power_of_two(self.mantissa_bits - exponents)).to(torch.int64)
        hidden = 1 << self.mantissa_bits
        field = torch.where(whole >= hidden, exponents + self.bias, 0)
        word = (field << self.mantissa_bits) | (whole & (hidden - 1))
        top = ((1 << self.exponent_bits) - 1) << self.mantissa_bits
        word = torch.where(exact.isinf(), top, word)
        quiet = top | (hidden >> 1 if self.specials == "ieee" else hidden - 1)
        word = torch.where(exact.isnan(), quiet, word) | (torch.signbit(exact).to(torch.int64) << (self.bits - 1))
        back = self.decode(word)
        if not bool(((back == exact) | (back.isnan() & exact.isnan())).all()):
            raise DataError(f"values to be stored as {self.name} are not of this format; round them first")
        return word

    def decode(self, words: Tensor) -> Tensor:
        """Values of words, float32."""
        words = words.to(torch.int64)
        mantissa = words & ((1 << self.mantissa_bits) - 1)
        top = (1 << self.exponent_bits) - 1
        field = (words >> self.mantissa_bits) & top
        hidden = torch.where(field > 0, 1 << self.mantissa_bits, 0)
        whole = (hidden | mantissa).to(torch.float64)
        value = whole * power_of_two(field.clamp_min(1) - self.bias - self.mantissa_bits)
        if not self.subnormals:
            value = torch.where(field == 0, 0.0, value)
        if self.specials == "ieee":
            special = torch.where(mantissa == 0, float("inf"), float("nan"))
            value = torch.where(field == top, special, value)
        elif self.specials == "nan":
            value = torch.where((field == top) & (mantissa == (1 << self.mantissa_bits) - 1), float("nan"), value)
        return torch.where(words >> (self.bits - 1) != 0, -value, value).to(torch.float32)

    def significands(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Whole significands below ``2**significand_bits`` (int64), and the signed powers of two beside them (float64).

        The product of both is the value. Beside a significand of 0 the power is 0 too; values that are not finite
        count as 0.
        """
        exact = values.to(torch.float64)
        exact = torch.where(exact.isfinite(), exact, 0.0)
        exponents = exponent_of(exact).clamp_min(self.min_exponent)
        whole = (exact.abs() * power_of_two(self.mantissa_bits - exponents)).to(torch.int64)
        powers = torch.copysign(power_of_two(exponents - self.mantissa_bits), exact)
        return whole, torch.where(whole == 0, 0.0, powers)


def standard_bias(exponent_bits: int) -> int:
    """The bias of IEEE 754."""
    return (1 << (exponent_bits - 1)) - 1


def exponent_of(values: Tensor) -> Tensor:
    """Exponents of float64 values, int64: floor(log2 |x|), -1023 for 0, 1024 for infinities and NaN."""
    return ((values.contiguous().view(torch.int64) >> 52) & 0x7FF) - 1023


def power_of_two(exponents: Tensor) -> Tensor:
    """Two to whole powers from -1022 to 1023, exactly: float64."""
    return ((exponents + 1023) << 52).view(torch.float64)
