"""Weight formats of hybrid dot products: sign, exponent, few mantissa bits; without mantissa they are logarithmic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from laxity.core.errors import DataError, PlanError
from laxity.kernels.floats import exponent_of, power_of_two

EXPONENTS = ("balanced", "negative")
ROUNDINGS = ("half_up", "truncate")


@dataclass(frozen=True, slots=True)
class HybridFormat:
    """Values 0 and ``+-2**e * (1 + m / 2**mantissa_bits)``, without infinities and NaN.

    ``balanced`` exponents reach from ``-t`` to ``t = 2**(exponent_bits - 1) - 1``. The word of all zeros is 0, so with
    a mantissa the value ``2**-t`` has no word of its own: it is stored as the next larger one (``held``). Without
    mantissa the bias is one larger, and every exponent has a word.

    ``negative`` exponents reach from ``2 - 2**exponent_bits`` to 0; stored are their magnitudes, and the field of all
    ones stands for 0.

    Attributes:
        exponent_bits: 2 to 6.
        mantissa_bits: 0 to 7.
        exponents: ``balanced|negative``.
        rounding: of magnitudes, ``half_up|truncate``.
        signed: there is a sign bit; otherwise values below 0 become 0.

    Raises:
        PlanError: a width or a name is out of range.

    Source: balanced exponents, half up and the word of 2**-t: Y. Nevarez et al., CNN sensor analytics with
    hybrid-float6 quantization on low-power embedded FPGAs, IEEE Access, 2023. Negative exponents: Y. Nevarez et al.,
    Accelerating spike-by-spike neural networks on FPGA with hybrid custom floating-point and logarithmic dot-product
    approximation, IEEE Access, 2021; its weights are positive and never 0, so the word of 0 is this package's choice,
    as is the bias without mantissa.
    """

    exponent_bits: int = 4
    mantissa_bits: int = 1
    exponents: str = "balanced"
    rounding: str = "half_up"
    signed: bool = True

    def __post_init__(self) -> None:
        """Check widths and names."""
        if not (2 <= self.exponent_bits <= 6 and 0 <= self.mantissa_bits <= 7):
            raise PlanError(f"{self.name} is no hybrid format of 2 to 6 exponent bits and 0 to 7 mantissa bits")
        if self.exponents not in EXPONENTS:
            raise PlanError(f"exponents of {self.name} cannot be {self.exponents!r}; use {' or '.join(EXPONENTS)}")
        if self.rounding not in ROUNDINGS:
            raise PlanError(f"rounding of {self.name} cannot be {self.rounding!r}; use {' or '.join(ROUNDINGS)}")

    @property
    def name(self) -> str:
        """For example ``S1E4M1``."""
        return f"S{int(self.signed)}E{self.exponent_bits}M{self.mantissa_bits}"

    @property
    def bits(self) -> int:
        """Width of a word."""
        return int(self.signed) + self.exponent_bits + self.mantissa_bits

    @property
    def lowest(self) -> int:
        """Smallest exponent."""
        return 2 - (1 << self.exponent_bits) if self.exponents == "negative" else -self.highest

    @property
    def highest(self) -> int:
        """Largest exponent."""
        return 0 if self.exponents == "negative" else (1 << (self.exponent_bits - 1)) - 1

    @property
    def max_value(self) -> float:
        """Largest value."""
        return 2.0**self.highest * (2.0 - 2.0**-self.mantissa_bits)

    @property
    def quantum(self) -> int:
        """Every value is a multiple of two to this power."""
        return self.lowest - self.mantissa_bits

    @property
    def _substituted(self) -> bool:
        """Whether the smallest value has no word."""
        return self.exponents == "balanced" and self.mantissa_bits > 0

    def round_freely(self, x: Tensor) -> Tensor:
        """The values that stand for `x` if there were no largest exponent, float64; NaN becomes 0."""
        exact = torch.nan_to_num(x.detach().to(torch.float64), nan=0.0)
        exact = exact if self.signed else exact.clamp_min(0.0)
        exponents = exponent_of(exact)
        inside = exponents.clamp(self.lowest, 1000)
        whole = exact.abs() * power_of_two(self.mantissa_bits - inside)
        whole = torch.floor(whole + 0.5 if self.rounding == "half_up" else whole)
        value = torch.copysign(whole * power_of_two(inside - self.mantissa_bits), exact)
        return torch.where(exponents < self.lowest, 0.0, value)

    def round(self, x: Tensor) -> Tensor:
        """The values that stand for `x`, float32: 0 below ``2**lowest`` in magnitude, the largest for larger ones."""
        return self.round_freely(x).clamp(-self.max_value, self.max_value).to(torch.float32)

    def held(self, values: Tensor) -> Tensor:
        """The values with which the hardware computes where `values` of this format are stored, float32."""
        if not self._substituted:
            return values
        smallest = 2.0**self.lowest
        return torch.where(values.abs() == smallest, values * (1 + 2.0**-self.mantissa_bits), values)

    def encode(self, values: Tensor) -> Tensor:
        """Words of values that are held, int64: sign, exponent field, mantissa from high to low.

        Raises:
            DataError: a value has no word.
        """
        exact = values.detach().to(torch.float64)
        exponents = exponent_of(exact).clamp(self.lowest, self.highest)
        whole = (exact.abs() * power_of_two(self.mantissa_bits - exponents)).to(torch.int64)
        field = -exponents if self.exponents == "negative" else exponents + self._bias
        word = (field << self.mantissa_bits) | (whole & ((1 << self.mantissa_bits) - 1))
        word = torch.where(exact == 0, self._zero_word, word)
        sign = (exact < 0).to(torch.int64) << (self.bits - 1)
        word = word | sign if self.signed else word
        if not torch.equal(self.decode(word).to(torch.float64), exact):
            raise DataError(f"values to be stored as {self.name} have no word in it; round them first")
        return word

    def decode(self, words: Tensor) -> Tensor:
        """Values of words, float32."""
        words = words.to(torch.int64)
        field = (words >> self.mantissa_bits) & ((1 << self.exponent_bits) - 1)
        mantissa = words & ((1 << self.mantissa_bits) - 1)
        exponents = -field if self.exponents == "negative" else field - self._bias
        value = ((1 << self.mantissa_bits) + mantissa).to(torch.float64) * power_of_two(exponents - self.mantissa_bits)
        if self.exponents == "negative":
            zero = field == (1 << self.exponent_bits) - 1
        else:
            zero = (field == 0) & (mantissa == 0)
        value = torch.where(zero, 0.0, value)
        negative = words >> (self.bits - 1) != 0 if self.signed else torch.zeros_like(zero)
        return torch.where(negative, -value, value).to(torch.float32)

    @property
    def _bias(self) -> int:
        return self.highest + (self.mantissa_bits == 0)

    @property
    def _zero_word(self) -> int:
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits if self.exponents == "negative" else 0
