"""Plain sums: additions, such as those of residual networks, means, average pooling, and batch norms left in place."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from laxity.relevance.lrp.method import Flow, Method, summed
from laxity.relevance.lrp.step import Step, rule


@rule("mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
@rule("adaptive_avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
def averaged(step: Step, method: Method) -> Flow:
    """Every value of a window takes its share."""
    return method.divided(lambda *parts: step.call(*parts)[0], step.inputs, step.relevance[0]), 0.0


@rule("add", "sub", "rsub")
def added(step: Step, method: Method) -> Flow:
    """Each summand takes its share; that of constants is absorbed, where the method gives them one."""
    args, kwargs = step.arguments()
    alpha = kwargs.get("alpha", args[2] if len(args) > 2 else 1)
    signs = {"add": (1, alpha), "sub": (1, -alpha), "rsub": (-alpha, 1)}[step.function]
    parts = [torch.as_tensor(x) * sign for x, sign in zip(args[:2], signs, strict=True)]
    like = step.relevance[0]
    parts = [part.to(like.device, like.dtype) for part in parts]
    is_active = [arg in step.sources for arg in step.node.args[:2]]
    return among(method, parts, is_active, like)


def among(method: Method, parts: list[Tensor], is_active: list[bool], back: Tensor) -> Flow:
    """Divide the relevance of an elementwise sum with broadcasting among activations and constants."""
    if not method.counts_constants:
        chosen = [part for part, active in zip(parts, is_active, strict=True) if active]
        return _elementwise(method, chosen, back), 0.0
    found = _elementwise(method, parts, back)
    shares = list(zip(found, is_active, strict=True))
    return [r for r, active in shares if active], sum(summed(r) for r, active in shares if not active)


def _elementwise(method: Method, parts: list[Tensor], back: Tensor) -> list[Tensor]:
    found = method.divided(_total, [part.expand(back.shape) for part in parts], back)
    return [r.sum_to_size(part.shape) for r, part in zip(found, parts, strict=True)]


def _total(*parts: Tensor) -> Tensor:
    return torch.stack(parts).sum(0)


@rule("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm", "cudnn_batch_norm")
def normalised(step: Step, method: Method) -> Flow:
    """A batch norm in eval mode is a factor per channel, through which relevance passes, and a constant.

    Raises:
        TaskError: it takes its statistics from the batch.
    """
    zeros = torch.zeros_like(step.inputs[0])
    shift = step.call(zeros)[0]
    if len(step.sources) != 1 or not _affine(lambda x: step.call(x)[0], step.inputs[0], shift):
        raise step.refuse("whose statistics depend on the batch")
    return among(method, [step.output - shift, shift], [True, False], step.relevance[0])


def _affine(function: Callable[[Tensor], Tensor], x: Tensor, shift: Tensor) -> bool:
    """Whether twice the activation gives twice the result, but for the constant."""
    return torch.allclose(function(2 * x) - shift, 2 * (function(x) - shift), rtol=1e-3, atol=1e-5)
