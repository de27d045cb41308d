"""Faults of neurons, that is of single activations, for scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from laxity.campaign.activations import ActivationTrials, ActivationWords
from laxity.campaign.scores.relevances import relevance_maps
from laxity.campaign.scores.score import FloatArray, IntArray, Struck, finite
from laxity.campaign.scores.slopes import Objective, felt, seen
from laxity.campaign.scores.weights import IMAGES
from laxity.core.errors import TaskError
from laxity.relevance.lrp.method import Method


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

        def changes(name: str, some: IntArray, values: Tensor, _: Tensor | None) -> Tensor:
            words = self._words[self.names.index(name)]
            after = words.corrupted(values, lambda w, bits: self._trials.corrupt(w, some, bits))
            return after.to(torch.float64) - words.corrupted(values, lambda w, _: w).to(torch.float64)

        return self._once("change", lambda: finite(self._at_places(self.model, changes, None)))

    def unit(self) -> IntArray:
        """See `Struck.unit`."""
        return self._trials.element

    def _slopes(self, objective: Objective) -> FloatArray:
        def slopes(_name: str, _some: IntArray, _values: Tensor, slope: Tensor | None) -> Tensor:
            assert slope is not None  # there is an objective
            return slope

        return self._at_places(self.reference, slopes, objective)

    def _relevances(self, method: Method) -> FloatArray:
        maps = relevance_maps(self.reference, self.names, self.inputs, self.first, method, self._where)
        found = np.zeros(len(self))
        for number, name in enumerate(self.names):
            some = np.flatnonzero(self.place == number)
            found[some] = maps[name].reshape(-1)[self._trials.element[some]]
        return found

    def _at_places(self, model: nn.Module, compute: object, objective: Objective | None) -> FloatArray:
        """Call ``compute(name, trials, values, derivatives)`` for the struck activations; one number per trial."""
        assert callable(compute)
        found = np.zeros(len(self))
        names = [self.names[number] for number in np.unique(self.place)]
        for images in torch.from_numpy(np.unique(self.image)).split(IMAGES):
            record = seen(model, names, self.inputs[images])
            stored = record.read if self._where == "input" else record.given
            wanted = {name: stored[name] for name in names}
            slopes = {} if objective is None else felt(record, objective, images, wanted)
            inside = np.isin(self.image, images.numpy())
            for name in names:
                some = np.flatnonzero(inside & (self.place == self.names.index(name)))
                if not len(some):
                    continue
                rows = torch.searchsorted(images, torch.from_numpy(self.image[some]))
                place = rows, torch.from_numpy(self._trials.element[some])
                values = stored[name].detach().flatten(1)[place]
                at = slopes[name].flatten(1)[place] if slopes else None
                found[some] = compute(name, some, values, at).to(torch.float64).numpy()
        return found
