"""Gradients by tables: a derivative of the product for every pair of codes, applied by native operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from laxity.core.errors import PlanError
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.slots import Slots
from laxity.emulate.straight import Native, Operation
from laxity.recovery.elements import ElementErrors
from laxity.recovery.gradients.factors import Factors, factorise
from laxity.recovery.gradients.site import SiteGradient, Wanted, operands_of, right_scale_and_zero
from laxity.recovery.observation import FloatArray
from laxity.techniques.data.codes import WeightCode
from laxity.techniques.hardware.arrangement import single

_UNFELT = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ProductTable:
    """The products of a site's multiplier for all pairs of codes, in units of (input code) x (weight code).

    Attributes:
        site: name.
        products: float64 (left codes, right codes), from the least codes on; may hold fractions, see `ElementErrors`.
        left, right: the codes, float64.
        shifts: how far both codes are shifted up before they enter the circuit.
    """

    site: str
    products: FloatArray
    left: FloatArray
    right: FloatArray
    shifts: tuple[int, int]

    @classmethod
    def of(cls, layer: Slots) -> ProductTable:
        """Read a calibrated operation.

        Raises:
            PlanError: its codes are no whole numbers, are too many for a table, or do not fit the multiplier.
        """
        operand, name = operands_of(layer), layer.site.name
        errors = ElementErrors.of(operand, layer.multiplier, name)
        left, right = (np.arange(low, high + 1.0) for low, high in (errors.left, errors.right))
        shifts = operand.shifts(operand.circuit(single(layer.multiplier, name, "tables of errors")), name)
        return cls(name, errors.table + left[:, None] * right, left, right, shifts)


class TableAtSite(SiteGradient):
    """Gradients by tables at one site: sums over terms, each with one native backward operation per operand.

    With ``dx[a, w] = sum_r u_r(a) v_r(w)``, the gradient of the left operand is
    ``sum_r u_r(a) * native_backward(g, v_r(w))``, and likewise that of the right one.

    Args:
        layer: the operation.
        dx, dw: derivative of the product with respect to the left and to the right code, float64 (left codes, right
            codes), in units of codes.
        tolerance: of `factorise`.

    Attributes:
        for_left, for_right: the terms of dx, and of dw less the zero-point of the left codes.
        tolerance: likewise.
    """

    def __init__(self, layer: Slots, dx: FloatArray, dw: FloatArray, tolerance: float = 0.0) -> None:
        super().__init__(layer)
        operand = operands_of(layer)
        self.tolerance = tolerance
        self._lows = operand.input.code_range[0], operand.weight.code_range[0]
        zero = operand.input.zeros[0]
        centred = dw - zero
        self._feels_padding = bool((np.abs(centred[zero - self._lows[0]]) > _UNFELT).any())
        self.for_left, self.for_right = factorise(dx, tolerance), factorise(centred, tolerance)

    @property
    def ranks(self) -> tuple[int, int]:
        """Numbers of terms for the left and for the right operand."""
        return self.for_left.rank, self.for_right.rank

    def describe(self) -> str:
        """Name the numbers of terms."""
        return f"tables of rank {self.ranks[0]} and {self.ranks[1]} within {self.tolerance:g}"

    def remember(
        self, layer: Slots, left: Tensor, right: Tensor, operation: Operation
    ) -> tuple[Tensor, Operation, tuple[Tensor | None, ...]]:
        """See `SiteGradient.remember`; keeps numbers of codes, scales, and zero-points that are not 0."""
        left, operation = self._padded(left, operation)
        coder = operands_of(layer)
        with torch.no_grad():
            left_code = _numbers(left, coder.input.scale, coder.input.zero, coder.input.code_range)
            return left, operation, (left_code, coder.input.scale, *self._right(layer, right))

    @staticmethod
    def _right(layer: Slots, right: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Numbers of codes, scale, and what belongs to zero-points that are not 0."""
        coder = operands_of(layer).weight
        if isinstance(layer, EmulatedLayer) and isinstance(coder, WeightCode) and layer.forced_codes is None:
            at_once = coder.rows(layer.used_weight())
            if at_once is not None:
                rows, scales = at_once
                return rows, scales.reshape(-1, *([1] * (rows.dim() - 1))), None
        scale, zero = right_scale_and_zero(layer, right.dim())
        numbers = _numbers(right, scale, zero, coder.code_range)
        return numbers, scale, -zero * scale if bool(zero.any()) else None

    def _padded(self, left: Tensor, operation: Operation) -> tuple[Tensor, Operation]:
        """Pad the operand where products with padded codes change with the weight, as they do not in exact ones."""
        if not (self._feels_padding and isinstance(operation, Native)) or operation.linear or operation.transposed:
            return left, operation
        if not any(operation.padding):
            return left, operation
        pairs = [amount for amount in reversed(operation.padding) for _ in range(2)]
        return F.pad(left, pairs), replace(operation, padding=(0,) * len(operation.padding))

    def backward(
        self, gradient: Tensor, operation: Operation, shapes: tuple[torch.Size, torch.Size], wanted: Wanted, *kept: Any
    ) -> tuple[Tensor | None, Tensor | None]:
        """See `SiteGradient.backward`."""
        left_code, left_scale, right_code, right_scale, shift = kept
        for_left = for_right = None
        if wanted[0]:
            like = gradient.new_zeros(()).expand(shapes[0])
            for_left = torch.zeros_like(left_code, dtype=gradient.dtype)
            for own, other in self._terms(self.for_left, left_code, right_code, right_scale, shift):
                found = operation.gradients(gradient, like, other, (True, False, False))[0]
                _add(for_left, found, own)
        if wanted[1]:
            like = gradient.new_zeros(()).expand(shapes[1])
            for_right = torch.zeros_like(right_code, dtype=gradient.dtype)
            swapped = Factors(self.for_right.right, self.for_right.left)
            for own, other in self._terms(swapped, right_code, left_code, left_scale, None):
                found = operation.gradients(gradient, other, like, (False, True, False))[1]
                _add(for_right, found, own)
        return for_left, for_right

    @staticmethod
    def _terms(
        factors: Factors, own: Tensor, other: Tensor, scale: Tensor, shift: Tensor | None
    ) -> Iterator[tuple[Tensor | None, Tensor]]:
        """Per term, the function of the operand itself (None for 1), and that of the other one in units of values.

        Args:
            factors: of which `left` is about the operand itself.
            own: codes of the operand itself, as numbers of rows.
            other: those of the other one.
            scale: of the other operand.
            shift: what belongs to its zero-point, or None.
        """
        for r in range(factors.rank):
            value = scale.expand(other.shape) if factors.right is None else _look_up(factors.right[r], other) * scale
            plain = factors.left is None
            if plain and shift is not None:
                value = value + shift
            yield None if plain else _look_up(factors.left[r], own), value  # type: ignore[index]
        if shift is not None and not (factors.left is None and factors.rank):
            yield None, shift.expand(other.shape)


def check_tolerance(name: str, tolerance: float) -> None:
    """Raise unless `tolerance` is a fraction.

    Raises:
        PlanError: it is not.
    """
    if not 0 <= tolerance < 1:
        raise PlanError(f"tolerance of gradient {name!r} is a fraction from 0 to below 1, not {tolerance}")


def _numbers(values: Tensor, scale: Tensor, zero: Tensor, allowed: tuple[int, int]) -> Tensor:
    """Codes of values that codes stand for, less the least code, as small integers."""
    low, high = allowed
    found = torch.round(values.detach() / scale) + (zero - low)
    return found.to(torch.uint8 if high - low < 256 else torch.int32)


def _look_up(function: Tensor, numbers: Tensor) -> Tensor:
    flat = numbers.reshape(-1).to(torch.int32)
    return function.to(numbers.device).index_select(0, flat).reshape(numbers.shape)


def _add(total: Tensor, found: Tensor | None, factor: Tensor | None) -> None:
    assert found is not None  # it was wanted
    if factor is None:
        total.add_(found)
    else:
        total.addcmul_(found, factor)
