"""Straight-through gradients: emulated values forward, the native operation on what the operands stand for backward."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from laxity.core.errors import PlanError
from laxity.kernels.represent import pass_gradient, represent
from laxity.kernels.weights import pass_weight_gradient, represent_weights


def unfelt() -> AbstractContextManager[None]:
    """What is computed inside has no gradient; its results are detached.

    Gradients are not switched off while a model is traced: an error in the compiled graph would leave them off.
    """
    return nullcontext() if torch.compiler.is_compiling() else torch.no_grad()


class Operation(Protocol):
    """A native operation, linear in each of two operands, whose gradients are used."""

    def compute(self, left: Tensor, right: Tensor) -> Tensor:
        """The operation itself."""

    def gradients(
        self, gradient: Tensor, left: Tensor, right: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of both operands and of a bias, those that are wanted.

        Only the shape of an operand matters for its own gradient.
        """


@dataclass(frozen=True, slots=True)
class Native:
    """The native operation of a layer, whose gradients are used.

    Attributes:
        linear: a linear layer; the rest does not matter then.
        stride, padding, dilation, output_padding: per spatial dimension.
        transposed: a transposed convolution.
        groups: number of groups.
    """

    linear: bool
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    groups: int = 1

    def compute(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer in floating point, without bias."""
        if self.linear:
            return x @ weight.T
        return torch.convolution(
            x, weight, None, self.stride, self.padding, self.dilation, self.transposed, self.output_padding, self.groups
        )

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of input, weight and bias, those that are wanted."""
        of_x, of_weight, of_bias = wanted
        if self.linear:
            rows = gradient.reshape(-1, gradient.shape[-1])
            return (
                gradient @ weight if of_x else None,
                rows.T @ x.reshape(-1, x.shape[-1]) if of_weight else None,
                rows.sum(0) if of_bias else None,
            )
        found: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
            gradient, x, weight, [gradient.shape[1]] if of_bias else None, self.stride, self.padding, self.dilation,
            self.transposed, self.output_padding, self.groups, wanted,
        )  # fmt: skip
        return found

    def all_gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, gain: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The same for ``native(x, weight) * gain + bias``."""
        if not torch.compiler.is_compiling() and bool((gain == 1.0).all()):
            return self.gradients(gradient, x, weight, wanted)
        for_x, for_weight, _ = self.gradients(self.scaled(gradient, gain), x, weight, (*wanted[:2], False))
        return for_x, for_weight, self.of_bias(gradient) if wanted[2] else None

    def scaled(self, gradient: Tensor, gain: Tensor) -> Tensor:
        """Gradient of the outputs (outputs on their axis) times a number per output."""
        return gradient * gain.reshape(-1, *([1] * (0 if self.linear else gradient.dim() - 2)))

    def of_bias(self, gradient: Tensor) -> Tensor:
        """Gradient of a bias, (outputs,)."""
        axis = gradient.dim() - 1 if self.linear else 1
        return gradient.sum([d for d in range(gradient.dim()) if d != axis])


class MatrixProduct:
    """``left @ right``, both with at least two dimensions."""

    def compute(self, left: Tensor, right: Tensor) -> Tensor:
        """The product."""
        return left @ right

    def gradients(
        self, gradient: Tensor, left: Tensor, right: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of both factors, those that are wanted, summed over dimensions along which they were repeated."""
        for_left = (gradient @ right.transpose(-1, -2)).sum_to_size(left.shape) if wanted[0] else None
        for_right = (left.transpose(-1, -2) @ gradient).sum_to_size(right.shape) if wanted[1] else None
        return for_left, for_right, None


MATRIX_PRODUCT = MatrixProduct()


def refuse_graph() -> None:
    """Raise where the graph of the backward pass is recorded: gradients of a rounding have no gradients of their own.

    Raises:
        PlanError: it is.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise PlanError(
            "emulated operations have no gradients of gradients; call backward() or grad() without create_graph=True, "
            "and take second derivatives on the exact model"
        )


class StraightLayer(torch.autograd.Function):
    """``values`` forward; backward the gradients of ``native(x, weight) * gain + bias``.

    Gradients of gradients do not exist: asking for them is a `PlanError`.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, x: Tensor, weight: Tensor, gain: Tensor, bias: Tensor | None, native: Native
    ) -> Tensor:
        """Return `values` and remember the operands."""
        ctx.save_for_backward(x, weight, gain)
        ctx.native = native
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias."""
        refuse_graph()
        x, weight, gain = ctx.saved_tensors
        _, of_x, of_weight, _, of_bias, _ = ctx.needs_input_grad
        native: Native = ctx.native
        for_x, for_weight, for_bias = native.all_gradients(gradient, x, weight, gain, (of_x, of_weight, of_bias))
        return None, for_x, for_weight, None, for_bias, None


class StraightCodes(torch.autograd.Function):
    """The same with what the integer codes of `x` and `weight` stand for, which is computed in the backward pass.

    Gradients are zero where `x` or `weight` is clipped.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        x: Tensor,
        weight: Tensor,
        gain: Tensor,
        bias: Tensor | None,
        quantiser: Tensor,
        scale: Tensor,
        top: int,
        native: Native,
    ) -> Tensor:
        """Return `values` and remember operands and codes."""
        ctx.save_for_backward(x, weight, gain, quantiser, scale)
        ctx.top, ctx.native = top, native
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias."""
        refuse_graph()
        x, weight, gain, quantiser, scale = ctx.saved_tensors
        _, of_x, of_weight, _, of_bias, *_ = ctx.needs_input_grad
        native: Native = ctx.native
        smooth_x, smooth_weight = represent(x, quantiser), represent_weights(weight, scale, ctx.top)
        wanted = of_x, of_weight, of_bias
        for_x, for_weight, for_bias = native.all_gradients(gradient, smooth_x, smooth_weight, gain, wanted)
        if for_x is not None:
            for_x = pass_gradient(for_x, x, quantiser)
        if for_weight is not None:
            for_weight = pass_weight_gradient(for_weight, weight, scale, ctx.top)
        return None, for_x, for_weight, None, for_bias, None, None, None, None


class StraightProduct(torch.autograd.Function):
    """``values`` forward; backward the gradients of ``left @ right``, both with at least two dimensions."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Return `values` and remember the operands."""
        ctx.save_for_backward(left, right)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of both factors."""
        refuse_graph()
        left, right = ctx.saved_tensors
        _, of_left, of_right = ctx.needs_input_grad
        for_left, for_right, _ = MATRIX_PRODUCT.gradients(gradient, left, right, (of_left, of_right, False))
        return None, for_left, for_right
