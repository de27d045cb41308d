"""Stuck-at faults of single cells: manufacturing defects, worn-out cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from laxity.core.errors import ConfigError
from laxity.faults.fault import FAULTS, FaultModel, Random
from laxity.faults.layout import IntArray, Layout
from laxity.faults.masks import one_bit
from laxity.faults.words import Words


@FAULTS.register("stuck_at")
@dataclass(frozen=True)
class StuckAt(FaultModel):
    """A struck bit always reads as `value`; it is an error only where the other value was stored.

    Attributes:
        value: 0 or 1.
    """

    kind: ClassVar[str] = "stuck_at"

    value: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.value) is not int or self.value not in (0, 1):
            raise ConfigError(f"value of 'stuck_at' is 0 or 1, not {self.value!r}")

    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """See `FaultModel.read`."""
        cell = one_bit(bits, words.dtype)
        stuck: Words = words | cell if self.value else words & ~cell
        return stuck
