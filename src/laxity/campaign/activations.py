"""Trials in which one activation that a layer reads, or one value that it gives, is another one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.guards import Verdict, watch_of
from laxity.campaign.replay import Golden, Replay, batches_of
from laxity.core.errors import PlanError, TaskError
from laxity.emulate.layer import EmulatedLayer
from laxity.faults import FLOAT32, IntegerLayout, Layout, Words, decode, encode
from laxity.techniques.data.codes import ActivationCode
from laxity.techniques.guard import Place

IntArray = NDArray[np.int64]
Corrupt = Callable[[Words, int], Words]
"""From stored words and their width in bits to what is read instead; keeps type and shape."""


class ActivationWords(ABC):
    """How the activations of one place are stored.

    Attributes:
        layout: what a word means.
        form: the number format, in words.
    """

    layout: Layout
    form: str

    @property
    def width_bits(self) -> int:
        """Bits per word."""
        return self.layout.width_bits

    @abstractmethod
    def corrupted(self, values: Tensor, corrupt: Corrupt) -> Tensor:
        """Values that are read where words are corrupted: float32 (n,) like the values that were stored."""


class CodeWords(ActivationWords):
    """Codes of an integer site."""

    def __init__(self, coder: ActivationCode) -> None:
        self._coder, self._signed = coder, coder.code_range[0] < 0
        self.layout = IntegerLayout(coder.bits, self._signed, int(coder.zero))
        self.form = f"{coder.bits}-bit {'sign-magnitude' if self._signed else 'unsigned'} integers"

    def corrupted(self, values: Tensor, corrupt: Corrupt) -> Tensor:
        """See `ActivationWords.corrupted`."""
        codes = self._coder.codes(values)
        words = corrupt(encode(codes.numpy(), self.width_bits, self._signed), self.width_bits)
        found = torch.from_numpy(decode(words, self.width_bits, self._signed)).to(torch.float32)
        return (found - self._coder.zero) * self._coder.scale


class FloatWords(ActivationWords):
    """32-bit floating point."""

    layout, form = FLOAT32, "float32"

    def corrupted(self, values: Tensor, corrupt: Corrupt) -> Tensor:
        """See `ActivationWords.corrupted`."""
        words = corrupt(values.contiguous().numpy().view(np.uint32), self.width_bits)
        return torch.from_numpy(words.view(np.float32).copy())


@dataclass(frozen=True, slots=True, eq=False)
class ActivationTrials:
    """Faults and the images that meet them, one each.

    Attributes:
        layer: number of the layer, int64 (n,).
        element: in the flattened activation of one sample, int64 (n,).
        image: which sample, int64 (n,).
        corrupt: from the words of some trials, numbered by the second argument, to what is read instead.
    """

    layer: IntArray
    element: IntArray
    image: IntArray
    corrupt: Callable[[Words, IntArray, int], Words]


@dataclass(frozen=True, slots=True, eq=False)
class _Struck:
    """Activations with faults.

    Attributes:
        rows: which samples, int64 (n,).
        stored: float32 (n, ...).
        changed: whether the struck word is read as another value, bool (n,).
    """

    rows: Tensor
    stored: Tensor
    changed: Tensor


class ActivationEngine:
    """Logits of a network under single faults in activations.

    Args:
        model: in evaluation mode; it is not changed.
        names: of the layers, as modules are called.
        example: float32 (n, ...), at least three samples.
        where: ``input``, what a layer reads, as the codes of an integer site or else as floating point; ``output``,
            what it gives, floating point.

    Raises:
        TaskError: the network cannot be replayed from its layers.
        PlanError: a site reads codes of an unknown kind, or gives values to codes, which cannot hold NaN.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], example: Tensor, where: str = "input") -> None:
        if where not in {"input", "output"}:
            raise TaskError(f"activations are struck at the input or the output of a layer, not at {where!r}")
        self._names, self._inputs = list(names), where == "input"
        self._layers = [model.get_submodule(name) for name in names]
        self.words = [_words(layer) if self._inputs else _float_words(layer) for layer in self._layers]
        self._watches = [watch_of(layer) for layer in self._layers]
        self._replay = Replay(model, names, example, () if self._inputs else names)

    def golden(self, inputs: Tensor) -> Golden:
        """The pass without faults."""
        return self._replay.golden(inputs)

    def elements(self, golden: Golden) -> IntArray:
        """How many activations of one sample each layer has at that place, int64 (layers,)."""
        first = torch.zeros(1, dtype=torch.int64)
        return np.array([self._stored(name, golden, first).numel() for name in self._names], dtype=np.int64)

    @torch.no_grad()
    def run(self, trials: ActivationTrials, golden: Golden) -> Tensor:
        """Logits of every trial, float32 (n, classes); as `WeightEngine.run`."""
        logits = golden.logits.new_empty(len(trials.image), *golden.logits.shape[1:])
        for number, some in batches_of(trials.layer):
            logits[torch.from_numpy(some)] = self._batch(number, trials, some, golden)
        return logits

    @torch.no_grad()
    def noticed(self, trials: ActivationTrials, golden: Golden) -> NDArray[np.bool_]:
        """Trials in which what looks after the layer gives the alarm, and does not correct, (n,)."""
        found = np.zeros(len(trials.image), np.bool_)
        for number, some in batches_of(trials.layer):
            if self._watches[number] is not None:
                found[some] = self._judged(number, self._struck(number, trials, some, golden), golden).noticed
        return found

    def _stored(self, name: str, golden: Golden, rows: Tensor) -> Tensor:
        read = self._replay.input if self._inputs else self._replay.output
        return read(name, golden, rows)

    def _batch(self, number: int, trials: ActivationTrials, some: IntArray, golden: Golden) -> Tensor:
        struck = self._struck(number, trials, some, golden)
        layer = self._layers[number]
        if self._inputs:
            outputs = layer(struck.stored)
        else:
            guard = layer.guard if isinstance(layer, EmulatedLayer) else None
            outputs = struck.stored if guard is None else guard(struck.stored)
        logits = self._replay.resume(self._names[number], outputs, golden, struck.rows)
        return self._judged(number, struck, golden).settled(logits, golden.logits[struck.rows])

    def _struck(self, number: int, trials: ActivationTrials, some: IntArray, golden: Golden) -> _Struck:
        """What is stored where one word of each trial is struck."""
        words = self.words[number]
        rows = torch.from_numpy(trials.image[some])
        stored = self._stored(self._names[number], golden, rows).contiguous()
        flat = stored.view(len(rows), -1)
        place = torch.arange(len(rows)), torch.from_numpy(trials.element[some])
        before = flat[place]
        flat[place] = words.corrupted(before, lambda w, bits: trials.corrupt(w, some, bits))
        as_read = words.corrupted(before, lambda w, _: w)
        changed = flat[place].view(torch.int32) != as_read.view(torch.int32)
        return _Struck(rows, stored, changed)

    def _judged(self, number: int, struck: _Struck, golden: Golden) -> Verdict:
        """What the guard of the layer says."""
        watch, name = self._watches[number], self._names[number]
        if watch is None:
            return Verdict.nothing(len(struck.rows))
        if self._inputs:
            return watch.judge(Place.INPUTS, struck.stored, watch.values(struck.stored), changed=struck.changed)
        x, before = self._replay.input(name, golden, struck.rows), self._stored(name, golden, struck.rows)
        return watch.judge(Place.COMPUTATION, x, struck.stored, before=before)


def _words(layer: Any) -> ActivationWords:
    if not isinstance(layer, EmulatedLayer) or layer.operand is None:
        return FloatWords()
    if not isinstance(layer.operand.input, ActivationCode):
        raise PlanError(
            f"site {layer.site.name!r} reads activations of a format whose words are not known; faults in activations "
            "strike integer codes and float32"
        )
    return CodeWords(layer.operand.input)


def _float_words(layer: Any) -> ActivationWords:
    if isinstance(layer, EmulatedLayer) and layer.operand is not None:
        raise PlanError(
            f"site {layer.site.name!r} computes with codes, and what it gives is stored as codes of the next one; "
            "strike inputs (population 'activations') instead"
        )
    return FloatWords()
