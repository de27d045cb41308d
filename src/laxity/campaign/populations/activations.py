"""Bits, or words, of the activations that layers read, and values of neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.campaign.activations import ActivationEngine, ActivationTrials, FloatWords
from laxity.campaign.population import POPULATIONS, Cells, Faults, Part, Population, no_options
from laxity.core.errors import TaskError
from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.faults import FaultModel, Words
from laxity.sites.layers import MODULE_TYPES

_TOP_EXPONENT, _TOP_SHARE, _REST_SHARE, _CODE_SHARE = 30, 0.3, 2e-3, 0.01
"""Of float32, and rough shares of faults that change a prediction; they serve the plan of a campaign only."""


class _Activations(Population):
    """Values at one place of every layer.

    Attributes:
        where: ``input`` or ``output`` of a layer.
        noun: what is struck.
    """

    where: ClassVar[str]
    noun: ClassVar[str]

    def __init__(self, model: nn.Module, names: Sequence[str], fault: FaultModel, example: Tensor) -> None:
        self._fault = fault
        self._engine = ActivationEngine(model, names, example, self.where)
        words = self._engine.words
        elements = self._engine.elements(self._engine.golden(example[:1])).tolist()
        self.cells = Cells.grid(names, elements, [w.width_bits if fault.unit == "bit" else 0 for w in words])
        self._floats = np.array([isinstance(w, FloatWords) for w in words])
        self._layer = np.flatnonzero(np.array(elements))
        self.draws = fault.draws_per_fault
        self.exact = all(isinstance(m, EmulatedLayer) and m.operand is not None for m in _layers(model).values())
        forms = ", ".join(sorted({w.form for w in words}))
        what = "bit" if fault.unit == "bit" else "word"
        self.statement = (
            f"uniform over {self.cells.size} {what}s of {sum(elements)} {self.noun} of {len(names)} layers "
            f"({forms}), each struck once while one sample is processed"
        )

    @classmethod
    def of(cls, model: nn.Module, fault: FaultModel, example: Tensor, options: Mapping[str, Any]) -> Self:
        """See `Population.of`."""
        no_options(cls.kind, options)
        names = list(_layers(model))
        if not names:
            raise TaskError("the network has no convolution or linear layer whose activations could be struck")
        return cls(model, names, fault, example)

    def golden(self, inputs: Tensor) -> Any:
        """See `Population.golden`."""
        return self._engine.golden(inputs)

    def logits(self, faults: Faults, golden: Any) -> Tensor:
        """See `Population.logits`."""
        self.check(faults)
        return self._engine.run(self._trials(faults), golden)

    def noticed(self, faults: Faults, golden: Any) -> NDArray[np.bool_]:
        """See `Population.noticed`."""
        return self._engine.noticed(self._trials(faults), golden)

    def _trials(self, faults: Faults) -> ActivationTrials:
        place, bits = self._layer[self.cells.place[faults.cell]], self.cells.bit[faults.cell]

        def corrupt(words: Words, some: np.ndarray, _: int) -> Words:
            layout = self._engine.words[int(place[some[0]])].layout
            struck: Words = self._fault.strike(words, layout, bits[some], faults.random[some])
            return struck

        return ActivationTrials(place, faults.site, faults.image, corrupt)

    def parts(self) -> tuple[Part, ...]:
        """See `Population.parts`."""
        if self._fault.unit != "bit":
            return super().parts()
        floats = self._floats[self._layer[self.cells.place]]
        high = np.flatnonzero(floats & (self.cells.bit == _TOP_EXPONENT))
        rest = np.setdiff1d(np.arange(len(floats)), high)
        if not len(high):
            return (Part("all bits", tuple(rest.tolist()), _CODE_SHARE),)
        share = _REST_SHARE if floats.all() else _CODE_SHARE
        return (
            Part("top exponent bit", tuple(high.tolist()), _TOP_SHARE),
            Part("other bits", tuple(rest.tolist()), share),
        )


@POPULATIONS.register("activations")
class Activations(_Activations):
    """Every bit of every activation that a convolution or linear layer reads is equally likely."""

    kind: ClassVar[str] = "activations"
    where: ClassVar[str] = "input"
    noun: ClassVar[str] = "activations read"


@POPULATIONS.register("neurons")
class Neurons(_Activations):
    """Every output of every convolution or linear layer is equally likely, in all its bits."""

    kind: ClassVar[str] = "neurons"
    where: ClassVar[str] = "output"
    noun: ClassVar[str] = "outputs"


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    own = {id(m) for m in emulated(model)}
    return {n: m for n, m in model.named_modules() if id(m) in own or isinstance(m, MODULE_TYPES)}
