"""Trials in which one stored weight of the network is another one, many of them in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.guards import Verdict, watch_of
from laxity.campaign.replay import Golden, Replay, batches_of
from laxity.campaign.struck import Changes, struck_layer
from laxity.core.errors import TaskError
from laxity.evaluation.memory import WeightMemory
from laxity.faults import Words
from laxity.faults.protection import NOWHERE
from laxity.techniques.guard import Place

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WeightTrials:
    """Faults and the images that meet them, one each.

    Attributes:
        memory: which weight memory, int64 (n,).
        word: which word of it, int64 (n,).
        words: what the word is now, uint64 (n,).
        image: which sample, int64 (n,).
        other: another word of the memory that changes with it, or `NOWHERE`, int64 (n,); None where none does.
        others: what it is now, uint64 (n,).
    """

    memory: IntArray
    word: IntArray
    words: NDArray[np.uint64]
    image: IntArray
    other: IntArray | None = None
    others: NDArray[np.uint64] | None = None

    @property
    def pairs(self) -> NDArray[np.bool_]:
        """Which change two words, (n,)."""
        return np.zeros(len(self.word), np.bool_) if self.other is None else self.other != NOWHERE

    def written(self, trial: int, words: Words) -> Words:
        """All words of the memory of one trial, from those without faults."""
        found = words.copy()
        found[self.word[trial]] = self.words[trial]
        if self.other is not None and self.others is not None and self.other[trial] != NOWHERE:
            found[self.other[trial]] = self.others[trial]
        return found


class WeightEngine:
    """Logits of a network under single faults in its weights.

    Args:
        model: in evaluation mode; neither it nor its memories are changed, but for the time of trials that change two
            words of a memory at once.
        memories: of the model.
        example: float32 (n, ...), at least three samples.

    Attributes:
        exact: logits of a fault are the same in every batch, bit for bit.

    Raises:
        TaskError: the network cannot be replayed from its layers.
    """

    def __init__(self, model: nn.Module, memories: Sequence[WeightMemory], example: Tensor) -> None:
        names = [m.name for m in memories]
        modules = dict(model.named_modules())
        missing = next((name for name in names if name not in modules), None)
        if missing is not None:
            raise TaskError(f"weight {missing!r} belongs to a function, not to a layer, and cannot be replayed from")
        self._memories, self._modules = memories, [modules[name] for name in names]
        self._layers = [struck_layer(modules[name]) for name in names]
        self._watches = [watch_of(modules[name]) for name in names]
        kept = [n for n, layer in zip(names, self._layers, strict=True) if layer.keeps_outputs]
        self._replay = Replay(model, names, example, kept)
        self.exact = all(layer.exact for layer in self._layers)

    def golden(self, inputs: Tensor) -> Golden:
        """The pass without faults."""
        return self._replay.golden(inputs)

    @torch.no_grad()
    def run(self, trials: WeightTrials, golden: Golden) -> Tensor:
        """Logits of every trial, float32 (n, classes).

        Args:
            trials: in any order.
            golden: of the inputs that `image` counts.
        """
        logits = golden.logits.new_empty(len(trials.word), *golden.logits.shape[1:])
        pairs = trials.pairs
        single = np.flatnonzero(~pairs)
        for number, some in batches_of(trials.memory[single]):
            logits[torch.from_numpy(single[some])] = self._batch(number, trials, single[some], golden)
        for trial in np.flatnonzero(pairs).tolist():
            logits[trial] = self._pair(trials, trial, golden)[0]
        return logits

    @torch.no_grad()
    def noticed(self, trials: WeightTrials, golden: Golden) -> NDArray[np.bool_]:
        """Trials in which what looks after the struck layer gives the alarm, and does not correct, (n,)."""
        found = np.zeros(len(trials.word), np.bool_)
        pairs = trials.pairs
        single = np.flatnonzero(~pairs)
        for number, some in batches_of(trials.memory[single]):
            if self._watches[number] is not None:
                found[single[some]] = self._struck(number, trials, single[some], golden)[1].noticed
        for trial in np.flatnonzero(pairs).tolist():
            found[trial] = self._written(trials, trial, golden)[1].noticed[0]
        return found

    def _pair(self, trials: WeightTrials, trial: int, golden: Golden) -> Tensor:
        """Logits with both words written."""
        number, rows = int(trials.memory[trial]), torch.from_numpy(trials.image[trial : trial + 1])
        outputs, verdict = self._written(trials, trial, golden)
        logits = self._replay.resume(self._memories[number].name, outputs, golden, rows)
        return verdict.settled(logits, golden.logits[rows])

    def _written(self, trials: WeightTrials, trial: int, golden: Golden) -> tuple[Tensor, Verdict]:
        """Outputs of the layer with both words written, and what its guard says."""
        number, rows = int(trials.memory[trial]), torch.from_numpy(trials.image[trial : trial + 1])
        memory, layer, watch = self._memories[number], self._modules[number], self._watches[number]
        x = self._replay.input(memory.name, golden, rows)
        before = watch.values(x) if watch is not None else None
        try:
            memory.write(trials.written(trial, memory.words))
            outputs = layer(x)
            values = watch.values(x) if watch is not None else None
        finally:
            memory.restore()
        if watch is None or values is None:
            return outputs, Verdict.nothing(1)
        return outputs, watch.judge(Place.WEIGHTS, x, values, before=before)

    def _batch(self, number: int, trials: WeightTrials, some: IntArray, golden: Golden) -> Tensor:
        rows = torch.from_numpy(trials.image[some])
        values, verdict = self._struck(number, trials, some, golden)
        outputs = self._layers[number].outputs(values)
        logits = self._replay.resume(self._memories[number].name, outputs, golden, rows)
        return verdict.settled(logits, golden.logits[rows])

    def _struck(self, number: int, trials: WeightTrials, some: IntArray, golden: Golden) -> tuple[Tensor, Verdict]:
        """What the layer gives before it is scaled and guarded, and what its guard says."""
        memory, layer, watch = self._memories[number], self._layers[number], self._watches[number]
        rows = torch.from_numpy(trials.image[some])
        x = self._replay.input(memory.name, golden, rows)
        golden_outputs = self._replay.output(memory.name, golden, rows) if layer.keeps_outputs else None
        values = layer.values(x, golden_outputs, self._changes(memory, trials.word[some], trials.words[some]))
        if watch is None:
            return values, Verdict.nothing(len(some))
        before = None
        if watch.wants_differences:  # in the same way, so that rounding is the same
            unchanged = self._changes(memory, trials.word[some], memory.words[trials.word[some]])
            before = layer.values(x, golden_outputs, unchanged)
        return values, watch.judge(Place.WEIGHTS, x, values, before=before)

    @staticmethod
    def _changes(memory: WeightMemory, word: IntArray, words: Words) -> Changes:
        places, values = memory.changed(word, words)
        return Changes(torch.from_numpy(places), values)
