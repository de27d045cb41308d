"""Prepared forms of a layer: kept from call to call until the layer changes, or taken for granted during one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from laxity.kernels import native
from laxity.kernels.call import Layer


class Bound(NamedTuple):
    """A layer with its present weights, their scales, float32 (outputs,) or (1,), and the quantiser of its input."""

    call: Layer
    scale: Tensor
    quantiser: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A layer with its present weights, and what it was made from, to tell when it is out of date."""

    bound: Bound
    parts: tuple[object, ...]
    sources: tuple[Tensor, ...]
    fingerprint: int | None

    @classmethod
    def of(cls, bound: Bound, parts: tuple[object, ...], sources: tuple[Tensor, ...]) -> Prepared:
        """A layer made from objects, and from tensors with their present contents."""
        dense = all(t.is_contiguous() for t in sources)
        return cls(bound, parts, sources, native.fingerprint(sources) if dense else None)

    def made_from(self, parts: tuple[object, ...], sources: tuple[Tensor, ...]) -> bool:
        """Whether these are the same objects, and tensors whose contents have not changed."""
        return (
            len(self.sources) == len(sources)
            and all(map(is_, self.parts, parts))
            and all(map(is_, self.sources, sources))
            and self.fingerprint is not None
            and self.fingerprint == native.fingerprint(sources)
        )


class Trainable(Protocol):
    """What a steady call needs of a linear layer."""

    def __call__(self, x: Tensor) -> Tensor:
        """Compute, whatever the input is like."""

    def trains(self) -> bool:
        """Whether a parameter wants gradients."""

    def smooth_weight(self, scale: Tensor | None = None) -> Tensor:
        """What the weight codes stand for."""

    def with_gradients(self, exact: Tensor, x: Tensor, smooth_weight: Tensor) -> Tensor:
        """The exact values with gradients."""


def steady_call(layer: Trainable, bound: Bound, inputs: int) -> Callable[[Tensor], Tensor]:
    """A linear layer for one forward pass, in which it does not change.

    Args:
        layer: the layer itself, which takes inputs that do not fit.
        bound: the layer with its present weights.
        inputs: channels that it takes.
    """
    call, trains, smooth_weight = bound.call, layer.trains(), None

    def run(x: Tensor) -> Tensor:
        nonlocal smooth_weight
        if not (x.dtype is torch.float32 and x.is_cpu and x.dim() == 2 and x.shape[1] == inputs):
            return layer(x)
        if not (torch.is_grad_enabled() and (trains or x.requires_grad)):
            return call(x)
        if smooth_weight is None:
            smooth_weight = layer.smooth_weight(bound.scale)
        with torch.no_grad():
            exact = call(x)
        return layer.with_gradients(exact, x, smooth_weight)

    return run


def watched(module: nn.Module) -> bool:
    """Whether a call of a module does more than its forward method: hooks run, or a compiled form."""
    hooks = (
        module._forward_pre_hooks,
        module._forward_hooks,
        module._backward_pre_hooks,
        module._backward_hooks,
        module._compiled_call_impl,
    )
    return any(hooks) or _has_any_global_hook()
