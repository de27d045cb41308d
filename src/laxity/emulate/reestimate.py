"""Re-estimate what folded batch norms prescribe: mean and spread of every output channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.sites.fold import Norms

_LIMIT = 4.0


@torch.no_grad()
def reestimate(model: nn.Module, norms: Norms, inputs: Tensor) -> None:
    """Correct gain and bias of folded layers so that their outputs regain mean beta and deviation abs(gamma).

    One pass over all inputs as a single batch: each layer is corrected on the fly and passes corrected outputs on, as
    a batch norm in training mode would.

    Args:
        model: calibrated model, changed in place.
        norms: per site, the prescribed mean and standard deviation of each output channel.
        inputs: calibration inputs, float32 (n, ...).
    """
    handles = []
    for layer in emulated(model):
        target = norms.get(layer.site.name)
        if isinstance(layer, EmulatedLayer) and target is not None:
            handles.append(layer.register_forward_hook(_Correction(target)))
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def statistics(model: nn.Module, names: Collection[str], inputs: Sequence[Tensor]) -> Norms:
    """Mean and standard deviation of each output channel as a model has them, for `reestimate` of another one.

    Args:
        model: calibrated.
        names: sites of interest; those that are no layers are left out.
        inputs: batches of calibration inputs.

    Returns:
        Per site, float32 (channels,) twice, with zeros for channels that the model has lost.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(layer: EmulatedLayer, _: Any, output: Tensor) -> None:
        rows = _by_channel(layer, output)
        values = torch.stack([rows.mean(1), rows.std(1, correction=0)]).float()
        if layer.kept is not None:
            full = values.new_zeros(2, max(layer.kept) + 1)
            full[:, layer.kept] = values
            values = full
        found[layer.site.name] = (values[0], values[1])

    with ExitStack() as stack:
        for layer in emulated(model):
            if isinstance(layer, EmulatedLayer) and layer.site.name in names:
                stack.callback(layer.register_forward_hook(watch).remove)
        model(torch.cat(list(inputs)))
    return found


def _by_channel(layer: EmulatedLayer, output: Tensor) -> Tensor:
    """Values of an output by channel, float64 (channels, values)."""
    return output.movedim(output.dim() - 1 if layer.form.linear else 1, 0).flatten(1).to(torch.float64)


class _Correction:
    """Forward hook that corrects its layer from the output it has just produced."""

    def __init__(self, target: tuple[Tensor, Tensor]) -> None:
        self._target = target

    def __call__(self, layer: EmulatedLayer, _: Any, output: Tensor) -> Tensor:
        rows = _by_channel(layer, output)
        mean, deviation = rows.mean(1).float(), rows.std(1, correction=0).float()
        want_mean, want_deviation = (t.to(mean) if layer.kept is None else t.to(mean)[layer.kept] for t in self._target)
        alive = deviation > 1e-6
        factor = torch.where(alive, want_deviation / deviation.clamp_min(1e-6), torch.ones_like(mean))
        factor = factor.clamp(1 / _LIMIT, _LIMIT)
        offset = torch.where(alive, want_mean - mean * factor, torch.zeros_like(mean))
        bias = torch.zeros_like(mean) if layer.bias is None else layer.bias
        layer.gain.mul_(factor)
        layer.bias = nn.Parameter(bias * factor + offset, requires_grad=False)
        shape = (-1,) if layer.form.linear else (-1, *([1] * (output.dim() - 2)))
        return output * factor.reshape(shape) + offset.reshape(shape)
