"""What the steps of an integer-only program are described with: codes, multipliers, registers, windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import PlanError
from laxity.core.requantise import GREATEST_SUM, LEAST_SUM

CodeArray = NDArray[np.int32]
Shape = tuple[int, ...]


def require(condition: bool, message: str) -> None:
    """Raise unless a condition holds.

    Raises:
        PlanError: it does not.
    """
    if not condition:
        raise PlanError(message)


@dataclass(frozen=True, slots=True)
class Code:
    """What integers stand for: ``(code - zero) * scale``.

    Attributes:
        scale: value of one step, positive.
        zero: the code of the value 0.
        low, high: least and greatest code.
    """

    scale: float
    zero: int
    low: int
    high: int

    def __post_init__(self) -> None:
        """Check the range."""
        inside = LEAST_SUM <= self.low <= self.high <= GREATEST_SUM and self.low <= self.zero <= self.high
        require(
            inside and 0 < self.scale < math.inf, f"{self} is no code: zero lies in low..high, the scale is positive"
        )

    @property
    def signed(self) -> bool:
        """Whether there are negative codes."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """Width of the word: two's complement where there are negative codes, else unsigned."""
        if not self.signed:
            return max(1, self.high.bit_length())
        return max((-self.low - 1).bit_length(), self.high.bit_length() if self.high > 0 else 0) + 1

    def quantise(self, values: NDArray[np.float32]) -> CodeArray:
        """``clamp(round(value / scale) + zero, low, high)``, int32, in float32 and halves to even; not in a program."""
        steps = np.rint(np.asarray(values, np.float32) / np.float32(self.scale)) + np.float32(self.zero)
        return np.clip(steps, self.low, self.high).astype(np.int32)

    def values(self, codes: NDArray[np.integer]) -> NDArray[np.float64]:
        """What codes stand for, float64."""
        found: NDArray[np.float64] = (codes.astype(np.float64) - self.zero) * self.scale
        return found


@dataclass(frozen=True, slots=True)
class MultiplierUse:
    """A multiplier circuit that products of a program name.

    Attributes:
        name: by which steps refer to it.
        a_bits, b_bits: widths of the operands, activation and weight.
        a_signed, b_signed: the operand is two's complement; else it is a magnitude, whose sign is applied outside.
        table_sha256: SHA-256 of the table (2**a_bits, 2**b_bits) as little-endian int64 in row-major order.
    """

    name: str
    a_bits: int
    b_bits: int
    a_signed: bool
    b_signed: bool
    table_sha256: str

    def __post_init__(self) -> None:
        """Check the widths."""
        require(
            min(self.a_bits, self.b_bits) >= 1 and self.a_bits + self.b_bits <= 20,
            f"multiplier {self.name!r} has operands of {self.a_bits} and {self.b_bits} bits; tables have at most 20",
        )


@dataclass(frozen=True, slots=True)
class Register:
    """How the products of one output are added where not exactly: in order, from 0, in a register of finite width.

    The order is that of the weight: input channels first, then kernel positions.

    Attributes:
        bits: width, two's complement; products that do not fit are wrapped into it.
        adder: name of the adder circuit of this width.
        adder_key: content hash of its netlist; empty where `cuts` say what is added.
        exact: the adder is exact.
        overflow: ``wrap|saturate``.
        chain: products that are added before the register starts at 0 again, the sums of the chains being added
            exactly; 0 for all.
        cuts: where the carry chain is cut, stopped carries being added one step later; empty for none. The sum of a
            chain is then exact modulo 2**bits.
    """

    bits: int
    adder: str
    adder_key: str = ""
    exact: bool = True
    overflow: str = "wrap"
    chain: int = 0
    cuts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        fits = 1 <= self.bits <= 62 and self.chain >= 0 and self.overflow in {"wrap", "saturate"}
        plain = not self.cuts or (self.exact and self.overflow == "wrap")
        require(fits and plain, f"{self} is no register of products")


@dataclass(frozen=True, slots=True)
class Window:
    """Where a sliding window lies; one entry per spatial dimension.

    Attributes:
        kernel, stride, dilation: of the window.
        before, after: padding.
    """

    kernel: Shape
    stride: Shape
    dilation: Shape
    before: Shape
    after: Shape

    def __post_init__(self) -> None:
        """Check the sizes."""
        parts = (self.kernel, self.stride, self.dilation, self.before, self.after)
        same = {len(part) for part in parts} == {len(self.kernel)}
        sizes = all(min(part, default=1) >= 1 for part in parts[:3]) and all(min(p, default=0) >= 0 for p in parts[3:])
        require(same and sizes, f"{self} is no window: sizes are at least 1, padding at least 0, in every dimension")

    def output_size(self, spatial: Shape) -> Shape:
        """Number of windows per dimension."""
        padded = tuple(n + b + a for n, b, a in zip(spatial, self.before, self.after, strict=True))
        return self.output_size_of_padded(padded)

    def output_size_of_padded(self, spatial: Shape) -> Shape:
        """Number of windows per dimension where `spatial` includes the padding."""
        parts = zip(spatial, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in parts)
