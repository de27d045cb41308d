"""Gradients of one emulated operation that are not straight-through: what all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NoReturn

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.slots import Slots
from laxity.emulate.straight import Native, Operation, refuse_graph
from laxity.techniques.data.codes import IntegerOperands, WeightCode

Wanted = tuple[bool, bool]


class SiteGradient(ABC):
    """Gradients of the operation at one site.

    They hold for the multiplier and the range of codes that the site has when they are made.

    Args:
        layer: the operation, emulated and calibrated.

    Attributes:
        site: name.
    """

    def __init__(self, layer: Slots) -> None:
        self.site = layer.site.name
        self._multiplier, self._ranges = layer.multiplier, _ranges(layer)

    @abstractmethod
    def describe(self) -> str:
        """What the gradients are made of, in a few words."""

    @abstractmethod
    def remember(
        self, layer: Slots, left: Tensor, right: Tensor, operation: Operation
    ) -> tuple[Tensor, Operation, tuple[Tensor | None, ...]]:
        """What the backward pass needs.

        Args:
            layer: the operation.
            left: what the codes of its left operand stand for.
            right: the same of the right operand.
            operation: the native operation.

        Returns:
            The left operand and the operation, padded where these gradients feel padding, and tensors to keep.
        """

    @abstractmethod
    def backward(
        self, gradient: Tensor, operation: Operation, shapes: tuple[torch.Size, torch.Size], wanted: Wanted, *kept: Any
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of both operands, those that are wanted, without bias and gain.

        Args:
            gradient: of the output, times the gain.
            operation: the native operation, as `remember` gave it.
            shapes: of both operands, as `remember` gave them.
            wanted: which of them are.
            kept: tensors that `remember` gave.
        """

    def __call__(self, layer: Slots, values: Tensor, left: Tensor, right: Tensor, operation: Operation) -> Tensor:
        """See `laxity.emulate.slots.GradientRule`.

        Raises:
            PlanError: the model is being compiled, or the site has got another multiplier or other codes.
        """
        if torch.compiler.is_compiling():
            raise PlanError(
                f"site {self.site!r} has gradients that cannot be compiled or exported; leave the context "
                "'with_gradient' first, or use gradient 'straight_through'"
            )
        if layer.multiplier is not self._multiplier or _ranges(layer) != self._ranges:
            raise PlanError(
                f"site {self.site!r} has got another multiplier or other codes than those its gradients are made for; "
                "leave the context 'with_gradient' and enter it again"
            )
        left, operation, kept = self.remember(layer, left, right, operation)
        gain, bias = (layer.gain, layer.bias) if isinstance(layer, EmulatedLayer) else (None, None)
        result: Tensor = _Estimated.apply(values, left, right, gain, bias, self, operation, *kept)
        return result

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise PlanError(f"gradients of site {self.site!r} cannot be copied or saved; they are made by 'with_gradient'")


def operands_of(layer: Slots) -> IntegerOperands:
    """The coders of an operation whose codes are whole numbers.

    Raises:
        PlanError: they are not; names the site.
    """
    if not isinstance(layer.operand, IntegerOperands):
        raise PlanError(
            f"site {layer.site.name!r} has no whole-number codes, by which gradients of products are found; give it an "
            "OPERAND choice such as {'kind': 'integer'}, or use gradient 'straight_through'"
        )
    return layer.operand


@torch.no_grad()
def right_scale_and_zero(layer: Slots, dims: int) -> tuple[Tensor, Tensor]:
    """Scale and zero-point of the right operand as it is now, so that both broadcast over its `dims` dimensions."""
    coder = operands_of(layer).weight
    if not isinstance(coder, WeightCode):
        return coder.scale, coder.zero
    assert isinstance(layer, EmulatedLayer)  # only layers have weights
    scale, zero = coder.scale_and_zero(layer.used_weight())
    shape = [1] * dims
    shape[layer.channel_axis] = -1
    return scale.reshape(shape), zero.reshape(shape)


def _ranges(layer: Slots) -> tuple[object, ...]:
    operand = operands_of(layer)
    return operand.input.code_range, operand.input.zeros[0], operand.weight.code_range


class _Estimated(torch.autograd.Function):
    """``values`` forward; backward what a `SiteGradient` says."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        left: Tensor,
        right: Tensor,
        gain: Tensor | None,
        bias: Tensor | None,
        site: SiteGradient,
        operation: Operation,
        *kept: Tensor | None,
    ) -> Tensor:
        """Return `values` and remember what is kept."""
        ctx.save_for_backward(gain, *kept)
        ctx.site, ctx.operation, ctx.shapes = site, operation, (left.shape, right.shape)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of both operands and of the bias."""
        refuse_graph()
        gain, *kept = ctx.saved_tensors
        _, of_left, of_right, _, of_bias, *rest = ctx.needs_input_grad
        operation: Operation = ctx.operation
        scaled, for_bias = gradient, None
        if isinstance(operation, Native):
            for_bias = operation.of_bias(gradient) if of_bias else None
            scaled = gradient if bool((gain == 1.0).all()) else operation.scaled(gradient, gain)
        found = ctx.site.backward(scaled, operation, ctx.shapes, (of_left, of_right), *kept)
        return None, *found, None, for_bias, *([None] * len(rest))
