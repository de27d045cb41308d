"""Bit flips in the registers of partial sums of a systolic array, at any time of an inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.guards import Verdict, watch_of
from laxity.campaign.population import POPULATIONS, Cells, Faults, Part, Population
from laxity.campaign.registers import LayerRegisters, Upset, sum_bits
from laxity.campaign.replay import Golden, Replay, batches_of
from laxity.campaign.systolic import ArrayNetwork, showing
from laxity.core.errors import ConfigError
from laxity.emulate.layer import EmulatedLayer
from laxity.faults import FaultModel
from laxity.techniques.guard import Place

_IDLE = "idle"

_SHARES = (0.0001, 0.002, 0.05)
"""Rough shares of faults that change a prediction, by thirds of the register's bits, the lowest first; they serve the
plan of a campaign only."""


@POPULATIONS.register("macs")
class Macs(Population):
    """Every bit of the sum register of every element in every cycle of an inference is equally likely to flip.

    A register that holds no sum which anybody reads in that cycle is idle: flips there are a stratum of their own,
    proved to be harmless. Places are layers, and ``idle``.

    Args:
        model: in evaluation mode.
        network: the same on an array.
        fault: says with which probability a fault shows.
        example: float32 (n, ...), at least three samples.
    """

    kind: ClassVar[str] = "macs"

    def __init__(self, model: nn.Module, network: ArrayNetwork, fault: FaultModel, example: Tensor) -> None:
        self.network, self._fault = network, fault
        self._bits, configuration = sum_bits(network), network.configuration
        self._names = list(network.placements)
        self._registers = [
            LayerRegisters(place, network.circuits[place.use.name].table, configuration, self._bits)
            for place in network.placements.values()
        ]
        self._watches = [watch_of(layer) for layer in network.layers.values()]
        self._replay = Replay(model, self._names, example)
        live = [registers.live for registers in self._registers]
        elements = configuration.rows * configuration.columns
        self.size = elements * network.schedule.cycles
        self.idle_share = 1 - sum(live) / self.size
        words = [*live, self.size - sum(live)]
        self.cells = Cells.grid([*self._names, _IDLE], words, [self._bits] * len(words))
        self.draws, self.exact = int(fault.activity < 1), True
        self.statement = (
            f"uniform over {self.cells.size} triples of one of {elements} processing elements ({configuration.rows} x "
            f"{configuration.columns}, {configuration.dataflow}), one of the {network.schedule.cycles} cycles of an "
            f"inference, and one of {self._bits} bits of the register of the element's partial sum, which flips once; "
            f"in {100 * self.idle_share:.1f} % of the cycles of all elements the register holds nothing that is read, "
            f"so the architectural vulnerability factor is at most {1 - self.idle_share:.4f}; registers of operands, "
            "results and control are left out"
        )

    @classmethod
    def of(cls, model: nn.Module, fault: FaultModel, example: Tensor, options: Mapping[str, Any]) -> Self:
        """See `Population.of`; options are ``rows``, ``columns`` and ``dataflow``, as of the accelerator.

        Raises:
            TaskError: the accelerator does not compute the network.
            ConfigError: an unknown option, an array that is not possible, or another fault model than ``bit_flip``.
        """
        if fault.kind != "bit_flip":
            raise ConfigError(f"bits of registers flip, and a fault model {fault.kind!r} does not; use 'bit_flip'")
        return cls(model, ArrayNetwork.of(model, example, options), fault, example)

    def golden(self, inputs: Tensor) -> Golden:
        """See `Population.golden`."""
        return self._replay.golden(inputs)

    def upset(self, cell: int, site: int) -> tuple[str, Upset] | None:
        """The layer and the register of a fault; None where it is idle."""
        place = self.cells.places[self.cells.place[cell]]
        if place == _IDLE:
            return None
        return place, self._registers[self._names.index(place)].upset(site)

    @torch.no_grad()
    def logits(self, faults: Faults, golden: Golden) -> Tensor:
        """See `Population.logits`."""
        self.check(faults)
        logits = golden.logits.index_select(0, torch.from_numpy(faults.image))
        for number, some in self._batches(faults):
            logits[torch.from_numpy(some)] = self._batch(number, faults, some, golden)
        return logits

    @torch.no_grad()
    def noticed(self, faults: Faults, golden: Golden) -> NDArray[np.bool_]:
        """See `Population.noticed`."""
        found = np.zeros(len(faults), np.bool_)
        for number, some in self._batches(faults):
            if self._watches[number] is not None:
                found[some] = self._judged(number, *self._struck(number, faults, some, golden)).noticed
        return found

    def _batches(self, faults: Faults) -> Iterator[tuple[int, np.ndarray]]:
        """Layers, and which faults strike a sum in them that is read."""
        place = self.cells.place[faults.cell]
        numbers = np.array([self._names.index(p) if p != _IDLE else len(self._names) for p in self.cells.places])
        struck = np.flatnonzero((numbers[place] < len(self._names)) & showing(self._fault, faults.random))
        for number, some in batches_of(numbers[place[struck]]):
            yield number, struck[some]

    def _batch(self, number: int, faults: Faults, some: np.ndarray, golden: Golden) -> Tensor:
        name, rows = self._names[number], torch.from_numpy(faults.image[some])
        x, places, sums = self._struck(number, faults, some, golden)
        y = _with_sums(self.network.layers[name], x, places, sums)
        logits = self._replay.resume(name, y, golden, rows)
        return self._judged(number, x, places, sums).settled(logits, golden.logits[rows])

    def _judged(self, number: int, x: Tensor, places: Tensor, sums: Tensor) -> Verdict:
        """What the guard of the layer makes of them."""
        watch = self._watches[number]
        if watch is None:
            return Verdict.nothing(len(x))
        layer = self.network.layers[self._names[number]]
        return watch.judge(Place.COMPUTATION, x, _sums(layer, x, places, sums[1]), before=_sums(layer, x))

    def _struck(self, number: int, faults: Faults, some: np.ndarray, golden: Golden) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of a layer; output and position of the struck sum; what it is without fault, and what is added."""
        name, registers = self._names[number], self._registers[number]
        layer, rows = self.network.layers[name], torch.from_numpy(faults.image[some])
        x = self._replay.input(name, golden, rows)
        assert layer.operand is not None  # layers on an array have one
        codes = layer.operand.input.codes(x).to(torch.int64).numpy()
        upsets = [registers.upset(int(site)) for site in faults.site[some]]
        bits = self.cells.bit[faults.cell[some]]
        pairs = [registers.change(u, int(b), c) for u, b, c in zip(upsets, bits, codes, strict=True)]
        places = torch.tensor([(u.output, u.position) for u in upsets]).T
        return x, places, torch.tensor(pairs, dtype=torch.float64).T

    def parts(self) -> tuple[Part, ...]:
        """See `Population.parts`."""
        idle = self.cells.place == self.cells.places.index(_IDLE)
        third = self.cells.bit * len(_SHARES) // self._bits
        found = [Part(_IDLE, tuple(np.flatnonzero(idle).tolist()), 0.0, certified=True)]
        for number, share in enumerate(_SHARES):
            cells = np.flatnonzero(~idle & (third == number))
            bits = self.cells.bit[cells]
            found.append(Part(f"register bits {bits.min()} to {bits.max()}", tuple(cells.tolist()), share))
        return tuple(found)


