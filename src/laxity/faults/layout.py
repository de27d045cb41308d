"""What the bits of a stored word mean: integer codes, floating point, or a list of values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from laxity.core.errors import ConfigError, DataError
from laxity.faults.words import Words, decode, encode

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SPECIALS = ("ieee", "nan", "none")


class Layout(ABC):
    """How words of one width are read as values, and values are stored as words.

    Values are in units of codes: a scale by which the network multiplies codes is not part of the layout, a zero-point
    is. The value of an integer word is its code less the zero-point, that of a floating-point word the number itself.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def form(self) -> str:
        """``unsigned``, ``sign_magnitude``, ``float`` or ``listed``."""

    @property
    @abstractmethod
    def width_bits(self) -> int:
        """Bits per word."""

    @abstractmethod
    def values(self, words: Words) -> FloatArray:
        """Values of words, float64 of the same shape; NaN and infinities where the format has them.

        Raises:
            DataError: a word has more bits than the layout, or there are zero-points for other words.
        """

    @abstractmethod
    def words(self, values: ArrayLike, dtype: DTypeLike = np.uint64) -> Words:
        """The words whose finite values are nearest; what is too large becomes the largest finite value of its sign.

        Args:
            values: real numbers of any shape, infinities among them, but not NaN.
            dtype: of the result, an unsigned type that holds the words.

        Raises:
            DataError: a value is NaN.
        """

    @abstractmethod
    def spacing(self, words: Words) -> FloatArray:
        """Distance from the value of each word to the next larger magnitude that a word could have, float64.

        It is what one step of the least significant bit is worth there; NaN where a word has no finite value.
        """

    def at(self, places: IntArray) -> Self:
        """The layout of some of the words, by their number in the flattened array; only zero-points depend on it."""
        return self

    @property
    def zero_word(self) -> Words:
        """The word of the value 0, uint64 (), or one per word where zero-points differ."""
        return self.words(0.0)

    @property
    def largest_word(self) -> Words:
        """The word of the largest finite value, as `zero_word`."""
        return self.words(np.inf)

    @property
    def lowest_word(self) -> Words:
        """The word of the most negative finite value, or of the smallest where none is negative, as `zero_word`."""
        return self.words(-np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class IntegerLayout(Layout):
    """Integer codes: plain unsigned, or sign and magnitude, see `laxity.faults.encode`.

    Rounding goes to the nearest code, ties to the even one. A negative zero is 0, and comes back as the positive one.

    Attributes:
        bits: per word, at most 32.
        signed: words are sign and magnitude.
        zero: the code of the value 0, the same for all words, or one per word: int64 (n,) in the order of the words.

    Raises:
        ConfigError: the width cannot be.
    """

    bits: int
    signed: bool = False
    zero: int | IntArray = 0

    def __post_init__(self) -> None:
        if not 1 + self.signed <= self.bits <= 32:
            raise ConfigError(f"integer words have {1 + self.signed} to 32 bits, not {self.bits}")

    @property
    def form(self) -> str:
        """See `Layout.form`."""
        return "sign_magnitude" if self.signed else "unsigned"

    @property
    def width_bits(self) -> int:
        """See `Layout.width_bits`."""
        return self.bits

    def values(self, words: Words) -> FloatArray:
        """See `Layout.values`."""
        if np.ndim(self.zero) and np.shape(self.zero) != words.shape:
            raise DataError(
                f"{words.size} words were to be read with the zero-points of {np.size(self.zero)}; take the layout of "
                "these words, layout.at(places)"
            )
        return (decode(words, self.bits, self.signed) - self.zero).astype(np.float64)

    def words(self, values: ArrayLike, dtype: DTypeLike = np.uint64) -> Words:
        """See `Layout.words`."""
        top = (1 << (self.bits - self.signed)) - 1
        codes = np.clip(np.rint(_numbers(values) + self.zero), -top if self.signed else 0, top)
        return encode(codes, self.bits, self.signed).astype(dtype)

    def spacing(self, words: Words) -> FloatArray:
        """See `Layout.spacing`."""
        return np.ones(words.shape)

    def at(self, places: IntArray) -> IntegerLayout:
        """See `Layout.at`."""
        return self if np.ndim(self.zero) == 0 else IntegerLayout(self.bits, self.signed, np.asarray(self.zero)[places])


@dataclass(frozen=True, slots=True)
class FloatLayout(Layout):
    """Binary floating point: from high to low the sign, the biased exponent, the mantissa without its hidden bit.

    Rounding goes to the nearest value, ties to the even mantissa; the sign of zero is kept.

    Attributes:
        exponent_bits: 2 to 11.
        mantissa_bits: 0 to 52.
        bias: of the exponent field; that of IEEE 754 if None.
        specials: ``ieee``: the largest exponent field stands for infinities and NaN; ``nan``: only the word of all ones
            (with either sign) stands for NaN; ``none``: every word is a finite value.
        subnormals: gradual underflow; otherwise words whose exponent field is 0 stand for 0.

    Raises:
        ConfigError: a width or `specials` cannot be.

    Source: IEEE 754-2019; ``nan`` and ``none`` as in the OCP 8-bit Floating Point and Microscaling Formats
    specifications, revision 1.0.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int | None = None
    specials: str = "ieee"
    subnormals: bool = True

    def __post_init__(self) -> None:
        if not (2 <= self.exponent_bits <= 11 and 0 <= self.mantissa_bits <= 52):
            raise ConfigError(
                f"floating-point words have 2 to 11 exponent bits and 0 to 52 mantissa bits, not {self.exponent_bits} "
                f"and {self.mantissa_bits}"
            )
        if self.specials not in SPECIALS or (self.specials == "ieee" and not self.mantissa_bits):
            raise ConfigError(
                f"specials of a floating-point layout cannot be {self.specials!r} with {self.mantissa_bits} mantissa "
                "bits; use ieee (from 1 mantissa bit on), nan or none"
            )

    @property
    def form(self) -> str:
        """See `Layout.form`."""
        return "float"

    @property
    def width_bits(self) -> int:
        """See `Layout.width_bits`."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def max_value(self) -> float:
        """Largest finite value."""
        reserved = self.specials == "ieee" or (self.specials == "nan" and not self.mantissa_bits)
        exponent = (1 << self.exponent_bits) - 1 - reserved - self._bias
        taken = self.specials == "nan" and self.mantissa_bits > 0
        return float(np.ldexp(2.0 - (1 + taken) * 2.0**-self.mantissa_bits, exponent))

    def values(self, words: Words) -> FloatArray:
        """See `Layout.values`."""
        fields, mantissa = self._fields(words)
        top, full = (1 << self.exponent_bits) - 1, (1 << self.mantissa_bits) - 1
        special = (fields == top) & ((mantissa == full) if self.specials == "nan" else (self.specials == "ieee"))
        whole = np.where(fields > 0, mantissa | (full + 1), mantissa if self.subnormals else 0).astype(np.float64)
        exponents = np.where(special, 0, np.maximum(fields, 1) - self._bias - self.mantissa_bits)
        value = np.ldexp(whole, exponents)
        infinite = special & (mantissa == 0) & (self.specials == "ieee")
        value = np.where(special, np.where(infinite, np.inf, np.nan), value)
        return np.where(words >> words.dtype.type(self.width_bits - 1) != 0, -value, value)

    def words(self, values: ArrayLike, dtype: DTypeLike = np.uint64) -> Words:
        """See `Layout.words`."""
        numbers, least, hidden = _numbers(values), 1 - self._bias, 1 << self.mantissa_bits
        magnitude = np.minimum(np.abs(numbers), self.max_value)
        exponents = np.where(magnitude == 0, least, np.maximum(np.frexp(magnitude)[1] - 1, least)).astype(np.int64)
        whole = np.rint(np.ldexp(magnitude, self.mantissa_bits - exponents)).astype(np.int64)
        # The hidden bit adds the 1 that the field lacks here, and a carry of rounding the next one.
        word = ((exponents - least) << self.mantissa_bits) + whole
        if not self.subnormals:
            word = np.where(word < hidden, np.where(magnitude > np.ldexp(0.5, least), hidden, 0), word)
        sign = np.signbit(numbers).astype(np.uint64) << np.uint64(self.width_bits - 1)
        return (word.astype(np.uint64) | sign).astype(dtype)

    def spacing(self, words: Words) -> FloatArray:
        """See `Layout.spacing`."""
        fields, _ = self._fields(words)
        step = np.ldexp(1.0, np.maximum(fields, 1) - self._bias - self.mantissa_bits)
        if not self.subnormals:
            step = np.where(fields == 0, np.ldexp(1.0, 1 - self._bias), step)
        return np.where(np.isfinite(self.values(words)), step, np.nan)

    @property
    def _bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1 if self.bias is None else self.bias

    def _fields(self, words: Words) -> tuple[IntArray, IntArray]:
        """Exponent field and mantissa."""
        if words.size and self.width_bits < 64 and int(words.max()) >> self.width_bits:
            raise DataError(
                f"word {int(words.max())} has more than {self.width_bits} bits; a fault model must keep words in range"
            )
        plain = words.astype(np.uint64)
        mantissa = plain & np.uint64((1 << self.mantissa_bits) - 1)
        fields = (plain >> np.uint64(self.mantissa_bits)) & np.uint64((1 << self.exponent_bits) - 1)
        return fields.astype(np.int64), mantissa.astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ListedLayout(Layout):
    """Any format of few bits, by the values of all its words; of two nearest values the one of smaller magnitude.

    Attributes:
        listed: value of every word, float64 (2**width_bits,), NaN and infinities where a word has no finite value.

    Raises:
        ConfigError: the number of values is no power of two from 2 to 2**24, or none is finite.
    """

    listed: FloatArray
    _sorted: FloatArray = field(init=False, repr=False)
    _word: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        count, finite = len(self.listed), np.flatnonzero(np.isfinite(self.listed))
        if count != 1 << (count.bit_length() - 1) or not 2 <= count <= 1 << 24 or not len(finite):
            raise ConfigError(f"a layout lists the values of all its words, a power of two of them, not {count}")
        ordered, first = np.unique(self.listed[finite], return_index=True)
        object.__setattr__(self, "_sorted", ordered)
        object.__setattr__(self, "_word", finite[first])

    @property
    def form(self) -> str:
        """See `Layout.form`."""
        return "listed"

    @property
    def width_bits(self) -> int:
        """See `Layout.width_bits`."""
        return len(self.listed).bit_length() - 1

    def values(self, words: Words) -> FloatArray:
        """See `Layout.values`."""
        if words.size and int(words.max()) >= len(self.listed):
            raise DataError(
                f"word {int(words.max())} has more than {self.width_bits} bits; a fault model must keep words in range"
            )
        return np.asarray(self.listed[words.astype(np.int64)])

    def words(self, values: ArrayLike, dtype: DTypeLike = np.uint64) -> Words:
        """See `Layout.words`."""
        numbers = np.clip(_numbers(values), self._sorted[0], self._sorted[-1])
        above = np.searchsorted(self._sorted, numbers)
        below = np.maximum(above - 1, 0)
        up, down = self._sorted[above] - numbers, numbers - self._sorted[below]
        upward = (up < down) | ((up == down) & (numbers < 0)) | (above == 0)
        return self._word[np.where(upward, above, below)].astype(dtype)

    def spacing(self, words: Words) -> FloatArray:
        """See `Layout.spacing`; for the largest magnitude of a sign the distance to the next smaller one."""
        values, last = self.values(words), len(self._sorted) - 1
        place = np.searchsorted(self._sorted, values).clip(0, last)
        outward = np.where(values < 0, place - 1, place + 1)
        inside = np.where((outward < 0) | (outward > last), 2 * place - outward, outward).clip(0, last)
        return np.where(np.isfinite(values), np.abs(self._sorted[inside] - values), np.nan)


FLOAT16 = FloatLayout(5, 10)
BFLOAT16 = FloatLayout(8, 7)
FLOAT32 = FloatLayout(8, 23)
FLOAT64 = FloatLayout(11, 52)


def _numbers(values: Any) -> FloatArray:
    numbers = np.asarray(values, np.float64)
    if np.isnan(numbers).any():
        raise DataError("NaN has no nearest word; leave words that are not finite as they are")
    return numbers
