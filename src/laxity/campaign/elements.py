"""Trials in which one element of a systolic array multiplies wrongly, in every layer and for the whole inference."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.placed import Elements, FaultTable, PlacedLayer, SumChanges
from laxity.campaign.replay import BATCH, Golden, OnwardReplay
from laxity.campaign.systolic import ArrayNetwork
from laxity.core.program import Product
from laxity.emulate.layer import EmulatedLayer
from laxity.kernels import FusedProducts, Scaling
from laxity.techniques.data.codes import IntegerOperands

IntArray = NDArray[np.int64]

_CACHED_BYTES = 1 << 28

_WHOLE = 1 << 24
"""Whole numbers below this one are exact in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class ElementTrials:
    """Faulty elements and the images that meet them, one each.

    Attributes:
        row, column: of the element, int64 (n,).
        circuit: name of the multiplier that is faulty in it; layers that use another one are right; (n,).
        fault: equal for equal tables of products, int64 (n,).
        image: which sample, int64 (n,).
        difference: from `fault` to what products of bit patterns change by, int64 (2**a_bits, 2**b_bits).
    """

    row: IntArray
    column: IntArray
    circuit: NDArray[np.str_]
    fault: IntArray
    image: IntArray
    difference: Callable[[int], IntArray]

    def take(self, some: IntArray) -> ElementTrials:
        """Some of them."""
        return ElementTrials(
            self.row[some], self.column[some], self.circuit[some], self.fault[some], self.image[some], self.difference
        )


class ElementEngine:
    """Logits of a network with a faulty multiplier in one element of the array, another one for every sample.

    Every layer is computed with what its sums change by; layers up to the first one that changes are taken from the
    pass without faults.

    Args:
        model: in evaluation mode; it is not changed.
        network: the same on an array.
        example: float32 (n, ...), at least three samples.

    Raises:
        TaskError: the network cannot be replayed from its layers, or sums may not fit the hardware.
    """

    def __init__(self, model: nn.Module, network: ArrayNetwork, example: Tensor) -> None:
        self._layers = {
            name: _StruckLayer(network.layers[name], PlacedLayer.of(network, name)) for name in network.placements
        }
        self._replay = OnwardReplay(model, list(self._layers), example)
        self._cache: OrderedDict[tuple[object, ...], FaultTable] = OrderedDict()
        self._cached_bytes = 0

    def golden(self, inputs: Tensor) -> Golden:
        """The pass without faults."""
        return self._replay.golden(inputs)

    @torch.no_grad()
    def run(self, trials: ElementTrials, golden: Golden) -> Tensor:
        """Logits of every trial, float32 (n, classes), in whatever order.

        Args:
            trials: n of them.
            golden: of the inputs that `image` counts.
        """
        logits = golden.logits[torch.from_numpy(trials.image)]
        first = self._first_changes(trials, golden)
        order = np.argsort(first, kind="stable")
        changed = order[first[order] < len(self._layers)]
        for start in range(0, len(changed), BATCH):
            some = changed[start : start + BATCH]
            logits[torch.from_numpy(some)] = self._batch(int(first[some[0]]), trials.take(some), golden)
        return logits

    def _first_changes(self, trials: ElementTrials, golden: Golden) -> IntArray:
        """Number of the first layer one of whose sums changes, for each trial; that of layers if there is none."""
        found = np.full(len(trials.image), len(self._layers), np.int64)
        for number, (name, layer) in enumerate(self._layers.items()):
            left = np.flatnonzero((found == len(self._layers)) & (trials.circuit == layer.circuit))
            for start in range(0, len(left), BATCH):
                some = left[start : start + BATCH]
                own = trials.take(some)
                x = self._replay.input(name, golden, torch.from_numpy(own.image))
                changes = layer.placed.changes(x, *self._faulty(own, layer, _Tables()))
                found[some[changes.any().numpy()]] = number
        return found

    def _batch(self, first: int, trials: ElementTrials, golden: Golden) -> Tensor:
        rows, names, made = torch.from_numpy(trials.image), list(self._layers), _Tables()
        instead = {name: self._struck(name, trials, made) for name in names[first:]}
        x = self._replay.input(names[first], golden, rows)
        return self._replay.resume(names[first], instead[names[first]](x), golden, rows, instead)

    def _struck(self, name: str, trials: ElementTrials, made: _Tables) -> Callable[[Tensor], Tensor]:
        layer = self._layers[name]
        some = np.flatnonzero(trials.circuit == layer.circuit)

        def outputs(x: Tensor) -> Tensor:
            if not len(some):
                return layer.plain(x)
            given = torch.from_numpy(some)
            own = x if len(some) == len(x) else x[given]
            changes = layer.placed.changes(own, *self._faulty(trials.take(some), layer, made))
            return layer.outputs(x, given, changes)

        return outputs

    def _faulty(self, trials: ElementTrials, layer: _StruckLayer, made: _Tables) -> tuple[Elements, list[FaultTable]]:
        """Elements and tables of trials with faults of the layer's circuit; `made` is of the same trials."""
        faults, which = np.unique(trials.fault, return_inverse=True)
        if layer.placed.operands not in made:
            made[layer.placed.operands] = [self._table(int(fault), trials, layer.placed) for fault in faults]
        elements = Elements(*(torch.from_numpy(part) for part in (trials.row, trials.column, which)))
        return elements, made[layer.placed.operands]

    def _table(self, fault: int, trials: ElementTrials, placed: PlacedLayer) -> FaultTable:
        key = (fault, placed.operands)
        found = self._cache.get(key)
        if found is None:
            found = placed.table_of(trials.difference(fault))
            self._cached_bytes += found.nbytes
            while self._cached_bytes > _CACHED_BYTES and self._cache:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
            self._cache[key] = found
        self._cache.move_to_end(key)
        return found


