"""What layers need of weights that have changed, each in one pass: codes, sums over outputs, represented values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from laxity.kernels import native
from laxity.kernels.call import address, is_plain, observed
from laxity.kernels.operators import LIBRARY

SLACK = 128
"""Bytes behind codes that the compiled kernels may touch."""

LIBRARY.define("represent_weights(Tensor weight, Tensor scale, int top) -> Tensor")
LIBRARY.define("pass_weight_gradient(Tensor gradient, Tensor weight, Tensor scale, int top) -> Tensor")


def code_rows(weight: Tensor, ratio: Tensor, top: int) -> tuple[Tensor, Tensor] | None:
    """Codes ``clamp(round(w / scale), -top, top)`` with ``scale = max(max |w| * ratio / top, 1e-12)``.

    Args:
        weight: float32 (outputs, ...).
        ratio: float32 (outputs,) for a scale per output, or (1,) for one.
        top: greatest code, at most 127.

    Returns:
        Codes plus `top`, uint8 in the shape of the weight, and scales like `ratio`; None where the weight is not
        dense on the CPU, holds NaN or infinite values, or there is no compiled kernel.
    """
    module = native.compiled()
    plain = weight.is_cpu and weight.dtype is torch.float32 and weight.is_contiguous() and is_plain(weight)
    if module is None or native.level() == "torch" or not plain or not weight.numel():
        return None
    codes = torch.empty(weight.numel() + SLACK, dtype=torch.uint8)[: weight.numel()].view(weight.shape)
    scale = torch.empty_like(ratio)
    at = [address(t) for t in (weight, ratio, codes, scale)]
    finite = module.code_weights(native.level(), native.threads(), _shape(weight, ratio), float(top), *at)
    return (codes, scale) if finite else None


def row_sums(rows: Tensor, values: Tensor) -> Tensor:
    """Sum of ``values[row]`` over each output.

    Args:
        rows: uint8 (outputs, n) on the CPU.
        values: int64, one per row number.

    Returns:
        int64 (outputs,).
    """
    if observed() or (module := native.compiled()) is None:
        return values[rows.to(torch.int64)].sum(1)
    rows, values = rows.contiguous(), values.contiguous()
    out = torch.empty(len(rows), dtype=torch.int64)
    module.row_sums(native.threads(), address(rows), *rows.shape, address(values), address(out))
    return out


def represent_weights(weight: Tensor, scale: Tensor, top: int) -> Tensor:
    """``clamp(round(w / scale), -top, top) * scale``; gradient 1 inside the range, 0 where clipped.

    Args:
        weight: float32 (outputs, ...).
        scale: float32 (outputs,) or (1,).
        top: greatest code.
    """
    result: Tensor = torch.ops.laxity.represent_weights(weight, scale, top)
    return result


def pass_weight_gradient(gradient: Tensor, weight: Tensor, scale: Tensor, top: int) -> Tensor:
    """The gradient where `represent_weights` does not clip, else 0."""
    result: Tensor = torch.ops.laxity.pass_weight_gradient(gradient, weight, scale, top)
    return result


def _shape(weight: Tensor, scale: Tensor) -> list[int]:
    outputs = len(weight)
    return [outputs, weight.numel() // max(1, outputs), int(scale.numel() == 1)]


def _column(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.reshape(-1, *([1] * (weight.dim() - 1)))


def _represent_by_torch(weight: Tensor, scale: Tensor, top: int) -> Tensor:
    s = _column(scale, weight)
    return torch.clamp(torch.round(weight / s), -top, top) * s


def _pass_by_torch(gradient: Tensor, weight: Tensor, scale: Tensor, top: int) -> Tensor:
    return torch.where(torch.round(weight / _column(scale, weight)).abs() <= top, gradient, 0.0)


def _represent(weight: Tensor, scale: Tensor, top: int) -> Tensor:
    module = native.compiled()
    if module is None or native.level() == "torch" or weight.dtype != torch.float32:
        return _represent_by_torch(weight, scale, top)
    weight, scale = weight.contiguous(), scale.contiguous()
    out = torch.empty_like(weight)
    at = [address(t) for t in (weight, scale, out)]
    module.represent_weights(native.level(), native.threads(), _shape(weight, scale), float(top), *at)
    return out


def _pass(gradient: Tensor, weight: Tensor, scale: Tensor, top: int) -> Tensor:
    module = native.compiled()
    if module is None or native.level() == "torch" or weight.dtype != torch.float32:
        return _pass_by_torch(gradient, weight, scale, top)
    gradient, weight, scale = gradient.contiguous(), weight.contiguous(), scale.contiguous()
    out = torch.empty_like(weight)
    at = [address(t) for t in (gradient, weight, scale, out)]
    module.pass_weight_gradient(native.level(), native.threads(), _shape(weight, scale), float(top), *at)
    return out


@torch.library.register_fake("laxity::represent_weights", lib=LIBRARY)
def _represent_fake(weight: Tensor, scale: Tensor, top: int) -> Tensor:
    return torch.empty_like(weight, memory_format=torch.contiguous_format)


@torch.library.register_fake("laxity::pass_weight_gradient", lib=LIBRARY)
def _pass_fake(gradient: Tensor, weight: Tensor, scale: Tensor, top: int) -> Tensor:
    return torch.empty_like(weight, memory_format=torch.contiguous_format)


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    weight, scale, ctx.top = inputs
    ctx.save_for_backward(weight, scale)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    weight, scale = ctx.saved_tensors
    return torch.ops.laxity.pass_weight_gradient(gradient, weight, scale, ctx.top), None, None


def _again(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int], output: Tensor) -> None:
    _, weight, scale, ctx.top = inputs
    ctx.save_for_backward(weight, scale)


def _again_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
    weight, scale = ctx.saved_tensors
    return torch.ops.laxity.pass_weight_gradient(gradient, weight, scale, ctx.top), None, None, None


LIBRARY.impl("represent_weights", _represent, "CPU")
LIBRARY.impl("represent_weights", _represent_by_torch, "CUDA")
LIBRARY.impl("pass_weight_gradient", _pass, "CPU")
LIBRARY.impl("pass_weight_gradient", _pass_by_torch, "CUDA")
torch.library.register_autograd("laxity::pass_weight_gradient", _again_backward, setup_context=_again, lib=LIBRARY)
torch.library.register_autograd("laxity::represent_weights", _backward, setup_context=_setup, lib=LIBRARY)
