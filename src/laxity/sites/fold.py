"""Fold batch normalisation into the convolution or linear layer before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from laxity.sites.composites import replace_module
from laxity.sites.layers import plain_layer
from laxity.sites.trace import Call

Norms = dict[str, tuple[Tensor, Tensor]]


def fold_batch_norm(model: nn.Module, calls: Sequence[Call]) -> Norms:
    """Fold, in place, every batch norm whose input is the output of exactly one site and goes nowhere else.

    Norms stay where layer or norm run more than once, or where the weight is used elsewhere too or computed anew each
    time (parametrised).

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
    runs = Counter(c.owner for c in calls if c.kind != "other")
    norms: Norms = {}
    for call in calls:
        norm = modules.get(call.owner)
        source = makers.get(id(call.args[0])) if call.kind == "batch_norm" and call.args else None
        if source is None or not isinstance(norm, _BatchNorm) or norm.running_mean is None or runs[call.owner] != 1:
            continue
        layer = modules.get(source.owner)
        if layer is None or runs[source.owner] != 1 or not _foldable(layer, source, call, calls):
            continue
        norms[source.owner] = _absorb(layer, norm)
        replace_module(model, norm, nn.Identity())
    return norms


def _foldable(layer: nn.Module, source: Call, norm: Call, calls: Sequence[Call]) -> bool:
    """Whether the norm acts on the layer's output channels, and nothing else sees the layer's output or weight."""
    weight = layer._parameters.get("weight")
    if not plain_layer(layer) or weight is None or (source.kind == "linear" and source.output.dim() != 2):
        return False
    seen = [c for c in calls if c is not norm and c.owner != norm.owner and _mentions(c, source.output)]
    return not seen and not any(c is not source and _mentions(c, weight) for c in calls)


def _mentions(call: Call, tensor: Tensor) -> bool:
    return _holds([*call.args, *call.kwargs.values()], tensor)


def _holds(values: Iterable[Any], tensor: Tensor) -> bool:
    for value in values:
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
        if value is tensor or _holds(inner, tensor):
            return True
    return False


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
