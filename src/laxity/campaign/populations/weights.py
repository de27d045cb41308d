"""Bits, or words, of stored weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.population import POPULATIONS, Cells, Faults, IntArray, Part, Population, no_options
from laxity.campaign.reinference import Reinference
from laxity.campaign.weights import WeightEngine, WeightTrials
from laxity.core.errors import TaskError
from laxity.evaluation.injection import stored_words, struck_words
from laxity.evaluation.memory import WeightMemory, describe, weight_memories
from laxity.faults import FaultModel, IntegerLayout
from laxity.faults.protection import NOWHERE, Read

_TOP_EXPONENT = {"float32": 30, "bfloat16": 14, "float16": 14}
"""Bit whose flip turns a weight below 2 into one of 2**64 times its size and more, by format."""

_TOP_SHARE, _REST_SHARE = 0.5, 5e-4
"""Shares of faults that change a prediction, in that bit and in all others, rounded from the published campaigns of
ResNet-20, ResNet-32 and VGG-13 (dnn-benchmarks); they serve the plan of a campaign only."""

_CODE_SHARE = 0.005


@POPULATIONS.register("weights")
class Weights(Population):
    """Every bit of every stored weight is equally likely, or every word where the fault model strikes words.

    Check bits of protected weights are as likely as all others, and have cells of their own, whose `bit` is the number
    of bits of a weight. The top exponent bit of floating point is a stratum of its own, because it does nearly all
    harm.
    """

    kind: ClassVar[str] = "weights"

    def __init__(self, model: nn.Module, memories: list[WeightMemory], fault: FaultModel, example: Tensor) -> None:
        self._memories, self._fault = memories, fault
        bits = [m.width_bits if fault.unit == "bit" else 0 for m in memories]
        cells = Cells.grid([m.name for m in memories], [len(m.words) for m in memories], bits)
        self.cells = _with_checks(cells, [m for m in memories if len(m.words)], fault)
        self._memory = [k for k, m in enumerate(memories) if len(m.words)]
        self.draws = fault.draws_per_fault
        what = "bit" if fault.unit == "bit" else "word"
        self.statement = f"uniform over {self.cells.size} {what}s: {describe(memories)}"
        self._engine: WeightEngine | Reinference
        try:
            self._engine = WeightEngine(model, memories, example)
        except TaskError:  # what torch.fx cannot follow is run anew for every fault
            self._engine = Reinference(model, memories)
        self.exact = self._engine.exact

    @classmethod
    def of(cls, model: nn.Module, fault: FaultModel, example: Tensor, options: Mapping[str, Any]) -> Self:
        """See `Population.of`."""
        no_options(cls.kind, options)
        return cls(model, weight_memories(model, example[:1]), fault, example)

    def golden(self, inputs: Tensor) -> Any:
        """See `Population.golden`."""
        return self._engine.golden(inputs)

    def logits(self, faults: Faults, golden: Any) -> Tensor:
        """See `Population.logits`; faults that change no word that is read leave the logits as they are."""
        self.check(faults)
        read = self._read(faults)
        logits: Tensor = golden.logits[torch.from_numpy(faults.image)]
        some = np.flatnonzero(read.changed)
        if len(some):
            logits[torch.from_numpy(some)] = self._engine.run(read.trials(some, faults.image), golden)
        return logits

    def noticed(self, faults: Faults, golden: Any) -> NDArray[np.bool_]:
        """See `Population.noticed`; by the protection of the memory, or by what looks after the layer."""
        read = self._read(faults)
        found = read.noticed.copy()
        some = np.flatnonzero(read.changed)
        if len(some):
            found[some] |= self._engine.noticed(read.trials(some, faults.image), golden)
        return found

    def _read(self, faults: Faults) -> _Read:
        """What is read with every fault."""
        place = self.cells.place[faults.cell]
        found = _Read.nothing(np.array(self._memory, np.int64)[place])
        for number in np.unique(place):
            memory = self._memories[self._memory[number]]
            beside = (place == number) & (self.cells.bit[faults.cell] == memory.width_bits)
            for some, read in (
                (np.flatnonzero((place == number) & ~beside), _words),
                (np.flatnonzero(beside), _checks),
            ):
                if len(some):
                    one = Faults(faults.cell[some], faults.site[some], faults.random[some], faults.image[some])
                    found.put(some, memory, *read(memory, self._fault, one, self.cells.bit[one.cell]))
        return found

    def parts(self) -> tuple[Part, ...]:
        """See `Population.parts`."""
        if self._fault.unit != "bit":
            return super().parts()
        forms = [self._memories[m].form for m in self._memory]
        top = np.array([_TOP_EXPONENT.get(form, -1) for form in forms])[self.cells.place]
        high = np.flatnonzero(self.cells.bit == top)
        rest = np.flatnonzero(self.cells.bit != top)
        if not len(high):
            return (Part("all bits", tuple(rest.tolist()), _CODE_SHARE),)
        share = _CODE_SHARE if np.any(top < 0) else _REST_SHARE
        return (
            Part("top exponent bit", tuple(high.tolist()), _TOP_SHARE),
            Part("other bits", tuple(rest.tolist()), share),
        )


@dataclass(slots=True, eq=False)
class _Read:
    """Words that are read with faults, one or two for each.

    Attributes:
        memory: number of the memory, int64 (n,).
        word: which word, int64 (n,).
        words: what it is read as, uint64 (n,).
        other: another word that is changed, or `NOWHERE`, int64 (n,).
        others: what that is read as, uint64 (n,).
        noticed: there is an alarm, bool (n,).
        changed: any word is read otherwise than it was written, bool (n,).
    """

    memory: IntArray
    word: IntArray
    words: NDArray[np.uint64]
    other: IntArray
    others: NDArray[np.uint64]
    noticed: NDArray[np.bool_]
    changed: NDArray[np.bool_]

    @staticmethod
    def nothing(memory: IntArray) -> _Read:
        """Of n faults of which nothing is known yet."""
        n = len(memory)
        zeros, words, no = np.zeros(n, np.int64), np.zeros(n, np.uint64), np.zeros(n, np.bool_)
        return _Read(memory, zeros, words, np.full(n, NOWHERE, np.int64), words.copy(), no, no.copy())

    def trials(self, some: IntArray, image: IntArray) -> WeightTrials:
        """Some of the faults, with the images that all of them meet."""
        return WeightTrials(
            self.memory[some], self.word[some], self.words[some], image[some], self.other[some], self.others[some]
        )

    def put(self, some: IntArray, memory: WeightMemory, word: IntArray | None, read: Read) -> None:
        """Note what the struck words of a memory, or check words if None, are read as.

        Changes beyond the end of the memory have no effect.
        """
        self.noticed[some] = read.noticed
        stray = (read.place != NOWHERE) & (read.place < len(memory.words))
        place = np.where(stray, read.place, 0)
        others = np.where(stray, memory.words[place].astype(np.uint64) ^ read.mask, 0)
        own = np.zeros(len(some), np.bool_) if word is None else read.words != memory.words[word]
        self.changed[some] = own | stray
        alone = stray & ~own
        self.word[some] = np.where(alone, place, 0 if word is None else word)
        self.words[some] = np.where(alone, others, read.words)
        self.other[some] = np.where(stray & own, place, NOWHERE)
        self.others[some] = others


def _words(memory: WeightMemory, fault: FaultModel, faults: Faults, bits: IntArray) -> tuple[IntArray, Read]:
    """What is read where words are struck."""
    places = faults.site
    layout = memory.layout.at(places)
    struck = fault.strike(struck_words(fault, memory)[places], layout, bits, faults.random)
    if memory.protection is None:
        return places, Read.of(struck)
    lying = stored_words(fault, memory, struck, places)
    return places, memory.protection.read(memory.stored[places], lying, layout, places)


def _checks(memory: WeightMemory, fault: FaultModel, faults: Faults, bits: IntArray) -> tuple[None, Read]:
    """What is read where check words are struck."""
    assert memory.protection is not None  # it has check words
    width = memory.check_width
    number, bit = np.divmod(faults.site, width) if fault.unit == "bit" else (faults.site, bits)
    checks = memory.checks[number]
    flips = checks ^ fault.strike(checks, IntegerLayout(width), bit, faults.random)
    return None, memory.protection.read_checks(flips, number, memory.stored, memory.layout)


def _with_checks(cells: Cells, memories: Sequence[WeightMemory], fault: FaultModel) -> Cells:
    """The cells of all words, and behind those of each memory the cell of its check bits."""
    sites = [m.check_words * (m.check_width if fault.unit == "bit" else 1) for m in memories]
    extra = [k for k, n in enumerate(sites) if n]
    place = np.concatenate([cells.place, np.array(extra, np.int64)])
    bit = np.concatenate([cells.bit, np.array([memories[k].width_bits for k in extra], np.int64)])
    count = np.concatenate([cells.sites, np.array([sites[k] for k in extra], np.int64)])
    order = np.lexsort((bit, place))
    return Cells(cells.places, place[order], bit[order], count[order])
