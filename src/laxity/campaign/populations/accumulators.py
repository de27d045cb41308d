"""Bits of the finished sums of integer layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.guards import Verdict, watch_of
from laxity.campaign.population import POPULATIONS, Cells, Faults, Part, Population
from laxity.campaign.replay import Golden, Replay, batches_of
from laxity.core.errors import ConfigError, TaskError
from laxity.core.registry import did_you_mean
from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.faults import FaultModel
from laxity.faults.twos_complement import TwosComplement
from laxity.techniques.data.codes import IntegerOperands
from laxity.techniques.guard import Place

WIDTH_BITS = 32
"""Of an accumulator, where no other width is asked for."""

_SHARE = 0.1


@POPULATIONS.register("accumulators")
class Accumulators(Population):
    """Every bit of every finished sum of an integer layer is equally likely, before it is scaled and the bias added.

    Sums, zero-points taken off, stand in registers of ``width`` bits (option, 32), in two's complement, and wrap there.
    Partial sums on their way through an array are the population ``macs``.
    """

    kind: ClassVar[str] = "accumulators"

    def __init__(self, model: nn.Module, fault: FaultModel, example: Tensor, width: int) -> None:
        self._layout, self._fault = TwosComplement(width), fault
        self._layers = [m for m in emulated(model) if isinstance(m, EmulatedLayer) and _sums(m)]
        if not self._layers:
            raise TaskError("the network has no integer layer whose sums could be struck; give it an OPERAND choice")
        modules = {id(m): name for name, m in model.named_modules()}
        self._names = [modules[id(layer)] for layer in self._layers]
        self._watches = [watch_of(layer) for layer in self._layers]
        self._replay = Replay(model, self._names, example)
        golden, first = self._replay.golden(example[:1]), torch.zeros(1, dtype=torch.int64)
        sums = [self._golden_sums(k, golden, first) for k in range(len(self._layers))]
        for name, held in zip(self._names, sums, strict=True):
            if not torch.equal(held, held.round()):
                raise TaskError(f"sums of layer {name!r} have bits below the unit of codes; their words are not known")
        counts = [held.numel() for held in sums]
        self.cells = Cells.grid(self._names, counts, [width if fault.unit == "bit" else 0] * len(counts))
        self.draws, self.exact = fault.draws_per_fault, True
        what = "bit" if fault.unit == "bit" else "word"
        self.statement = (
            f"uniform over {self.cells.size} {what}s of {sum(counts)} sums of {len(counts)} integer layers, "
            f"{width}-bit two's complement, each struck once while one sample is processed, when it is finished"
        )

    @classmethod
    def of(cls, model: nn.Module, fault: FaultModel, example: Tensor, options: Mapping[str, Any]) -> Self:
        """See `Population.of`."""
        for name in options:
            if name != "width":
                raise ConfigError(f"faults in accumulators have no option {name!r}{did_you_mean(name, ['width'])}")
        width = options.get("width", WIDTH_BITS)
        if not isinstance(width, int) or isinstance(width, bool):
            raise ConfigError(f"width of accumulators is a number of bits, not {width!r}")
        return cls(model, fault, example, width)

    def golden(self, inputs: Tensor) -> Golden:
        """See `Population.golden`."""
        return self._replay.golden(inputs)

    @torch.no_grad()
    def logits(self, faults: Faults, golden: Any) -> Tensor:
        """See `Population.logits`."""
        self.check(faults)
        logits: Tensor = golden.logits.new_empty(len(faults), *golden.logits.shape[1:])
        for number, some in batches_of(self.cells.place[faults.cell]):
            rows = torch.from_numpy(faults.image[some])
            sums, verdict = self._struck(number, faults, some, golden)
            outputs = self._layers[number].scaled(sums)
            found = self._replay.resume(self._names[number], outputs, golden, rows)
            logits[torch.from_numpy(some)] = verdict.settled(found, golden.logits[rows])
        return logits

    @torch.no_grad()
    def noticed(self, faults: Faults, golden: Any) -> NDArray[np.bool_]:
        """See `Population.noticed`."""
        found = np.zeros(len(faults), np.bool_)
        for number, some in batches_of(self.cells.place[faults.cell]):
            if self._watches[number] is not None:
                found[some] = self._struck(number, faults, some, golden)[1].noticed
        return found

    def _struck(self, number: int, faults: Faults, some: np.ndarray, golden: Golden) -> tuple[Tensor, Verdict]:
        """Sums of a layer with one fault each, and the verdict on them."""
        rows, watch = torch.from_numpy(faults.image[some]), self._watches[number]
        before = self._golden_sums(number, golden, rows).to(torch.float64).contiguous()
        sums = before.clone()
        flat = sums.view(len(rows), -1)
        at = torch.arange(len(rows)), torch.from_numpy(faults.site[some])
        held = self._wrapped(flat[at].numpy())
        bits = self.cells.bit[faults.cell[some]]
        words = self._fault.strike(self._layout.words(held), self._layout, bits, faults.random[some])
        # What wraps without a fault is the network's own affair: only the difference that the fault makes is added.
        flat[at] += torch.from_numpy(self._layout.values(words) - held)
        if watch is None:
            return sums, Verdict.nothing(len(some))
        x = self._replay.input(self._names[number], golden, rows)
        return sums, watch.judge(Place.COMPUTATION, x, sums, before=before)

    def parts(self) -> tuple[Part, ...]:
        """See `Population.parts`."""
        return (Part("all", tuple(range(len(self.cells.sites))), _SHARE),)

    def _golden_sums(self, number: int, golden: Golden, rows: Tensor) -> Tensor:
        layer = self._layers[number]
        assert isinstance(layer.operand, IntegerOperands)  # chosen for that
        with torch.no_grad():
            return layer.integer_sums(layer.operand.input.codes(self._replay.input(self._names[number], golden, rows)))

    def _wrapped(self, sums: np.ndarray) -> np.ndarray:
        size = float(1 << self._layout.bits)
        return np.asarray((sums + size / 2) % size - size / 2, dtype=np.float64)


def _sums(layer: EmulatedLayer) -> bool:
    return isinstance(layer.operand, IntegerOperands)
