"""Derivatives of single samples with respect to weights and activations, many of them from one backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.core.errors import TaskError
from laxity.emulate.form import Form

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

Objective = Callable[[Tensor, Tensor], Tensor]
"""From logits (n, classes) and the numbers of the images, int64 (n,), to one number per image, (n,)."""

PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_PAIRS = 4096
"""Pairs whose windows are gathered at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One pass through a network.

    Attributes:
        read: what each layer reads, apart from what others read of the same tensor, by name.
        given: what each layer gives.
        logits: (n, classes).
        slopes: derivatives, where some were taken, by name of layer.
    """

    read: dict[str, Tensor]
    given: dict[str, Tensor]
    logits: Tensor
    slopes: dict[str, Tensor] = field(default_factory=dict)


def seen(model: nn.Module, names: Sequence[str], inputs: Tensor) -> Seen:
    """Run a network and keep what layers read and give; derivatives can be taken with respect to all of it.

    Raises:
        TaskError: a layer runs several times or never, or does not read the samples along its first dimension.
    """
    read: dict[str, Tensor] = {}
    given: dict[str, Tensor] = {}

    def before(name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        x = arguments[0]
        if name in read or len(x) != len(inputs):
            raise TaskError(f"layer {name!r} runs several times, or for other than one sample each; nothing is derived")
        read[name] = x if x.requires_grad else x.detach().requires_grad_()
        read[name] = read[name].clone()
        return (read[name], *arguments[1:])

    def after(name: str, output: Tensor) -> Tensor:
        given[name] = output
        return output.clone()  # what follows may change its input in place

    with torch.enable_grad(), ExitStack() as stack:
        for name in names:
            layer = model.get_submodule(name)
            hooks = (
                layer.register_forward_pre_hook(lambda _, given, name=name: before(name, given)),
                layer.register_forward_hook(lambda _layer, _given, output, name=name: after(name, output)),
            )
            for hook in hooks:
                stack.callback(hook.remove)
        logits = model(inputs)
    missing = [name for name in names if name not in given]
    if missing:
        raise TaskError(f"layer {missing[0]!r} does not run; derivatives need layers that run once")
    return Seen(read, given, logits)


@torch.enable_grad()
def felt(record: Seen, objective: Objective, images: Tensor, wanted: dict[str, Tensor]) -> Seen:
    """The pass with derivatives of each image's objective with respect to some of its tensors, by the same names.

    Args:
        record: of the pass.
        objective: of the logits.
        images: numbers of the images of the pass, int64.
        wanted: tensors of the pass whose first dimension counts the images.
    """
    found = torch.autograd.grad(objective(record.logits, images).sum(), list(wanted.values()))
    return replace(record, slopes=dict(zip(wanted, found, strict=True)))


class WeightPairs:
    """What one weight of a layer meets in one sample, for many pairs of both.

    Args:
        layer: linear, or a convolution that is not transposed.
        place: of each pair's weight in the flattened weight, int64 (n,).

    Raises:
        TaskError: a layer of another kind.
    """

    def __init__(self, layer: nn.Module, place: Tensor) -> None:
        if not isinstance(layer, PLAIN):
            raise TaskError(f"derivatives by single weights are not known for a {type(layer).__name__}")
        self._form, shape = Form.of(layer), layer.weight.shape
        self._kernel = tuple(shape[2:])
        index = np.unravel_index(place.numpy(), tuple(shape))
        self.filters, tap, *offsets = (torch.from_numpy(np.asarray(i)) for i in index)
        self._channels = tap + (self.filters // (shape[0] // self._form.groups)) * shape[1]
        self._offsets = offsets

    def windows(self, x: Tensor, rows: Tensor, some: slice | Tensor) -> Tensor:
        """Inputs that the weights of some pairs meet, one per output of their filter: (pairs, *outputs).

        Args:
            x: inputs of the layer, (n, ...).
            rows: which sample each of these pairs is of, int64.
            some: which pairs.
        """
        if self._form.linear:
            return x.movedim(-1, 1)[rows, self._channels[some]]
        view = unfolded(self._form.pad(x, 0.0), self._kernel, self._form.stride, self._form.dilation)
        return view[(rows, self._channels[some], *(o[some] for o in self._offsets))]

    def planes(self, given: Tensor, rows: Tensor, some: slice | Tensor) -> Tensor:
        """Values of outputs of the pairs' filters: (pairs, *outputs); as `windows`."""
        moved = given.movedim(-1, 1) if self._form.linear else given
        return moved[rows, self.filters[some]]

    def products(self, x: Tensor, given: Tensor, rows: Tensor) -> Tensor:
        """Sum over the outputs of what a weight meets times what stands at its filter's outputs, float64 (pairs,)."""
        found = torch.empty(len(rows), dtype=torch.float64)
        for some in torch.arange(len(rows)).split(_PAIRS):
            met = self.windows(x, rows[some], some) * self.planes(given, rows[some], some)
            found[some] = met.flatten(1).sum(1, dtype=torch.float64) if met.dim() > 1 else met.to(torch.float64)
        return found

    def largest(self, x: Tensor, rows: Tensor) -> Tensor:
        """The largest absolute input that a weight meets, float64 (pairs,); as `products`."""
        found = torch.empty(len(rows), dtype=torch.float64)
        for some in torch.arange(len(rows)).split(_PAIRS):
            met = self.windows(x, rows[some], some).abs()
            found[some] = (met.flatten(1).amax(1) if met.dim() > 1 else met).to(torch.float64)
        return found


def relative(change: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    """Changes in units of the largest absolute value of their sample; of the change itself where all values are 0.

    Args:
        change: not negative, float64 (pairs,).
        values: (n, ...).
        rows: which sample each change is of, int64 (pairs,).
    """
    largest = values.detach().abs().flatten(1).amax(1).to(torch.float64)[rows]
    return torch.where(largest > 0, change / torch.where(largest > 0, largest, 1.0), change)


def unfolded(x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """All windows of padded inputs as one view without copies: (n, channels, *kernel, *outputs)."""
    x = x.contiguous()
    outputs = [
        (size - d * (k - 1) - 1) // s + 1 for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    steps = x.stride()[2:]
    within = [step * d for step, d in zip(steps, dilation, strict=True)]
    across = [step * s for step, s in zip(steps, stride, strict=True)]
    return x.as_strided((*x.shape[:2], *kernel, *outputs), (*x.stride()[:2], *within, *across))
