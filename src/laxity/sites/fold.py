"""Fold batch normalisation into the convolution or linear layer before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from laxity.sites.find import MODULE_TYPES
from laxity.sites.trace import Call

Norms = dict[str, tuple[Tensor, Tensor]]


def fold_batch_norm(model: nn.Module, calls: Sequence[Call]) -> Norms:
    """Fold, in place, every batch norm whose input is the output of exactly one site and goes nowhere else.

    Args:
        model: in eval mode; folded norms are replaced by `nn.Identity`.
        calls: one recorded forward pass of this very model.

    Returns:
        For every site that absorbed a norm, the mean (beta) and standard deviation (abs(gamma)) that its output
        channels have by construction, float32 (channels,). Re-estimation restores them after an approximation.

    Source: y = gamma (conv(x) - mu) / sqrt(var + eps) + beta, an affine map of each output channel.
    """
    modules = dict(model.named_modules())
    makers = {id(c.output): c for c in calls if c.kind not in {"other", "batch_norm"} and isinstance(c.output, Tensor)}
    runs: dict[str, int] = {}
    for call in calls:
        if call.kind not in {"other", "batch_norm"}:
            runs[call.owner] = runs.get(call.owner, 0) + 1
    norms: Norms = {}
    for call in calls:
        norm = modules.get(call.owner)
        source = makers.get(id(call.args[0])) if call.kind == "batch_norm" and call.args else None
        if source is None or not isinstance(norm, _BatchNorm) or norm.running_mean is None:
            continue
        layer = modules.get(source.owner)
        if not isinstance(layer, MODULE_TYPES) or runs[source.owner] != 1 or _uses(calls, source.output, call) != 0:
            continue
        norms[source.owner] = _absorb(layer, norm)
        parent, _, leaf = call.owner.rpartition(".")
        setattr(modules[parent], leaf, nn.Identity())
    return norms


def _uses(calls: Sequence[Call], tensor: Tensor, allowed: Call) -> int:
    """Number of calls besides `allowed`, outside its own module, that receive `tensor`."""
    return sum(
        1
        for c in calls
        if c is not allowed and c.owner != allowed.owner and _mentions([*c.args, *c.kwargs.values()], tensor)
    )


def _mentions(values: Sequence[Any], tensor: Tensor) -> bool:
    return any(v is tensor or (isinstance(v, (list, tuple)) and _mentions(v, tensor)) for v in values)


@torch.no_grad()
def _absorb(layer: nn.Module, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None  # narrows the types: only norms with statistics are folded
    assert var is not None
    scale = torch.rsqrt(var + norm.eps)
    gamma = norm.weight if norm.weight is not None else torch.ones_like(mean)
    beta = norm.bias if norm.bias is not None else torch.zeros_like(mean)
    factor = gamma * scale
    weight: Tensor = layer.weight  # type: ignore[assignment]
    bias: Tensor = layer.bias if layer.bias is not None else torch.zeros_like(mean)  # type: ignore[assignment]
    weight.copy_(_scale_outputs(layer, weight, factor))
    layer.bias = nn.Parameter((bias - mean) * factor + beta)
    return beta.detach().clone(), gamma.detach().abs().clone()


def _scale_outputs(layer: nn.Module, weight: Tensor, factor: Tensor) -> Tensor:
    """Multiply each output channel of a weight by its factor, in the layout of the layer."""
    if isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        groups = layer.groups
        split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        per_group = factor.reshape(groups, 1, weight.shape[1], *([1] * (weight.dim() - 2)))
        return (split * per_group).reshape(weight.shape)
    return weight * factor.reshape(-1, *([1] * (weight.dim() - 1)))
