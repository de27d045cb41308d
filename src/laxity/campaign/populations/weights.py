"""Bits, or words, of stored weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from laxity.campaign.population import POPULATIONS, Cells, Faults, Part, Population, no_options
from laxity.campaign.reinference import Reinference
from laxity.campaign.weights import WeightEngine, WeightTrials
from laxity.core.errors import TaskError
from laxity.evaluation.memory import WeightMemory, describe, weight_memories
from laxity.faults import FaultModel

_TOP_EXPONENT = {"float32": 30, "bfloat16": 14, "float16": 14}
"""Bit whose flip turns a weight below 2 into one of 2**64 times its size and more, by format."""

_TOP_SHARE, _REST_SHARE = 0.5, 5e-4
"""Shares of faults that change a prediction, in that bit and in all others, rounded from the published campaigns of
ResNet-20, ResNet-32 and VGG-13 (dnn-benchmarks); they serve the plan of a campaign only."""

_CODE_SHARE = 0.005


@POPULATIONS.register("weights")
class Weights(Population):
    """Every bit of every stored weight is equally likely, or every word where the fault model strikes words.

    Bits are strata of their own where floating point is stored: its top exponent bit does nearly all harm.
    """

    kind: ClassVar[str] = "weights"

    def __init__(self, model: nn.Module, memories: list[WeightMemory], fault: FaultModel, example: Tensor) -> None:
        self._memories, self._fault = memories, fault
        bits = [m.width_bits if fault.unit == "bit" else 0 for m in memories]
        self.cells = Cells.grid([m.name for m in memories], [len(m.words) for m in memories], bits)
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
        """See `Population.logits`."""
        self.check(faults)
        place, bits = self.cells.place[faults.cell], self.cells.bit[faults.cell]
        words = np.zeros(len(faults), np.uint64)
        for number in np.unique(place):
            memory, some = self._memories[self._memory[number]], place == number
            stored, layout = memory.words[faults.site[some]], memory.layout.at(faults.site[some])
            words[some] = self._fault.strike(stored, layout, bits[some], faults.random[some])
        memory_of = np.array(self._memory, np.int64)[place]
        return self._engine.run(WeightTrials(memory_of, faults.site, words, faults.image), golden)

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
