"""Where samples and channels are in the outputs of sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Axes = dict[str, list[int]]
"""Per site, for each of its calls in one pass, the dimension of its output along which samples lie."""


def channel_axis(layer: nn.Module) -> int:
    """Dimension of a layer's output along which its channels lie, counted from the end.

    Weights of convolutions have two dimensions more than space has; linear layers are those of no space.
    """
    weight: Any = layer.weight
    return 1 - int(weight.dim())


def channel_count(layer: nn.Module) -> int:
    """Number of output channels of a convolution or linear layer."""
    count: Any = getattr(layer, "out_channels", None) or layer.out_features
    return int(count)


@contextmanager
def watched(layers: Mapping[str, nn.Module], see: Any) -> Iterator[None]:
    """Call ``see(name, output)`` for every output of a layer; what it returns takes the output's place, unless None."""
    with ExitStack() as stack:
        for name, layer in layers.items():
            hook = layer.register_forward_hook(lambda _layer, _inputs, output, name=name: see(name, output))
            stack.callback(hook.remove)
        yield


@torch.no_grad()
def sample_axes(model: nn.Module, layers: Mapping[str, nn.Module], example_input: Tensor) -> Axes | None:
    """Find along which dimension the samples of a batch lie in each output, by running one sample and two.

    Args:
        model: in eval mode.
        layers: its layers to look at.
        example_input: (1, ...).

    Returns:
        None where samples cannot be told apart, because they share a dimension with tokens, time steps or the like.
    """
    one = _shapes(model, layers, example_input)
    two = _shapes(model, layers, torch.cat([example_input, example_input]))
    axes: Axes = {}
    for name, shapes in one.items():
        others = two.get(name, [])
        if [len(s) for s in shapes] != [len(s) for s in others]:
            return None
        found = [_axis(*pair) for pair in zip(shapes, others, strict=True)]
        if None in found:
            return None
        axes[name] = [axis for axis in found if axis is not None]
    return axes


def _shapes(model: nn.Module, layers: Mapping[str, nn.Module], inputs: Tensor) -> dict[str, list[torch.Size]]:
    shapes: dict[str, list[torch.Size]] = {name: [] for name in layers}
    with watched(layers, lambda name, output: shapes[name].append(output.shape)):
        model(inputs.clone())
    return shapes


def _axis(one: torch.Size, two: torch.Size) -> int | None:
    changed = [axis for axis, (a, b) in enumerate(zip(one, two, strict=True)) if a != b]
    return changed[0] if len(changed) == 1 and (one[changed[0]], two[changed[0]]) == (1, 2) else None


def arranged(outputs: Sequence[Tensor], layer: nn.Module, axes: Sequence[int] | None) -> Tensor:
    """Outputs of all calls of a layer, or tensors of their shapes, as one (n, channels, positions).

    Args:
        outputs: one per call.
        layer: a convolution or linear layer.
        axes: of the samples, one per call; None where the outputs are those of a single sample.
    """
    channels = channel_axis(layer)
    parts = []
    for call, output in enumerate(outputs):
        if axes is None:
            parts.append(output.movedim(channels, 0).reshape(1, output.shape[channels], -1))
            continue
        moved = output.movedim((axes[call], output.dim() + channels), (0, 1))
        parts.append(moved.reshape(*moved.shape[:2], -1))
    return torch.cat(parts, 2)
