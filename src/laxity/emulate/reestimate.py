"""Re-estimate what folded batch norms prescribe: mean and spread of every output channel."""

from __future__ import annotations

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


class _Correction:
    """Forward hook that corrects its layer from the output it has just produced."""

    def __init__(self, target: tuple[Tensor, Tensor]) -> None:
        self._target = target

    def __call__(self, layer: EmulatedLayer, _: Any, output: Tensor) -> Tensor:
        rows = output.movedim(output.dim() - 1 if layer.form.linear else 1, 0).flatten(1).to(torch.float64)
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
