"""The base class of what the GUARD slot holds: modules that look after what a layer computes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


class Place(enum.StrEnum):
    """Where a fault strikes, seen from one layer."""

    WEIGHTS = "weights"
    """A weight as it is stored; it stays wrong until it is written again."""
    INPUTS = "inputs"
    """An activation as it is stored before the layer reads it; every reader gets the wrong one."""
    COMPUTATION = "computation"
    """A product, a sum or an output of one execution; the next one is right."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What hardware that looks after a layer can see of n faults.

    Attributes:
        place: what was struck.
        differs: whether the layer gave another value than without the fault, bool (n,); all False where that is not
            wanted.
        changed: whether an activation that the layer reads is another one, bool (n,).
        residuals: sums over the output channels less what the checksum filter says, (n, checks), where they are wanted.
        bounds: what rounding alone can make of residuals, (n, checks); None where arithmetic is exact.
    """

    place: Place
    differs: Tensor
    changed: Tensor
    residuals: Tensor | None = None
    bounds: Tensor | None = None


class OutputGuard(nn.Module):
    """Content of the GUARD slot. Without a fault it passes outputs on, and it never gives the alarm in emulation.

    What a guard decides from belongs into buffers, whose shapes follow from the layer, so that saved models carry it.

    Attributes:
        calibrated: whether it wants to see outputs, or residuals, of calibration data.
        notices_faults: whether it ever gives an alarm.
        wants_residuals: whether it compares checksums.
        wants_differences: whether it compares values with those without a fault.
        off: outputs are passed on untouched, while the guard is being calibrated.
    """

    calibrated: ClassVar[bool] = False
    notices_faults: ClassVar[bool] = False
    wants_residuals: ClassVar[bool] = False
    wants_differences: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.off = False

    def forward(self, outputs: Tensor) -> Tensor:
        """Pass on float32 outputs of the layer, (batch, ...)."""
        return outputs if self.off else self.treated(outputs)

    def treated(self, outputs: Tensor) -> Tensor:
        """What is passed on, same shape and dtype."""
        return outputs

    def notices(self, evidence: Evidence) -> Tensor:
        """Which faults this guard notices, bool (n,)."""
        return torch.zeros_like(evidence.differs)

    def corrects(self, place: Place) -> bool:
        """Whether faults at a place that it notices are put right, so that nothing is lost but time."""
        return False
