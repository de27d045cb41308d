"""Take the mean error of approximate circuits out of the biases, which costs nothing in hardware."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer


@torch.no_grad()
def compensate(model: nn.Module, inputs: Sequence[Tensor], *, settled: Collection[str] = ()) -> dict[str, Tensor]:
    """Correct the bias of every layer with an approximate circuit by the mean error of each output channel.

    One pass over all inputs as a single batch. Each layer is run a second time with exact circuits on the very inputs
    that it gets, is corrected on the fly, and passes corrected outputs on, so that errors of earlier layers are not
    compensated twice. Of a layer that runs several times, the mean is over all of its runs. Products of two
    activations have no bias and stay as they are.

    Args:
        model: calibrated model, changed in place.
        inputs: batches of calibration inputs.
        settled: sites to leave alone, because their outputs have been corrected already.

    Returns:
        What was taken out of the biases, per site, float32 (outputs,).
    """
    hooks = {
        layer: _Compensation(layer)
        for layer in emulated(model)
        if isinstance(layer, EmulatedLayer)
        and layer.operand is not None
        and layer.site.name not in settled
        and (layer.multiplier is not None or layer.accumulator is not None)
    }
    with ExitStack() as stack:
        for layer, hook in hooks.items():
            stack.callback(layer.register_forward_hook(hook, with_kwargs=True).remove)
        if hooks:
            model(torch.cat(list(inputs)))
    return {layer.site.name: hook.mean for layer, hook in hooks.items()}


class _Compensation:
    """Forward hook that takes the mean of all errors so far out of its layer's bias."""

    def __init__(self, layer: EmulatedLayer) -> None:
        self._start, self._total, self._count = layer.bias, torch.zeros_like(layer.gain, dtype=torch.float64), 0

    @property
    def mean(self) -> Tensor:
        """Of the errors so far, float32 (outputs,)."""
        return (self._total / max(1, self._count)).float()

    def __call__(
        self, layer: EmulatedLayer, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor
    ) -> Tensor:
        axis = -1 if layer.form.linear else -1 - len(layer.form.kernel)
        exact = _exact(layer, args, kwargs)
        errors = (output.double() - exact.double()).movedim(axis, 0).flatten(1)
        self._total += errors.sum(1)
        self._count += errors.shape[1]
        if not bool(self._total.any()):
            return output
        before = torch.zeros_like(self.mean) if layer.bias is None else layer.bias
        start = torch.zeros_like(self.mean) if self._start is None else self._start
        layer.bias = nn.Parameter(start - self.mean, requires_grad=False)
        return output + (layer.bias - before).reshape(-1, *([1] * (-1 - axis)))


def _exact(layer: EmulatedLayer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """What the layer would put out with exact circuits."""
    circuits = layer.multiplier, layer.accumulator
    try:
        layer.multiplier = layer.accumulator = None
        return layer.forward(*args, **kwargs)
    finally:
        layer.multiplier, layer.accumulator = circuits
        layer.products()
