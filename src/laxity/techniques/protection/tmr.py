"""MEMORY: bits, or whole words, that are stored three times and voted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand, Protection
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.faults.layout import IntArray, Layout
from laxity.faults.protection import Bits, CodedProtection
from laxity.faults.words import Words
from laxity.techniques.context import BuildContext, Layer
from laxity.techniques.protection.words import stored_bits

MOST_BITS = 32
"""Bits of a word that can be stored three times."""


@TECHNIQUES.register("tmr_bits")
@dataclass(frozen=True)
class TmrBits(Approximation):
    """Some bits of every stored weight are stored three times, and read by majority vote.

    Attributes:
        top: so many of the most significant bits, 1 to 32, the sign among them.
        bits: which bits instead, 0 the least significant, for example ``30`` or ``30,29``; empty for `top`.
    """

    kind: ClassVar[str] = "tmr_bits"
    slot: ClassVar[Slot] = Slot.MEMORY

    top: int = 1
    bits: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.top <= MOST_BITS:
            raise PlanError(f"top of 'tmr_bits' must be between 1 and {MOST_BITS}, not {self.top}")
        given = [part.strip() for part in self.bits.split(",")] if self.bits else []
        if not all(part.isdecimal() for part in given) or len({*map(int, given)}) != len(given):
            raise PlanError(
                f"bits of 'tmr_bits' are different bit numbers with commas between them, such as '30,29', not "
                f"{self.bits!r}"
            )
        if len(given) > MOST_BITS:
            raise PlanError(f"bits of 'tmr_bits' names {len(given)} bits; {MOST_BITS} can be stored three times")

    def label(self) -> str:
        """For example ``TMR top 2`` or ``TMR bits 30``."""
        return f"TMR bits {self.bits}" if self.bits else f"TMR top {self.top}"

    def positions(self, width_bits: int) -> tuple[int, ...]:
        """The bits of a word that are stored three times, increasing; some may lie beyond a narrow word."""
        if self.bits:
            return tuple(sorted(int(part) for part in self.bits.split(",")))
        return tuple(range(width_bits - self.top, width_bits))

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Protect the memory.

        Raises:
            PlanError: words of a site do not have these bits.
        """
        for layer in layers:
            width = stored_bits(layer, self.kind)
            positions = self.positions(width)
            if positions[0] < 0 or positions[-1] >= width:
                raise PlanError(
                    f"site {layer.site.name!r} stores weights of {width} bits, of which {self.label()!r} is no part; "
                    f"name bits from 0 to {width - 1}"
                )
            layer.memory = VotedStorage(positions)

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """One to three of the most significant bits."""
        return [cls(top) for top in (1, 2, 3)]

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Two more copies of these bits, and a voter for each where weights are read."""
        return voted(demand, len(self.positions(demand.weight_bits)))


@TECHNIQUES.register("tmr")
@dataclass(frozen=True)
class Tmr(Approximation):
    """Stored weights are stored three times, and read by majority vote of each bit."""

    kind: ClassVar[str] = "tmr"
    slot: ClassVar[Slot] = Slot.MEMORY

    def label(self) -> str:
        """``TMR``."""
        return "TMR"

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Protect the memory.

        Raises:
            PlanError: words of a site have more than 32 bits, or several widths.
        """
        for layer in layers:
            width = stored_bits(layer, self.kind)
            if width > MOST_BITS:
                raise PlanError(
                    f"site {layer.site.name!r} stores weights of {width} bits, and 'tmr' votes on {MOST_BITS} at most; "
                    "use 'secded', or 'tmr_bits' with fewer bits"
                )
            layer.memory = VotedStorage(tuple(range(width)))

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Two more copies, and a voter for each bit where weights are read."""
        return voted(demand, demand.weight_bits)


def voted(demand: Demand, count: int) -> Demand:
    """The demand with so many bits of each weight stored three times."""
    return replace(demand, protection=Protection(f"majority{demand.weight_bits}x{count}", 1, 2 * count))


@dataclass(frozen=True, slots=True)
class VotedStorage(CodedProtection):
    """Two more copies of some bits of each word.

    Check word 2 i is the second copy of the bits of word i, the least significant first, 2 i + 1 the third.

    Attributes:
        positions: of these bits, increasing.
    """

    positions: tuple[int, ...]

    @property
    def form(self) -> str:
        """See `StorageProtection.form`."""
        least, most = self.positions[0], self.positions[-1]
        near = len(self.positions) > 2 and most - least == len(self.positions) - 1
        return f"bits {f'{least} to {most}' if near else ', '.join(map(str, self.positions))} stored three times"

    def group(self, width_bits: int) -> int:
        """See `CodedProtection.group`."""
        return 1

    def check_width(self, width_bits: int) -> int:
        """See `StorageProtection.check_width`."""
        return len(self.positions)

    def check_words(self, words: int, width_bits: int) -> int:
        """See `StorageProtection.check_words`."""
        return 2 * words

    def check_places(self, numbers: IntArray, words: int, width_bits: int) -> tuple[IntArray, IntArray]:
        """See `CodedProtection.check_places`."""
        return numbers // 2, numbers % 2 * len(self.positions)

    def checks(self, words: Words, layout: Layout) -> Bits:
        """See `StorageProtection.checks`."""
        return np.repeat(self._taken(words.astype(np.uint64)), 2)

    def left(self, errors: Bits, check_errors: Bits, width_bits: int) -> tuple[Bits, NDArray[np.bool_]]:
        """See `CodedProtection.left`; a vote hides what it decides, so nothing is noticed."""
        count = np.uint64(len(self.positions))
        first = self._taken(errors[:, 0])
        second, third = check_errors & ((np.uint64(1) << count) - np.uint64(1)), check_errors >> count
        lost = (first & second) | (second & third) | (first & third)
        found = errors[:, 0].copy()
        for i, position in enumerate(self.positions):
            bit = np.uint64(1) << np.uint64(position)
            found = (found & ~bit) | (((lost >> np.uint64(i)) & np.uint64(1)) << np.uint64(position))
        return found[:, None], np.zeros(len(errors), np.bool_)

    def _taken(self, words: Bits) -> Bits:
        """The bits at the positions, beside each other."""
        taken = np.zeros_like(words)
        for i, position in enumerate(self.positions):
            taken |= ((words >> np.uint64(position)) & np.uint64(1)) << np.uint64(i)
        return taken
