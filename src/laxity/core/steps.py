"""The steps of an integer-only program. `laxity.core.interpret` is the definition of each in numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from laxity.core.parts import Code, CodeArray, Register, Shape, Window
from laxity.core.requantise import Addition, Requantiser


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation of a program.

    Attributes:
        name: unique; the key of its result in a trace.
        inputs: names of the steps it reads, or ``"input"``.
        shape: of its result, without the batch.
        code: of its result.
    """

    kind: ClassVar[str] = ""
    arity: ClassVar[int] = 1

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    code: Code

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """Whether the result has this shape and code for inputs of these shapes and codes."""
        return len(shapes) == self.arity


@dataclass(frozen=True, slots=True, eq=False)
class Product(Step):
    """A convolution or linear layer: sums of circuit products, corrections, bias, requantisation.

    For every output ``o`` and position::

        sum = accumulate(circuit(a << shifts[0], w << shifts[1]) >> product_shift) + bias[o]
              - ((weight_zero[o] * sum of all a) << fraction_bits)
        out = clamp(((sum * multiplier[o] + (1 << (shift[o] - 1))) >> shift[o]) + zero, low, high)

    with activation codes ``a`` (the code of zero where the input is padded) and weight codes ``w``. Operands that the
    circuit takes as magnitudes are multiplied as such, and the product is negated where exactly one of the magnitudes
    stands for a negative code. All products have `product_shift` low bits of 0. What the zero-point of the input takes
    off is part of the bias.

    Attributes:
        site: name of the site in the model.
        operation: ``conv1d|conv2d|conv3d|linear``; a linear layer acts on the last dimension of its input.
        window: of a convolution; without dimensions for a linear layer.
        groups: of a convolution.
        weight: weight codes, int32 (outputs, inputs per group, *kernel).
        weight_low, weight_high: range of weight codes.
        weight_zero: zero-points of weight codes, int32 (outputs,); all 0 for symmetric codes.
        bias: int32 (outputs,).
        multiplier: name of the circuit.
        shifts: how far activation and weight codes are shifted up before they enter the circuit.
        product_shift: low bits that all products lack.
        register: how products are added; exactly, in 32 bits, if None.
        requantiser: with one multiplier and shift per output.
        least_sums, greatest_sums: between them every sum of an output lies, for any input, int32 (outputs,).
    """

    kind: ClassVar[str] = "product"

    site: str
    operation: str
    window: Window
    groups: int
    weight: CodeArray
    weight_low: int
    weight_high: int
    weight_zero: CodeArray
    bias: CodeArray
    multiplier: str
    shifts: tuple[int, int]
    product_shift: int
    register: Register | None
    requantiser: Requantiser
    least_sums: CodeArray
    greatest_sums: CodeArray

    @property
    def fraction_bits(self) -> int:
        """Bits of a sum below the unit (activation code) x (weight code)."""
        return sum(self.shifts) - self.product_shift

    @property
    def reduction(self) -> int:
        """Products per output."""
        return math.prod(self.weight.shape[1:])

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        outputs = len(self.weight)
        linear = self.operation == "linear"
        dims = len(self.window.kernel)
        if len(shapes) != 1 or self.weight.ndim != 2 + dims or self.groups < 1 or outputs % self.groups:
            return False
        if self.operation != ("linear" if linear else f"conv{dims}d") or (linear and (dims or self.groups != 1)):
            return False
        vectors = (self.weight_zero, self.bias, self.least_sums, self.greatest_sums)
        if any(v.shape != (outputs,) for v in vectors) or len(self.requantiser.multipliers) != outputs:
            return False
        inside = self.weight_low <= self.weight.min(initial=self.weight_high)
        inside = inside and self.weight.max(initial=self.weight_low) <= self.weight_high
        bits = min(self.shifts) >= 0 and 0 <= self.product_shift <= sum(self.shifts)
        sums = zip(self.least_sums.tolist(), self.greatest_sums.tolist(), strict=True)
        safe = self.requantiser.overflows(sums) is None
        fitting = self.weight.shape[2:] == self.window.kernel and self._shape(shapes[0]) == self.shape
        return inside and bits and safe and fitting

    def _shape(self, shape: Shape) -> Shape | None:
        if self.operation == "linear":
            return (*shape[:-1], len(self.weight)) if shape and shape[-1] == self.weight.shape[1] else None
        if len(shape) != 1 + len(self.window.kernel) or shape[0] != self.weight.shape[1] * self.groups:
            return None
        return (len(self.weight), *self.window.output_size(shape[1:]))


