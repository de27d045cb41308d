"""Faults of neurons, that is of single activations, for scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from laxity.campaign.activations import ActivationTrials, ActivationWords
from laxity.campaign.scores.relevances import relevance_maps
from laxity.campaign.scores.score import FloatArray, IntArray, Struck, finite
from laxity.campaign.scores.slopes import Objective, Seen, felt, relative, seen
from laxity.campaign.scores.weights import IMAGES
from laxity.core.errors import TaskError
from laxity.relevance.lrp.method import Method

_Place = tuple[Tensor, Tensor]
"""Samples in a pass, and elements of what is stored for each of them."""

_AtPlaces = Callable[[Seen, Tensor, str, IntArray, _Place], Tensor]
"""From a pass, what a layer stores in it, the layer, trials and their places to a number for each trial."""


class StruckNeurons(Struck):
    """Single faults of activations.

    Args:
        model: in evaluation mode; it is not changed.
        names: of its layers.
        words: how activations are stored there, as an `ActivationEngine` has them.
        trials: the faults and their images.
        inputs: float32 (m, ...).
        where: ``input``, what a layer reads, or ``output``, what it gives, as in `ActivationEngine`.
        reference: as in `StruckWeights`.
        seed: root seed of scores that draw.

    Raises:
        TaskError: a layer runs several times, or `where` is something else.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        words: Sequence[ActivationWords],
        trials: ActivationTrials,
        inputs: Tensor,
        where: str = "input",
        reference: nn.Module | None = None,
        seed: int = 0,
    ) -> None:
        if where not in {"input", "output"}:
            raise TaskError(f"activations are struck at the input or the output of a layer, not at {where!r}")
        super().__init__(model, reference or model, inputs, trials.image, trials.layer, tuple(names), seed)
        self._words, self._trials, self._where = words, trials, where

    def change(self) -> FloatArray:
        """See `Struck.change`."""

        def changes(_record: Seen, stored: Tensor, name: str, some: IntArray, place: _Place) -> Tensor:
            words, values = self._words[self.names.index(name)], stored.flatten(1)[place]
            after = words.corrupted(values, lambda w, bits: self._trials.corrupt(w, some, bits))
            return after.to(torch.float64) - words.corrupted(values, lambda w, _: w).to(torch.float64)

        return self._once("change", lambda: finite(self._at_places(self.model, changes, None)))

    def unit(self) -> IntArray:
        """See `Struck.unit`."""
        return self._trials.element

    def disturbance(self) -> FloatArray:
        """See `Struck.disturbance`."""

        def shares(_record: Seen, stored: Tensor, _name: str, some: IntArray, place: _Place) -> Tensor:
            return relative(torch.from_numpy(np.abs(self.change()[some])), stored, place[0])

        return self._once("disturbance", lambda: self._at_places(self.model, shares, None))

    def _slopes(self, objective: Objective) -> FloatArray:
        def slopes(record: Seen, _stored: Tensor, name: str, _some: IntArray, place: _Place) -> Tensor:
            return record.slopes[name].flatten(1)[place]

        return self._at_places(self.reference, slopes, objective)

    def _relevances(self, method: Method) -> FloatArray:
        maps = relevance_maps(self.reference, self.names, self.inputs, self.first, method, self._where)
        found = np.zeros(len(self))
        for number, name in enumerate(self.names):
            some = np.flatnonzero(self.place == number)
            found[some] = maps[name].reshape(-1)[self._trials.element[some]]
        return found

    def _at_places(self, model: nn.Module, compute: _AtPlaces, objective: Objective | None) -> FloatArray:
        """Compute something for the struck activations of some images and one layer at a time; one number per trial."""
        found = np.zeros(len(self))
        names = [self.names[number] for number in np.unique(self.place)]
        for images in torch.from_numpy(np.unique(self.image)).split(IMAGES):
            record = seen(model, names, self.inputs[images])
            stored = record.read if self._where == "input" else record.given
            if objective is not None:
                record = felt(record, objective, images, {name: stored[name] for name in names})
            inside = np.isin(self.image, images.numpy())
            for name in names:
                some = np.flatnonzero(inside & (self.place == self.names.index(name)))
                if not len(some):
                    continue
                rows = torch.searchsorted(images, torch.from_numpy(self.image[some]))
                place = rows, torch.from_numpy(self._trials.element[some])
                values = compute(record, stored[name].detach(), name, some, place)
                found[some] = values.to(torch.float64).numpy()
        return found
