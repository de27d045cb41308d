"""The plain way: the struck weight is written, the whole network runs, the weight is written back.

For networks that cannot be replayed from their layers, and as the reference that everything faster is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.guards import watch_of
from laxity.campaign.weights import WeightTrials
from laxity.core.errors import TaskError
from laxity.evaluation.memory import WeightMemory


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """The pass without faults.

    Attributes:
        inputs: float32 (n, ...).
        logits: float32 (n, classes).
    """

    inputs: Tensor
    logits: Tensor


class Reinference:
    """Logits of a network under single faults in its weights, one fault after the other.

    Args:
        model: in evaluation mode; each of its memories is written to and restored.
        memories: of the model.

    Raises:
        TaskError: a layer has a guard that gives alarms.
    """

    exact = False

    def __init__(self, model: nn.Module, memories: Sequence[WeightMemory]) -> None:
        watched = next((name for name, m in model.named_modules() if watch_of(m) is not None), None)
        if watched is not None:
            raise TaskError(
                f"layer {watched!r} gives alarms, which are known only in networks that torch.fx can follow, and it "
                "cannot follow this one; use range restriction or protected memories there"
            )
        self._model, self._memories = model, memories

    @torch.no_grad()
    def golden(self, inputs: Tensor) -> Whole:
        """The pass without faults, sample by sample as faults are."""
        return Whole(inputs, torch.cat([self._model(x.clone()) for x in inputs.split(1)]))

    def noticed(self, trials: WeightTrials, golden: Whole) -> NDArray[np.bool_]:
        """As `laxity.campaign.weights.WeightEngine.noticed`: no layer gives alarms."""
        del golden
        return np.zeros(len(trials.word), np.bool_)

    @torch.no_grad()
    def run(self, trials: WeightTrials, golden: Whole) -> Tensor:
        """As `laxity.campaign.weights.WeightEngine.run`."""
        logits = golden.logits.new_empty(len(trials.word), *golden.logits.shape[1:])
        order = np.lexsort((trials.words, trials.word, trials.memory))
        for i in order.tolist():
            memory = self._memories[trials.memory[i]]
            try:
                memory.write(trials.written(i, memory.words))
                logits[i] = self._model(golden.inputs[trials.image[i]][None].clone())[0]
            finally:
                memory.restore()
        return logits
