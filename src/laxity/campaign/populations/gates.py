"""Stuck-at faults of gates in the multipliers of a systolic array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from laxity.campaign.elements import ElementEngine, ElementTrials
from laxity.campaign.gate_faults import UNSEEN, GateFaults
from laxity.campaign.population import NO_BIT, POPULATIONS, Cells, Faults, Part, Population
from laxity.campaign.replay import Golden
from laxity.campaign.systolic import ArrayNetwork, showing
from laxity.core.errors import ConfigError
from laxity.faults import FaultModel

_SHARES = (0.001, 0.02, 0.2)
"""Rough shares of faults that change a prediction, by thirds of the product's bits, the lowest first; they serve the
plan of a campaign only."""


@POPULATIONS.register("gates")
class Gates(Population):
    """Every stuck-at fault of the multiplier in every element is equally likely, and there in every cycle.

    A cell is a column of the array and a bit of the product: the one whose weight the mean absolute change of the
    product has, over operands that may occur in the network. How much harm a fault does is mostly said by that size,
    and which output channels it meets by the column. Faults that change no product of operands that may occur are a
    stratum of their own, proved to be harmless.

    Args:
        model: in evaluation mode.
        network: the same on an array.
        fault: says with which probability a fault shows in an inference.
        example: float32 (n, ...), at least three samples.
    """

    kind: ClassVar[str] = "gates"

    def __init__(self, model: nn.Module, network: ArrayNetwork, fault: FaultModel, example: Tensor) -> None:
        self.network, self.faults = network, GateFaults.of(network)
        self._fault, self._rows = fault, network.configuration.rows
        self._engine = ElementEngine(model, network, example)
        bits = np.unique(self.faults.size)
        self._of_bit = {int(bit): np.flatnonzero(self.faults.size == bit) for bit in bits}
        columns = network.configuration.columns
        self.cells = Cells(
            tuple(f"column {column}" for column in range(columns)),
            np.repeat(np.arange(columns, dtype=np.int64), len(bits)),
            np.tile(np.where(bits == UNSEEN, NO_BIT, bits), columns).astype(np.int64),
            np.tile([len(self._of_bit[int(bit)]) * self._rows for bit in bits], columns).astype(np.int64),
        )
        self.draws = int(fault.activity < 1)
        self.exact = True
        self.statement = self._statement()

    @classmethod
    def of(cls, model: nn.Module, fault: FaultModel, example: Tensor, options: Mapping[str, Any]) -> Self:
        """See `Population.of`; options are ``rows``, ``columns`` and ``dataflow``, as of the accelerator.

        Raises:
            TaskError: the accelerator does not compute the network, or a multiplier has no netlist.
            ConfigError: an unknown option, an array that is not possible, or another fault model than ``stuck_at``.
        """
        if fault.kind != "stuck_at":
            raise ConfigError(
                f"gates of multipliers are stuck at 0 or at 1, and a fault model {fault.kind!r} does not go with them; "
                "use 'stuck_at', whose value does not matter here, as both are in the population"
            )
        return cls(model, ArrayNetwork.of(model, example, options), fault, example)

    def _statement(self) -> str:
        configuration, faults = self.network.configuration, self.faults
        harmless = int((faults.size == UNSEEN).sum())
        circuits = ", ".join(faults.studies)
        elements = configuration.rows * configuration.columns
        return (
            f"uniform over {self.cells.size} pairs of one of {len(faults)} single stuck-at faults, at 0 and at 1, of "
            f"inputs and gate outputs of the multiplier ({circuits}; adders as gates) and one of {elements} processing "
            f"elements ({configuration.rows} x {configuration.columns}, {configuration.dataflow}), present during the "
            f"whole inference; {harmless} of the faults change no product of codes that may occur; faults outside of "
            "the multipliers, as in registers and adders, are left out"
        )

    def golden(self, inputs: Tensor) -> Golden:
        """See `Population.golden`."""
        return self._engine.golden(inputs)

    def elements(self, faults: Faults) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which fault of `faults` strikes in which row and column: int64 (n,) each."""
        bits = self.cells.bit[faults.cell]
        number = np.empty(len(faults), np.int64)
        for bit in np.unique(bits).tolist():
            some = bits == bit
            number[some] = self._of_bit[UNSEEN if bit == NO_BIT else bit][faults.site[some] // self._rows]
        return number, faults.site % self._rows, self.cells.place[faults.cell]

    def logits(self, faults: Faults, golden: Golden) -> Tensor:
        """See `Population.logits`."""
        self.check(faults)
        number, row, column = self.elements(faults)
        shown = (self.faults.size[number] != UNSEEN) & showing(self._fault, faults.random)
        logits = golden.logits.index_select(0, torch.from_numpy(faults.image))
        some = np.flatnonzero(shown)
        if len(some):
            names = np.array(list(self.faults.studies))
            struck = number[some]
            trials = ElementTrials(
                row[some], column[some], names[self.faults.circuit[struck]], struck, faults.image[some],
                self.faults.difference,
            )  # fmt: skip
            logits[torch.from_numpy(some)] = self._engine.run(trials, golden)
        return logits

    def parts(self) -> tuple[Part, ...]:
        """See `Population.parts`."""
        bits = self.cells.bit
        top = max(1, int(bits.max()))
        third = np.minimum(bits * len(_SHARES) // (top + 1), len(_SHARES) - 1)
        found = [Part("no change", tuple(np.flatnonzero(bits == NO_BIT).tolist()), 0.0, certified=True)]
        for number, share in enumerate(_SHARES):
            cells = np.flatnonzero((bits != NO_BIT) & (third == number))
            if len(cells):
                name = f"mean change of 2^{bits[cells].min()} to 2^{bits[cells].max() + 1}"
                found.append(Part(name, tuple(cells.tolist()), share))
        return tuple(part for part in found if part.cells)
