"""The order in which layers are corrected from what they put out: each after everything that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from laxity.emulate.layer import EmulatedLayer

T = TypeVar("T")
Layer = TypeVar("Layer", bound=nn.Module)


@torch.no_grad()
def in_turn(model: nn.Module, layers: Sequence[EmulatedLayer], inputs: Tensor) -> list[list[EmulatedLayer]]:
    """Group layers so that all of a group can be corrected on the fly in one pass over the inputs.

    Layers that run once, one after the other, are one group. A layer that runs several times, in a recurrent network
    for instance, must not change between its runs and is a group of its own. Layers that do not run are left out where
    there is such a layer.

    Args:
        model: calibrated.
        layers: of the model.
        inputs: calibration inputs; they run only if a layer is known to run several times.

    Returns:
        Groups in order of execution.
    """
    if all(layer.site.op.calls == 1 for layer in layers):
        return [list(layers)] if layers else []
    groups: list[list[EmulatedLayer]] = []
    runs = {layer: len(outputs) for layer, outputs in gathered(model, layers, inputs, lambda *_: None).items()}
    for layer, count in runs.items():
        if count == 1 and groups and runs[groups[-1][0]] == 1:
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


@torch.no_grad()
def gathered(
    model: nn.Module,
    layers: Sequence[Layer],
    inputs: Tensor,
    take: Callable[[Layer, tuple[Any, ...], dict[str, Any], Tensor], T],
) -> dict[Layer, list[T]]:
    """What `take` makes of every run of some layers in one pass, by layer in the order of their first runs.

    Args:
        model: runs on the inputs.
        layers: of the model.
        inputs: of the model.
        take: called with layer, arguments, keyword arguments and output.
    """
    found: dict[Layer, list[T]] = {}

    def hook(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        found.setdefault(layer, []).append(take(layer, args, kwargs, output))

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(hook, with_kwargs=True).remove)
        model(inputs)
    return found


def by_channel(layer: nn.Module, values: Tensor) -> Tensor:
    """Values at the output of a layer by channel, float64 (channels, values)."""
    if isinstance(layer, EmulatedLayer):
        axis = -1 if layer.form.linear else -1 - len(layer.form.kernel)
    else:
        axis = -1 if isinstance(layer, nn.Linear) else 1
    return values.movedim(axis, 0).flatten(1).to(torch.float64)