def _sums(layer: EmulatedLayer, x: Tensor, places: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """All sums of a layer, float64, with something added to one of each sample where that is given."""
    assert layer.operand is not None  # layers on an array have one
    every = layer.integer_sums(layer.operand.input.codes(x)).to(torch.float64)
    if places is not None and added is not None:
        every = every.contiguous().clone()
        every.view(len(x), layer.outputs, -1)[torch.arange(len(x)), places[0], places[1]] += added
    return every


def _with_sums(layer: EmulatedLayer, x: Tensor, places: Tensor, sums: Tensor) -> Tensor:
    """Outputs of a layer one of whose sums is another one in every sample.

    Args:
        layer: with integer operands.
        x: its inputs, float32 (n, ...).
        places: output and position of the sum, int64 (2, n).
        sums: without fault, and what is added, float64 (2, n).
    """
    samples, (outputs, positions) = torch.arange(len(x)), places
    if layer.guard is not None:  # it looks after whole outputs
        return layer.scaled(_sums(layer, x, places, sums[1]))
    y = layer(x)
    alone = torch.zeros(len(x), layer.outputs, dtype=torch.float64)
    alone[samples, outputs] = sums.sum(0)
    scaled = layer.scaled(alone.reshape(len(x), layer.outputs, *([1] * (y.dim() - 2))))
    found = y.reshape(len(x), layer.outputs, -1)
    found[samples, outputs, positions] = scaled.reshape(len(x), -1)[samples, outputs]
    return found.view(y.shape)
