"""Take the mean error of approximate circuits out of the biases, which costs nothing in hardware."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.turns import by_channel, gathered, in_turn

_ROUNDS = 3
"""Passes for a layer that runs several times: what it is given depends on what it puts out."""


@torch.no_grad()
def compensate(model: nn.Module, inputs: Sequence[Tensor], *, settled: Collection[str] = ()) -> dict[str, Tensor]:
    """Correct the bias of every layer with an approximate circuit by the mean error of each output channel.

    All inputs are a single batch. Each layer is run a second time with exact circuits on the very inputs that it gets,
    is corrected on the fly, and passes corrected outputs on, so that errors of earlier layers are not compensated
    twice. A layer that runs several times is corrected after a pass, by the mean over all of its runs. Products of two
    activations have no bias and stay as they are.

    Args:
        model: calibrated model, changed in place.
        inputs: batches of calibration inputs.
        settled: sites to leave alone, because their outputs have been corrected already.

    Returns:
        What was taken out of the biases, per site, float32 (outputs,).
    """
    layers = [
        layer
        for layer in emulated(model)
        if isinstance(layer, EmulatedLayer)
        and layer.operand is not None
        and layer.site.name not in settled
        and (layer.multiplier is not None or layer.accumulator is not None)
    ]
    batch = torch.cat(list(inputs))
    means = {layer.site.name: torch.zeros_like(layer.gain) for layer in layers}
    for group in in_turn(model, layers, batch):
        if len(group) == 1:
            means[group[0].site.name] = _alone(model, group[0], batch)
            continue
        hooks = {layer: _Compensation() for layer in group}
        with ExitStack() as stack:
            for layer, hook in hooks.items():
                stack.callback(layer.register_forward_hook(hook, with_kwargs=True).remove)
            model(batch)
        means.update({layer.site.name: hook.mean for layer, hook in hooks.items() if hook.mean is not None})
    return means


def _alone(model: nn.Module, layer: EmulatedLayer, inputs: Tensor) -> Tensor:
    """Compensate one layer from whole passes; returns the mean that was taken out."""
    start, mean = layer.bias, torch.zeros_like(layer.gain)
    for _ in range(_ROUNDS):
        errors = gathered(model, [layer], inputs, _errors).get(layer, [])
        if errors:
            mean = torch.cat(errors, 1).mean(1).float()
            _take_out(layer, start, mean)
        if len(errors) < 2:
            break
    return mean


class _Compensation:
    """Forward hook that takes the mean of the errors of one run out of its layer's bias.

    Attributes:
        mean: of the errors, float32 (outputs,), or None before it has run.
    """

    def __init__(self) -> None:
        self.mean: Tensor | None = None

    def __call__(
        self, layer: EmulatedLayer, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor
    ) -> Tensor:
        self.mean = _errors(layer, args, kwargs, output).mean(1).float()
        _take_out(layer, layer.bias, self.mean)
        return output - self.mean.reshape(-1, *([1] * (0 if layer.form.linear else len(layer.form.kernel))))


def _take_out(layer: EmulatedLayer, bias: Tensor | None, mean: Tensor) -> None:
    if bool(mean.any()):
        layer.bias = nn.Parameter((torch.zeros_like(mean) if bias is None else bias) - mean, requires_grad=False)


def _errors(layer: EmulatedLayer, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor) -> Tensor:
    """Of one run, what the layer put out less what it would with exact circuits, float64 (outputs, values)."""
    circuits = layer.multiplier, layer.accumulator
    try:
        layer.multiplier = layer.accumulator = None
        exact = layer.forward(*args, **kwargs)
    finally:
        layer.multiplier, layer.accumulator = circuits
        layer.products()
    return by_channel(layer, output) - by_channel(layer, exact)