@dataclass(frozen=True, slots=True, eq=False)
class Pool(Step):
    """The greatest code, or the requantised sum of codes less their zero-point, of every window of every channel.

    Attributes:
        operation: ``max|average``. Positions outside of the input are ignored by ``max`` and count as the value 0 in
            ``average``, whose divisor is part of the requantisation.
        window: where windows lie.
        requantiser: of ``average``; None for ``max``.
    """

    kind: ClassVar[str] = "pool"

    operation: str
    window: Window
    requantiser: Requantiser | None

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        if len(shapes) != 1 or len(shapes[0]) != 1 + len(self.window.kernel):
            return False
        if self.operation == "max":
            right = self.requantiser is None and codes[0] == self.code
        else:
            right = self.operation == "average" and self.requantiser is not None and len(self.requantiser.shifts) == 1
        return right and (shapes[0][0], *self.window.output_size(shapes[0][1:])) == self.shape


@dataclass(frozen=True, slots=True, eq=False)
class Add(Step):
    """The sum of two values of one shape.

    Attributes:
        addition: how.
    """

    kind: ClassVar[str] = "add"
    arity: ClassVar[int] = 2

    addition: Addition

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        return shapes == [self.shape] * 2 and self.addition.zeros == tuple(c.zero for c in codes)


@dataclass(frozen=True, slots=True, eq=False)
class Rescale(Step):
    """The same value in another code, clamped: ``requantise(code - zero of the input)``.

    Attributes:
        requantiser: with one multiplier and shift.
    """

    kind: ClassVar[str] = "rescale"

    requantiser: Requantiser

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        return shapes == [self.shape] and len(self.requantiser.shifts) == 1


@dataclass(frozen=True, slots=True, eq=False)
class Reshape(Step):
    """The same codes in the same row-major order under another shape."""

    kind: ClassVar[str] = "reshape"

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        return len(shapes) == 1 and math.prod(shapes[0]) == math.prod(self.shape) and codes == [self.code]


@dataclass(frozen=True, slots=True, eq=False)
class Pad(Step):
    """The code of zero around every dimension.

    Attributes:
        before, after: how many, per dimension, channels first.
    """

    kind: ClassVar[str] = "pad"

    before: Shape
    after: Shape

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        if len(shapes) != 1 or not len(shapes[0]) == len(self.before) == len(self.after) or codes != [self.code]:
            return False
        positive = min((*self.before, *self.after), default=0) >= 0
        return positive and self.shape == tuple(
            n + b + a for n, b, a in zip(shapes[0], self.before, self.after, strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Slice(Step):
    """Every ``stride``-th entry from ``start`` on, per dimension, as many as `shape` says.

    Attributes:
        start, stride: per dimension, channels first.
    """

    kind: ClassVar[str] = "slice"

    start: Shape
    stride: Shape

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        if len(shapes) != 1 or codes != [self.code]:
            return False
        if not len(shapes[0]) == len(self.shape) == len(self.start) == len(self.stride):
            return False
        parts = zip(shapes[0], self.shape, self.start, self.stride, strict=True)
        return all(s >= 0 and d >= 1 and m >= 0 and (m == 0 or s + d * (m - 1) < n) for n, m, s, d in parts)


@dataclass(frozen=True, slots=True, eq=False)
class Concatenate(Step):
    """Codes of several values, one after the other.

    Attributes:
        axis: along which, 0 for channels.
    """

    kind: ClassVar[str] = "concatenate"

    axis: int

    def fits(self, shapes: list[Shape], codes: list[Code]) -> bool:
        """See `Step.fits`."""
        if not shapes or not 0 <= self.axis < len(self.shape) or any(c != self.code for c in codes):
            return False
        joined = list(self.shape)
        joined[self.axis] = sum(s[self.axis] for s in shapes if len(s) == len(joined))
        rest = {(*s[: self.axis], *s[self.axis + 1 :]) for s in shapes}
        return tuple(joined) == self.shape and rest == {(*joined[: self.axis], *joined[self.axis + 1 :])}


STEPS: Mapping[str, type[Step]] = {c.kind: c for c in (Product, Pool, Add, Rescale, Reshape, Pad, Slice, Concatenate)}
"""Steps by their kind."""