class _Tables(dict[tuple[object, ...], list[FaultTable]]):
    """Tables of the faults of one batch, by the operands that they are for."""


class _StruckLayer:
    """A layer whose sums can be given what they change by."""

    def __init__(self, layer: EmulatedLayer, placed: PlacedLayer) -> None:
        self.layer, self.placed = layer, placed
        self.circuit = placed.placement.use.name
        self._unit = 2.0**-placed.placement.step.fraction_bits
        self._positions = placed.placement.positions
        self._fused = _unscaled(layer, placed.placement.step)

    def outputs(self, x: Tensor, some: Tensor, changes: SumChanges) -> Tensor:
        """Outputs of samples of which some have changed sums."""
        values = changes.values.flatten(1)
        sample, entry = values.nonzero(as_tuple=True)
        if not len(sample):
            return self.plain(x)
        sums = self._sums(x)
        flat = sums.reshape(len(x), -1)
        places = some[sample], changes.places(self._positions).expand(len(values), -1)[sample, entry]
        new = flat[places].to(torch.float64) + values[sample, entry] * self._unit
        flat[places] = new.to(flat.dtype)
        return self.layer.scaled(flat.view(sums.shape))

    def plain(self, x: Tensor) -> Tensor:
        """Outputs without faults."""
        found: Tensor = self.layer(x)
        return found

    def _sums(self, x: Tensor) -> Tensor:
        """Sums without faults in what holds them exactly."""
        if self._fused is not None:
            return self._fused(x)
        operand = self.layer.operand
        assert operand is not None  # layers on an array have one
        return self.layer.integer_sums(operand.input.codes(x)).to(torch.float64)


def _unscaled(layer: EmulatedLayer, step: Product) -> Callable[[Tensor], Tensor] | None:
    """The layer in one pass without scale, where float32 holds all of its sums; None where it does not."""
    kernel, unit = layer.products()
    operand, form = layer.operand, layer.form
    assert isinstance(operand, IntegerOperands)  # layers on an array have these
    quantiser = operand.input.quantiser()
    bound = max(-int(step.least_sums.min()), int(step.greatest_sums.max())) + int(abs(step.bias).max())
    plain = isinstance(kernel, FusedProducts) and operand.weight.symmetric and not operand.input.zeros[0]
    if not plain or bound >= _WHOLE or step.weight_zero.any():
        return None
    assert isinstance(kernel, FusedProducts)  # as has been asked
    codes, _, _ = layer.stored_codes()
    matrix = form.as_convolution(kernel.rows(codes))
    ready = kernel.ready(matrix, form.groups, 0)
    scaling = Scaling(torch.full((len(matrix),), unit), torch.ones(len(matrix)), None)
    return kernel.bind(quantiser, ready, form.values_geometry, scaling, layer.site.name, operand.input.zeros)
