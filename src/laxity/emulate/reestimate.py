"""Re-estimate gain and bias of layers, so that every output channel regains the mean and spread that it shall have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.turns import by_channel, gathered, in_turn
from laxity.sites.fold import Norms
from laxity.sites.layers import plain_layer
from laxity.sites.prepare import Prepared

_LIMIT = 4.0
_ROUNDS = 4
"""Passes for a layer that runs several times. Whole steps overshoot, because it is given what it has put out."""


@torch.no_grad()
def reestimate(model: nn.Module, norms: Norms, inputs: Tensor) -> None:
    """Correct gain and bias of layers so that their output channels regain a mean and a standard deviation.

    All inputs are a single batch. Each layer is corrected on the fly and passes corrected outputs on, as a batch norm
    in training mode would. Layers that run several times are corrected after a pass, by all of their runs together.

    Args:
        model: calibrated model, changed in place.
        norms: per site, mean and standard deviation that each output channel shall have: those that a folded batch norm
            prescribes, or `statistics` of another network.
        inputs: calibration inputs, float32 (n, ...).
    """
    layers = [m for m in emulated(model) if isinstance(m, EmulatedLayer) and m.site.name in norms]
    for group in in_turn(model, layers, inputs):
        if len(group) == 1:
            _alone(model, group[0], norms[group[0].site.name], inputs)
            continue
        with ExitStack() as stack:
            for layer in group:
                stack.callback(layer.register_forward_hook(_Correction(norms[layer.site.name])).remove)
            model(inputs)


def _alone(model: nn.Module, layer: EmulatedLayer, target: tuple[Tensor, Tensor], inputs: Tensor) -> None:
    """Correct one layer from whole passes: at once if it runs once, else half of what is missing in each pass."""
    for _ in range(_ROUNDS):
        outputs = gathered(model, [layer], inputs, lambda m, _args, _kwargs, out: by_channel(m, out)).get(layer, [])
        if not outputs:
            return
        rows = torch.cat(outputs, 1)
        _correct(layer, target, rows, halfway=len(outputs) > 1)
        if len(outputs) == 1:
            return


@torch.no_grad()
def statistics(model: nn.Module, names: Collection[str], inputs: Sequence[Tensor]) -> Norms:
    """Mean and standard deviation of each output channel as a model has them, for `reestimate` of another one.

    Of a layer that runs several times, they are of all of its runs.

    Args:
        model: calibrated, or the model of a `Prepared`.
        names: sites of interest; those that are no layers are left out.
        inputs: batches of calibration inputs.

    Returns:
        Per site, float32 (channels,) twice, with zeros for channels that the model has lost.
    """
    layers = _layers(model, names)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    seen = gathered(model, list(layers), torch.cat(list(inputs)), lambda m, _args, _kwargs, out: by_channel(m, out))
    for layer, outputs in seen.items():
        rows = torch.cat(outputs, 1)
        values = torch.stack([rows.mean(1), rows.std(1, correction=0)]).float()
        kept = layer.kept if isinstance(layer, EmulatedLayer) else None
        if kept is not None:
            full = values.new_zeros(2, max(kept) + 1)
            full[:, kept] = values
            values = full
        found[layers[layer]] = (values[0], values[1])
    return found


def _layers(model: nn.Module, names: Collection[str]) -> Mapping[nn.Module, str]:
    """Layers with weights at the named sites, emulated or not."""
    found: dict[nn.Module, str] = {}
    for path, module in model.named_modules():
        name = module.site.name if isinstance(module, EmulatedLayer) else path
        if name in names and (isinstance(module, EmulatedLayer) or plain_layer(module)):
            found[module] = name
    return found


def wanted_statistics(prepared: Prepared, inputs: Sequence[Tensor]) -> Norms:
    """What re-estimation shall restore: what batch norms prescribe, else what the original network has.

    A network without folded batch norms (recurrent layers, attention) says itself what its layers put out. Layers whose
    weights come with a functional call are left out.

    Args:
        prepared: the original network.
        inputs: batches of calibration inputs.
    """
    if prepared.norms:
        return prepared.norms
    return statistics(prepared.model, {site.name for site in prepared.sites}, inputs)


class _Correction:
    """Forward hook that corrects its layer from the output it has just produced."""

    def __init__(self, target: tuple[Tensor, Tensor]) -> None:
        self._target = target

    def __call__(self, layer: EmulatedLayer, _: Any, output: Tensor) -> Tensor:
        factor, offset = _correct(layer, self._target, by_channel(layer, output))
        shape = (-1,) if layer.form.linear else (-1, *([1] * (output.dim() - 2)))
        return output * factor.reshape(shape) + offset.reshape(shape)


def _correct(
    layer: EmulatedLayer, target: tuple[Tensor, Tensor], rows: Tensor, *, halfway: bool = False
) -> tuple[Tensor, Tensor]:
    """Change gain and bias so that outputs `rows` (channels, values) regain the target; returns what changes them.

    Halfway, the mean moves by half of the difference and the deviation by the root of the ratio.
    """
    mean, deviation = rows.mean(1).float(), rows.std(1, correction=0).float()
    want_mean, want_deviation = (t.to(mean) if layer.kept is None else t.to(mean)[layer.kept] for t in target)
    if halfway:
        want_mean, want_deviation = (want_mean + mean) / 2, (want_deviation * deviation).sqrt()
    alive = deviation > 1e-6
    factor = torch.where(alive, want_deviation / deviation.clamp_min(1e-6), torch.ones_like(mean))
    factor = factor.clamp(1 / _LIMIT, _LIMIT)
    offset = torch.where(alive, want_mean - mean * factor, torch.zeros_like(mean))
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias
    layer.gain.mul_(factor)
    layer.bias = nn.Parameter(bias * factor + offset, requires_grad=False)
    return factor, offset
