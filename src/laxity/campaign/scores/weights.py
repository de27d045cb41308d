"""Faults of stored weights, for scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from laxity.campaign.scores.relevances import relevance_maps
from laxity.campaign.scores.score import FloatArray, IntArray, Struck, finite
from laxity.campaign.scores.slopes import Objective, Seen, WeightPairs, felt, relative, seen
from laxity.campaign.weights import WeightTrials
from laxity.core.errors import TaskError
from laxity.emulate.layer import EmulatedLayer
from laxity.evaluation.memory import WeightMemory, weight_coder
from laxity.relevance.lrp.method import Method

_OfPairs = Callable[[Seen, str, WeightPairs, Tensor, IntArray], Tensor]
"""From a pass, a layer, its pairs, their samples in the pass and their numbers to a number for each, float64."""

IMAGES = 32
"""Images of one backward pass."""


class StruckWeights(Struck):
    """Single faults of stored weights.

    Args:
        model: in evaluation mode; it is not changed.
        memories: of the model.
        trials: the faults and their images.
        inputs: float32 (m, ...).
        reference: a network in floating point with layers of the same names, for models that compute with codes; by
            default the model itself.
        seed: root seed of scores that draw.

    Raises:
        TaskError: a struck layer of the reference is neither linear nor a convolution.
    """

    def __init__(
        self,
        model: nn.Module,
        memories: Sequence[WeightMemory],
        trials: WeightTrials,
        inputs: Tensor,
        reference: nn.Module | None = None,
        seed: int = 0,
    ) -> None:
        names = tuple(m.name for m in memories)
        super().__init__(model, reference or model, inputs, trials.image, trials.memory, names, seed)
        self._memories, self._trials = memories, trials
        self._groups = [np.flatnonzero(trials.memory == number) for number in range(len(names))]
        self._places = np.zeros(len(trials.word), np.int64)
        self._change = np.zeros(len(trials.word))
        self._pairs: list[WeightPairs | None] = []
        for memory, some in zip(memories, self._groups, strict=True):
            if not len(some):
                self._pairs.append(None)
                continue
            layer = model.get_submodule(memory.name)
            found = weight_changes(layer, memory, trials.word[some], trials.words[some])
            self._places[some], self._change[some] = found
            reference_layer = self.reference.get_submodule(memory.name)
            self._pairs.append(WeightPairs(reference_layer, torch.from_numpy(self._places[some])))

    def change(self) -> FloatArray:
        """See `Struck.change`; in units of weights, also where codes are stored."""
        return self._once("change", lambda: finite(self._change))

    def unit(self) -> IntArray:
        """See `Struck.unit`."""
        found = np.zeros(len(self), np.int64)
        for pairs, some in zip(self._pairs, self._groups, strict=True):
            if pairs is not None:
                found[some] = pairs.filters.numpy()
        return found

    def disturbance(self) -> FloatArray:
        """See `Struck.disturbance`."""

        def changes(record: Seen, name: str, pairs: WeightPairs, rows: Tensor, numbers: IntArray) -> Tensor:
            change = torch.from_numpy(np.abs(self.change()[numbers]))
            return relative(change * pairs.largest(record.read[name].detach(), rows), record.given[name], rows)

        return self._once("disturbance", lambda: self._of_pairs(changes, None))

    def _slopes(self, objective: Objective) -> FloatArray:
        def slopes(record: Seen, name: str, pairs: WeightPairs, rows: Tensor, _: IntArray) -> Tensor:
            return pairs.products(record.read[name].detach(), record.slopes[name], rows)

        return self._of_pairs(slopes, objective)

    def _of_pairs(self, compute: _OfPairs, objective: Objective | None) -> FloatArray:
        """Compute something for all pairs of some images and one layer at a time; one number per trial."""
        found = np.zeros(len(self))
        numbers = [number for number, pairs in enumerate(self._pairs) if pairs is not None]
        names = [self.names[number] for number in numbers]
        for images in torch.from_numpy(np.unique(self.image)).split(IMAGES):
            record = seen(self.reference, names, self.inputs[images])
            if objective is not None:
                record = felt(record, objective, images, {name: record.given[name] for name in names})
            inside = np.isin(self.image, images.numpy())
            for number, name in zip(numbers, names, strict=True):
                some = self._groups[number][inside[self._groups[number]]]
                if not len(some):
                    continue
                rows = torch.searchsorted(images, torch.from_numpy(self.image[some]))
                pairs = WeightPairs(self.reference.get_submodule(name), torch.from_numpy(self._places[some]))
                found[some] = compute(record, name, pairs, rows, some).numpy()
        return found

    def _relevances(self, method: Method) -> FloatArray:
        maps = relevance_maps(self.reference, self.names, self.inputs, self.first, method, "output", filters=True)
        units, found = self.unit(), np.zeros(len(self))
        for name, some in zip(self.names, self._groups, strict=True):
            found[some] = maps[name][units[some]]
        return found


@torch.no_grad()
def weight_changes(
    layer: nn.Module, memory: WeightMemory, word: IntArray, words: np.ndarray[tuple[int], np.dtype[np.uint64]]
) -> tuple[IntArray, FloatArray]:
    """Where single faults strike a weight, and by how much they change it.

    Args:
        layer: that reads the memory.
        memory: its weight memory.
        word: struck words, int64 (n,).
        words: what they are now, uint64 (n,).

    Returns:
        Places in the flattened weight, int64 (n,), and differences in units of weights, float64 (n,), which may be
        infinite or NaN.

    Raises:
        PlanError: the layer stores words of an unknown kind.
        TaskError: the layer has no weight.
    """
    places, values = memory.changed(word, words)
    if isinstance(layer, EmulatedLayer) and layer.operand is not None:
        return places, _code_changes(layer, places, values)
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        raise TaskError(f"a {type(layer).__name__} has no weight to strike")
    before = weight.detach().reshape(-1)[torch.from_numpy(places)].to(torch.float64)
    return places, (values.to(torch.float64) - before).numpy()


def _code_changes(layer: EmulatedLayer, places: IntArray, values: Tensor) -> FloatArray:
    """Every pass decodes the whole weight with at most one fault per place, as scales belong to places."""
    coder, weight = weight_coder(layer), layer.used_weight()
    codes, _, _ = layer.stored_codes()
    codes = codes if layer.forced_codes is None else layer.forced_codes
    scale, zero = coder.scale_and_zero(weight)
    plain = coder.stored(codes)
    before = coder.represent(weight, codes, scale, zero).reshape(-1).to(torch.float64)
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.searchsorted(ordered, ordered)
    turns = np.empty(len(places), np.int64)
    turns[order] = np.arange(len(places)) - first
    found = np.zeros(len(places))
    for turn in range(int(turns.max()) + 1 if len(turns) else 0):
        some = np.flatnonzero(turns == turn)
        where = torch.from_numpy(places[some])
        struck = plain.clone()
        struck.view(-1)[where] = values[some].to(struck.dtype)
        after = coder.represent(weight, coder.restored(struck), scale, zero).reshape(-1).to(torch.float64)
        found[some] = (after - before)[where].numpy()
    return found
