"""Straight-through gradients: emulated values forward, the native operation on what the operands stand for backward."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def unfelt() -> AbstractContextManager[None]:
    """What is computed inside has no gradient; its results are detached.

    Gradients are not switched off while a model is traced: an error in the compiled graph would leave them off.
    """
    return nullcontext() if torch.compiler.is_compiling() else torch.no_grad()


@dataclass(frozen=True, slots=True)
class Native:
    """The native operation whose gradients are used.

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


class StraightLayer(torch.autograd.Function):
    """``values`` forward; backward the gradients of ``native(x, weight) * gain + bias``.

    Gradients of gradients do not exist: asking for them is an error of torch that says so.
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
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias."""
        x, weight, gain = ctx.saved_tensors
        native: Native = ctx.native
        needs = ctx.needs_input_grad
        tail = 0 if native.linear else gradient.dim() - 2
        for_bias = None
        if needs[4]:
            over = [d for d in range(gradient.dim()) if d != gradient.dim() - 1 - tail]
            for_bias = gradient.sum(over)
        scaled = gradient * gain.reshape(-1, *([1] * tail))
        if native.linear:
            for_x = scaled @ weight if needs[1] else None
            rows = scaled.reshape(-1, scaled.shape[-1])
            for_weight = rows.T @ x.reshape(-1, x.shape[-1]) if needs[2] else None
        else:
            for_x, for_weight, _ = torch.ops.aten.convolution_backward(
                scaled, x, weight, None, native.stride, native.padding, native.dilation, native.transposed,
                native.output_padding, native.groups, (needs[1], needs[2], False),
            )  # fmt: skip
        return None, for_x, for_weight, None, for_bias, None


class StraightProduct(torch.autograd.Function):
    """``values`` forward; backward the gradients of ``left @ right``, both with at least two dimensions."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Return `values` and remember the operands."""
        ctx.save_for_backward(left, right)
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of both factors."""
        left, right = ctx.saved_tensors
        _, of_left, of_right = ctx.needs_input_grad
        for_left = (gradient @ right.transpose(-1, -2)).sum_to_size(left.shape) if of_left else None
        for_right = (left.transpose(-1, -2) @ gradient).sum_to_size(right.shape) if of_right else None
        return None, for_left, for_right
