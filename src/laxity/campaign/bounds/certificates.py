"""Faults of stored weights that are proved to change no prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from laxity.campaign.bounds.linearised import Forced, Linearised
from laxity.campaign.scores.slopes import WeightPairs, unfolded
from laxity.campaign.scores.weights import weight_changes
from laxity.campaign.weights import WeightTrials
from laxity.core.errors import ConfigError, TaskError
from laxity.emulate.form import Form
from laxity.emulate.layer import EmulatedLayer
from laxity.evaluation.memory import WeightMemory

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

IMAGES = 8
STEP = 4.0
"""Ratio of neighbouring sizes of changes for which spreads are computed."""

LOWEST, HIGHEST = -14, 3
"""Powers of `STEP`, relative to the largest weight of a layer, of the least and greatest of these sizes."""


@dataclass(frozen=True, slots=True, eq=False)
class Certified:
    """Which pairs of fault and image are proved to be masked.

    Attributes:
        masked: by either proof, bool (n,).
        by_interval: the change of every logit is below half the margin, bool (n,).
        by_linear: the linear change, with a bound on the rest, leaves the predicted class ahead, bool (n,).
    """

    masked: BoolArray
    by_interval: BoolArray
    by_linear: BoolArray


def certified_masked(
    model: nn.Module, memories: Sequence[WeightMemory], trials: WeightTrials, inputs: Tensor, rounding: float = 1e-4
) -> Certified:
    """Prove, without injecting, that faults of stored weights leave predictions as they are.

    A weight that changes by dw changes each output p of its filter by exactly ``dw x_p``. Two proofs follow it:

    * intervals: a bound on the change of every value after the layer, by absolute weights, that knows which activations
      stay at 0; the prediction stays where every logit changes by less than half the margin.
    * linear: where no activation passes a kink and no maximum changes its place, the network is linear, and its change
      is ``dw`` times a derivative. What activations near a kink can add is bounded at each of them and carried to the
      logits by the derivatives: ``z_1 - z_c`` changes by at least ``dw dz/dw - sum_u |d(z_1 - z_c)/da_u| r_u``. The
      identity behind it is exact, for changes of any size.

    Args:
        model: in evaluation mode, of plain layers in floating point; it is not changed.
        memories: of the model.
        trials: the faults and their images.
        inputs: float32 (m, ...).
        rounding: fraction of the largest logit that is held back, because proofs are about real numbers and the network
            computes in float32.

    Raises:
        TaskError: a layer computes with codes, or the network has a part for which no bound is known.
        ConfigError: rounding is negative.
    """
    if rounding < 0:
        raise ConfigError(f"what is held back for rounding is not negative, as {rounding} is")
    count = len(trials.word)
    found = Certified(np.zeros(count, bool), np.zeros(count, bool), np.zeros(count, bool))
    faults = [_faults(model, memory, trials, number) for number, memory in enumerate(memories)]
    wanted = np.unique(trials.image)
    network: Linearised | None = None
    for start in range(0, len(wanted), IMAGES):
        images = wanted[start : start + IMAGES]
        filled = inputs[torch.from_numpy(np.resize(images, min(IMAGES, len(wanted))))]
        if network is None:
            network = Linearised(model, filled)
        else:
            network.look_at(filled)
        _Batch(network, model, rounding).certify(images, trials, faults, found)
    np.logical_or(found.by_interval, found.by_linear, out=found.masked)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Faults:
    """Faults of one memory: their layer, their numbers among the trials, places in the weight, changes."""

    name: str
    numbers: NDArray[np.int64]
    places: NDArray[np.int64]
    change: FloatArray


def _faults(model: nn.Module, memory: WeightMemory, trials: WeightTrials, number: int) -> _Faults:
    layer, some = model.get_submodule(memory.name), np.flatnonzero(trials.memory == number)
    if isinstance(layer, EmulatedLayer):
        raise TaskError(f"layer {memory.name!r} is emulated; certificates are about networks of plain layers")
    places, change = weight_changes(layer, memory, trials.word[some], trials.words[some])
    return _Faults(memory.name, some, places, change)


class _Batch:
    """Some images: derivatives of what separates their predicted class from every other one.

    Args:
        network: that has seen the images.
        model: of its layers.
        rounding: as in `certified_masked`.
    """

    def __init__(self, network: Linearised, model: nn.Module, rounding: float) -> None:
        self._network, self._model = network, model
        logits = network.logits
        order = logits.argsort(1, descending=True)
        self._margins = logits.gather(1, order[:, :1]) - logits.gather(1, order[:, 1:])
        self._slack = rounding * logits.abs().amax(1)
        with torch.enable_grad():
            outputs = network.outputs
            self._distances = (outputs.gather(1, order[:, :1]) - outputs.gather(1, order[:, 1:])).unbind(1)
        bend = list(network.bend)
        each = [network.derivatives(distance, bend) for distance in self._distances]
        self._felt = {name: torch.stack([row[i].abs() for row in each], 1) for i, name in enumerate(bend)}

    def certify(
        self, images: NDArray[np.int64], trials: WeightTrials, faults: Sequence[_Faults], found: Certified
    ) -> None:
        """Fill in what can be proved of the trials with these images."""
        for fault in faults:
            chosen = np.flatnonzero(np.isin(trials.image[fault.numbers], images))
            if not len(chosen):
                continue
            rows = torch.from_numpy(np.searchsorted(images, trials.image[fault.numbers[chosen]]))
            node = self._network.layer_node(fault.name)
            proofs = self._layer(fault, node, chosen, rows)
            found.by_interval[fault.numbers[chosen]], found.by_linear[fault.numbers[chosen]] = proofs

    def _layer(
        self, fault: _Faults, node: fx.Node, chosen: NDArray[np.int64], rows: Tensor
    ) -> tuple[BoolArray, BoolArray]:
        layer = self._model.get_submodule(fault.name)
        x = self._network.values[node.all_input_nodes[0].name].detach()
        change = torch.from_numpy(fault.change[chosen])
        weight: Tensor = layer.weight  # type: ignore[assignment]
        largest = float(weight.detach().abs().max())
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.ceil(np.log(np.abs(fault.change[chosen]) / largest) / np.log(STEP))
        level = np.where(np.isnan(level), np.inf, np.maximum(level, LOWEST))
        interval, linear = np.zeros(len(chosen), bool), np.zeros(len(chosen), bool)
        slopes: Tensor | None = None
        for power in np.unique(level[level <= HIGHEST]):
            errors, rest = self._spread(node, layer, x, largest * STEP ** float(power))
            by_interval = 2 * errors.amax(1) + self._slack < self._margins[:, 0]
            hopeful = (rest < 2 * self._margins).all(1) & (self._slack < self._margins[:, 0])
            if not bool(by_interval.any()) and not bool(hopeful.any()):
                break  # larger changes spread further
            if slopes is None:
                slopes = self._slopes(fault, node, layer, x, chosen, rows)
            some = torch.from_numpy(np.flatnonzero(level == power))
            at = rows[some]
            interval[some.numpy()] = by_interval[at].numpy()
            moved = self._margins[at] + slopes[some] * change[some, None] - rest[at]
            linear[some.numpy()] = (moved > self._slack[at, None]).all(1).numpy()
        return interval, linear

    def _spread(self, node: fx.Node, layer: nn.Module, x: Tensor, size: float) -> tuple[Tensor, Tensor]:
        """For a change of any one weight by at most so much: change of each logit, and what is not linear in it.

        Returns:
            float64 (n, classes), and by how much each distance to another class can shrink beyond its linear change,
            (n, classes - 1).
        """
        error = size * _largest_met(layer, x).expand(self._network.values[node.name].shape)
        reach = self._network.reach({node.name: Forced(error, None, not isinstance(layer, nn.Linear) or x.dim() == 2)})
        rest = torch.zeros_like(self._margins)
        for name, residual in reach.residuals.items():
            carried = (
                (self._felt[name] * residual.error[:, None]).flatten(3).sum(3)
                if residual.error.dim() > 2
                else (self._felt[name] * residual.error[:, None])
            )
            rest += carried.amax(2) if residual.single_channel else carried.sum(2)
        return reach.errors, rest

    def _slopes(
        self, fault: _Faults, node: fx.Node, layer: nn.Module, x: Tensor, chosen: NDArray[np.int64], rows: Tensor
    ) -> Tensor:
        """Derivative of the distance to each other class by the struck weight, float64 (n, classes - 1)."""
        pairs = WeightPairs(layer, torch.from_numpy(fault.places[chosen]))
        columns = []
        for distance in self._distances:
            (felt,) = self._network.derivatives(distance, [node.name])
            columns.append(pairs.products(x, felt, rows))
        return torch.stack(columns, 1)


def _largest_met(layer: nn.Module, x: Tensor) -> Tensor:
    """The largest absolute input that any weight meets at each output: (n, 1, ...), or (n, channels, ...) by groups."""
    form = Form.of(layer)
    if form.linear:
        return x.abs().amax(-1, keepdim=True)
    windows = unfolded(form.pad(x, 0.0).abs(), form.kernel, form.stride, form.dilation)
    largest = windows.amax(tuple(range(2, 2 + len(form.kernel))))
    if form.groups == 1:
        return largest.amax(1, keepdim=True)
    by_group = largest.unflatten(1, (form.groups, -1)).amax(2)
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return by_group.repeat_interleave(weight.shape[0] // form.groups, 1)
