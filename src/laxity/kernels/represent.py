"""What quantised values stand for, in one pass, with the gradient of a rounding that is not felt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from laxity.kernels import native
from laxity.kernels.call import address
from laxity.kernels.operators import LIBRARY

LIBRARY.define("represent(Tensor x, Tensor quantiser) -> Tensor")
LIBRARY.define("pass_gradient(Tensor gradient, Tensor x, Tensor quantiser) -> Tensor")


def represent(x: Tensor, quantiser: Tensor) -> Tensor:
    """``(clamp(round(x / scale) + zero, low, high) - zero) * scale``; gradient 1 inside the range, 0 where clipped.

    Args:
        x: float32.
        quantiser: float32 (4,): scale, zero, low, high.
    """
    result: Tensor = torch.ops.laxity.represent(x, quantiser)
    return result


def pass_gradient(gradient: Tensor, x: Tensor, quantiser: Tensor) -> Tensor:
    """The gradient where `represent` does not clip, else 0."""
    result: Tensor = torch.ops.laxity.pass_gradient(gradient, x, quantiser)
    return result


def _represent_by_torch(x: Tensor, quantiser: Tensor) -> Tensor:
    scale, zero, low, high = quantiser.unbind()
    return (torch.clamp(torch.round(x / scale) + zero, low, high) - zero) * scale


def _pass_gradient_by_torch(gradient: Tensor, x: Tensor, quantiser: Tensor) -> Tensor:
    scale, zero, low, high = quantiser.unbind()
    code = torch.round(x / scale) + zero
    return torch.where((code >= low) & (code <= high), gradient, 0.0)


def _dense(x: Tensor) -> Tensor:
    """The tensor itself where its elements fill its memory, else a copy for which they do."""
    if x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


def _represent(x: Tensor, quantiser: Tensor) -> Tensor:
    module = native.compiled()
    if module is None or native.level() == "torch" or x.dtype != torch.float32:
        return _represent_by_torch(x, quantiser)
    x = _dense(x)
    out = torch.empty_like(x)
    module.represent(native.level(), native.threads(), address(x), x.numel(), address(quantiser), address(out))
    return out


def _pass_gradient(gradient: Tensor, x: Tensor, quantiser: Tensor) -> Tensor:
    module = native.compiled()
    if module is None or native.level() == "torch" or x.dtype != torch.float32:
        return _pass_gradient_by_torch(gradient, x, quantiser)
    x = _dense(x)
    if gradient.stride() != x.stride():
        gradient = torch.empty_like(x).copy_(gradient)
    out = torch.empty_like(x)
    module.pass_gradient(
        native.level(), native.threads(), address(gradient), address(x), x.numel(), address(quantiser), address(out)
    )
    return out


@torch.library.register_fake("laxity::represent", lib=LIBRARY)
def _represent_fake(x: Tensor, quantiser: Tensor) -> Tensor:
    return torch.empty_like(_dense(x))


@torch.library.register_fake("laxity::pass_gradient", lib=LIBRARY)
def _pass_gradient_fake(gradient: Tensor, x: Tensor, quantiser: Tensor) -> Tensor:
    return torch.empty_like(_dense(x))


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    x, quantiser = ctx.saved_tensors
    return torch.ops.laxity.pass_gradient(gradient, x, quantiser), None


def _again(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _again_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return torch.ops.laxity.pass_gradient(gradient, *ctx.saved_tensors), None, None


LIBRARY.impl("represent", _represent, "CPU")
LIBRARY.impl("represent", _represent_by_torch, "CUDA")
LIBRARY.impl("pass_gradient", _pass_gradient, "CPU")
LIBRARY.impl("pass_gradient", _pass_gradient_by_torch, "CUDA")
torch.library.register_autograd("laxity::pass_gradient", _again_backward, setup_context=_again, lib=LIBRARY)
torch.library.register_autograd("laxity::represent", _backward, setup_context=_setup, lib=LIBRARY)
