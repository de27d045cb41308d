"""An output plus its modelled error, with the gradient of both, in pieces that stay in the processor's cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from laxity.core.errors import PlanError

_PIECE = 1 << 17
"""Numbers per piece."""


class Line(NamedTuple):
    """``clip(slope y + shift, low, high) + spread eta`` of an output y; float32, as long as there are kernels, or 1.

    The shift has the bias of the output taken out of it, on which errors do not depend. There is no noise where
    `spread` is None.
    """

    slope: Tensor
    shift: Tensor
    low: Tensor
    high: Tensor
    spread: Tensor | None


class Corrected(torch.autograd.Function):
    """``y + clip(slope y + shift, low, high) + spread eta``; backward 1 + slope where it is not clipped, 1 where it is.

    Gradients of the bias are those that it has without the error.
    """

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, bias: Tensor | None, line: Line, axis: int, generator: torch.Generator | None
    ) -> Tensor:
        """Compute in pieces along the first dimension, and remember where there was no clip.

        Args:
            ctx: of autograd.
            y: output with bias.
            bias: float32 (kernels,), or None; only for its gradient.
            line: what is added.
            axis: dimension of the kernels, counted from the end.
            generator: of the noise, on the CPU.
        """
        result, inside = torch.empty_like(y), torch.empty_like(y, dtype=torch.bool)
        spread = [None if v is None else _spread(v, axis) for v in line]
        slope, shift, low, high, noise = spread
        assert slope is not None and shift is not None  # noqa: PT018 (only noise may be left out)
        for part, into, mask in zip(*(_pieces(t, axis) for t in (y, result, inside)), strict=True):
            straight = torch.addcmul(shift, part, slope)
            clipped = torch.clamp(straight, low, high)
            torch.eq(straight, clipped, out=mask)
            torch.add(part, clipped, out=into)
            if noise is not None:
                into.addcmul_(noise, torch.randn(part.shape, generator=generator).to(part.device))
        ctx.save_for_backward(inside, slope)
        ctx.axis = axis
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of output and bias.

        Raises:
            PlanError: gradients of gradients are asked for.
        """
        if torch.is_grad_enabled():
            raise PlanError("modelled errors have no gradients of gradients; call backward() without create_graph=True")
        inside, slope = ctx.saved_tensors
        for_y = torch.empty_like(gradient)
        for_bias: Tensor | None = None
        over = [d for d in range(gradient.dim()) if d != gradient.dim() + ctx.axis]
        for part, mask, into in zip(*(_pieces(t, ctx.axis) for t in (gradient, inside, for_y)), strict=True):
            more = torch.mul(part, slope).mul_(mask)
            torch.add(part, more, out=into)
            if ctx.needs_input_grad[1]:
                felt = more.sum(over)
                for_bias = -felt if for_bias is None else for_bias - felt
        return for_y, for_bias, None, None, None


def straight(y: Tensor, bias: Tensor | None, line: Line, axis: int, generator: torch.Generator | None) -> Tensor:
    """``y + slope y + shift + spread eta``: what `Corrected` gives where nothing is clipped; arguments as there."""
    shift = line.shift
    if bias is not None:  # the same value, with the gradient that leaves that of the bias as it is
        shift = shift - line.slope * (bias - bias.detach())
    found = torch.addcmul(_spread(shift, axis), y, _spread(1 + line.slope, axis))
    if line.spread is None:
        return found
    return found + _spread(line.spread, axis) * torch.randn(y.shape, generator=generator).to(y.device)


def _spread(values: Tensor, axis: int) -> Tensor:
    """Values per kernel so that they broadcast over outputs with kernels in dimension `axis`."""
    return values if values.numel() == 1 else values.reshape(-1, *([1] * (-1 - axis)))


def _pieces(values: Tensor, axis: int) -> tuple[Tensor, ...]:
    if values.dim() + axis == 0:  # the first dimension is that of the kernels
        return (values,)
    return values.split(max(1, _PIECE * len(values) // max(1, values.numel())))
